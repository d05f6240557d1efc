package library

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// The library's keys; the braces keep them in one cluster slot.
const (
	docsKey = "jobyard:{library}:docs"
	logKey  = "jobyard:{library}:log"
	idField = "id" // of a log entry
)

// DefaultLogLength is how many entries the log keeps, about: a replica further
// behind reconciles.
const DefaultLogLength = 100_000

// Writer puts documents into the corpus. It is safe for concurrent use and
// needs no closing; the Redis client stays its owner's.
type Writer struct {
	redis     redis.UniversalClient
	codec     *codec
	logLength int64
}

// NewWriter makes a Writer whose log keeps about logLength entries; 0 means
// DefaultLogLength.
func NewWriter(client redis.UniversalClient, logLength int64) (*Writer, error) {
	if logLength == 0 {
		logLength = DefaultLogLength
	}
	if logLength < 0 {
		return nil, fmt.Errorf("log length must not be negative, got %d", logLength)
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Writer{client, codec, logLength}, nil
}

// Put adds the document or replaces the one of the same collection and URI. It
// returns the token of the write: a replica whose position has reached it
// finds the document.
func (w *Writer) Put(ctx context.Context, d Document) (token string, err error) {
	d.Collection = inCollection(d.Collection)
	if err := d.check(); err != nil {
		return "", err
	}
	value, err := w.codec.encode(&d)
	if err != nil {
		return "", err
	}
	id := documentID(d.Collection, d.URI)
	return w.change(ctx, id, func(tx redis.Pipeliner) { tx.HSet(ctx, docsKey, id, value) })
}

// Delete takes a document out of the corpus; one that is not there is no
// error. It returns the token of the write.
func (w *Writer) Delete(ctx context.Context, collection, uri string) (token string, err error) {
	collection = inCollection(collection)
	if err := checkID(collection, uri); err != nil {
		return "", err
	}
	id := documentID(collection, uri)
	return w.change(ctx, id, func(tx redis.Pipeliner) { tx.HDel(ctx, docsKey, id) })
}

// change makes the change and its log entry in one transaction.
func (w *Writer) change(ctx context.Context, id string, change func(redis.Pipeliner)) (string, error) {
	var added *redis.StringCmd
	_, err := w.redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		change(tx)
		added = tx.XAdd(ctx, &redis.XAddArgs{
			Stream: logKey, MaxLen: w.logLength, Approx: true, Values: []string{idField, id},
		})
		return nil
	})
	if ctx.Err() != nil {
		return "", fmt.Errorf("write to the library: %w", context.Cause(ctx))
	}
	if err != nil {
		return "", fault.RetryableError(tasks.ReasonUpstream, "the library could not be written; try again").
			Because(fmt.Errorf("write to the library: %w", err))
	}
	return added.Val(), nil
}
