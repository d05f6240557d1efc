// Package keys says who may do what at the yard's doors: keys with scopes and
// quotas, and the log of what was done with them.
//
// It promises that no secret is kept: Redis has a key's SHA-256, and the token
// is shown once, when the key is made. A Ring answers from memory; a revocation
// reaches it within RefreshEvery, and if it cannot read Redis for longer than
// staleAfter it lets nobody in.
//
// It owns jobyard:keys (a hash, id to record), jobyard:keys:used,
// jobyard:key:*:rate, jobyard:key:*:open and the streams jobyard:audit:*.
package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// Action is something that a key may allow.
type Action string

// The actions. Admin allows the others too.
const (
	Enqueue Action = "enqueue" // hand over tasks and batches
	Read    Action = "read"    // look at tasks, results, queues
	Cancel  Action = "cancel"  // withdraw tasks and batches
	Admin   Action = "admin"   // everything, dead letters and the audit log included
)

// Actions lists every action.
func Actions() []Action { return []Action{Enqueue, Read, Cancel, Admin} }

// Key is a key as it is kept. What opens it is not in it.
type Key struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Kinds and Actions are what it is good for; no kinds means all of them.
	Kinds   []string `json:"kinds,omitempty"`
	Actions []Action `json:"actions"`
	// Rate is how many requests a second it may send; 0 is no limit.
	Rate float64 `json:"rate,omitempty"`
	// InFlight is how many of its tasks may be unfinished; 0 is no limit.
	InFlight int       `json:"in_flight,omitempty"`
	Created  time.Time `json:"created_at"`
	Expires  time.Time `json:"expires_at,omitzero"`
	Revoked  time.Time `json:"revoked_at,omitzero"`
	// Used is when it opened something last, to a few seconds.
	Used time.Time `json:"used_at,omitzero"`
	// Hash is the SHA-256 of its secret, in hex.
	Hash string `json:"hash,omitempty"`
}

// Bounds of a key.
const (
	// MaxKeys bounds the keys of a yard, revoked ones included.
	MaxKeys     = 1000
	maxName     = 64
	maxRate     = 100_000
	maxInFlight = 1_000_000
	maxLife     = 10 * 365 * 24 * time.Hour
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._@:/-]*$`)

// Check reports every fault of a new key, as *tasks.InvalidError.
func (k Key) Check(now time.Time) error {
	var f []tasks.FieldError
	fault := func(bad bool, path, format string, args ...any) {
		if bad {
			f = append(f, tasks.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
		}
	}
	fault(len(k.Name) > maxName || !namePattern.MatchString(k.Name), "name",
		"must be 1 to %d letters, digits, spaces or . _ @ : / - and begin with a letter or digit", maxName)
	for _, kind := range k.Kinds {
		fault(!slices.Contains(tasks.KindNames(), kind), "kinds", "must be of %s, got %q", strings.Join(tasks.KindNames(), ", "), kind)
	}
	fault(len(k.Actions) == 0, "actions", "must name at least one of enqueue, read, cancel, admin")
	for _, a := range k.Actions {
		fault(!slices.Contains(Actions(), a), "actions", "must be of enqueue, read, cancel, admin, got %q", a)
	}
	fault(len(k.Kinds) > 0 && slices.Contains(k.Actions, Admin), "kinds", "must be empty for a key that allows admin: it allows everything")
	fault(!(k.Rate >= 0 && k.Rate <= maxRate), "rate", "must be from 0 (no limit) to %d requests a second, got %g", maxRate, k.Rate)
	fault(k.InFlight < 0 || k.InFlight > maxInFlight, "in_flight", "must be from 0 (no limit) to %d tasks, got %d", maxInFlight, k.InFlight)
	fault(!k.Expires.IsZero() && (!k.Expires.After(now) || k.Expires.After(now.Add(maxLife))), "expires", "must be in the future, at most ten years")
	if len(f) > 0 {
		return &tasks.InvalidError{Fields: f}
	}
	return nil
}

// Allows reports whether the key is good for an action.
func (k Key) Allows(a Action) bool {
	return slices.Contains(k.Actions, a) || slices.Contains(k.Actions, Admin)
}

// AllowsKind reports whether the key is good for a kind.
func (k Key) AllowsKind(kind string) bool { return len(k.Kinds) == 0 || slices.Contains(k.Kinds, kind) }

// Ended reports whether the key was revoked or has expired.
func (k Key) Ended(now time.Time) bool {
	return !k.Revoked.IsZero() || !k.Expires.IsZero() && !now.Before(k.Expires)
}

// Errors that tell why nobody is let in.
var (
	// ErrUnknown: no key has this token.
	ErrUnknown = errors.New("the key is not known")
	// ErrEnded: the key was revoked or has expired.
	ErrEnded = errors.New("the key was revoked or has expired")
	// ErrStale: the keys could not be read for a while.
	ErrStale = errors.New("the keys cannot be read")
)

// A token is "jy_", the key's id, "_" and its secret, in small letters and
// digits: so that scanners find it where it does not belong.
const (
	tokenPrefix = "jy_"
	idSize      = 13 // 8 bytes
	secretSize  = 52 // 32 bytes
)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, by its documentation
	return encoding.EncodeToString(b)
}

// split takes a token apart.
func split(token string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || len(rest) != idSize+1+secretSize || rest[idSize] != '_' {
		return "", "", false
	}
	return rest[:idSize], rest[idSize+1:], true
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// opens reports whether the secret is the key's. It takes the same time for
// every answer.
func (k Key) opens(secret string) bool {
	want := k.Hash
	if want == "" {
		want = strings.Repeat("0", sha256.Size*2)
	}
	return subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(want)) == 1 && k.Hash != ""
}
