package client

import (
	"context"
	"fmt"
	"io"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/tasks"
)

// MaxBlobBytes is the most that a blob may have.
const MaxBlobBytes = blob.MaxBytes

// ErrNoBlob tells that no blob has the hash, or that it is no longer kept.
var ErrNoBlob = blob.ErrNotFound

// PutBlob uploads bytes for tasks to come and returns their SHA-256, which a
// document_parse names in source.blob. They are kept for an hour, and for as
// long as there is a task that names them. Errors: *tasks.InvalidError if they
// are too many or none, *MemoryError, *UnavailableError.
func (c *Client) PutBlob(ctx context.Context, r io.Reader) (sha string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBlobBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the blob: %w", err)
	case len(data) == 0:
		return "", tasks.Invalid("blob", "must not be empty")
	case len(data) > MaxBlobBytes:
		return "", tasks.Invalid("blob", fmt.Sprintf("must not be over %d bytes", MaxBlobBytes))
	}
	return c.store.PutBlob(ctx, data)
}

// Blob returns the bytes of a blob, which have been checked against its hash.
// ErrNoBlob tells that there is none.
func (c *Client) Blob(ctx context.Context, sha string) ([]byte, error) {
	return c.store.Blob(ctx, sha)
}
