package blob

import (
	"errors"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Errors that callers tell apart. Each comes in a *fault.Error, so that a job
// may return it as it is.
var (
	// ErrNotFound tells that no blob has the hash, or that it is no longer kept.
	ErrNotFound = errors.New("no such blob")
	// ErrDamaged tells that a blob's bytes are missing or not those of its hash.
	ErrDamaged = errors.New("the blob is damaged")
	// ErrTooLarge tells that the bytes are more than a blob may have.
	ErrTooLarge = errors.New("too large for a blob")
)

func notFound(sha string) error {
	return fault.PermanentError(tasks.ReasonNotFound,
		"there is no blob %.12s…: it was never stored or is no longer kept; store it again", sha).Because(ErrNotFound)
}

func damaged(sha, why string) error {
	return fault.PermanentError(tasks.ReasonIntegrity, "blob %.12s… is damaged: %s; store it again", sha, why).Because(ErrDamaged)
}

func tooLarge(size int) error {
	return fault.PermanentError(tasks.ReasonTooLarge, "a blob may have %d bytes, not %d", MaxBytes, size).Because(ErrTooLarge)
}
