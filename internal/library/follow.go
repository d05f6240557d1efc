package library

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// blockFor bounds one wait for entries: as long as Run may take to notice
	// that its context ended, or that Redis lost its data.
	blockFor   = time.Second
	readCount  = 256     // entries of the log read at once
	fetchBytes = 4 << 20 // stored documents fetched at once
	scanCount  = 16      // documents of the hash read at once, each up to 8 MiB
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// errGap says that the log no longer continues at the replica's position.
var errGap = errors.New("the log does not continue at the replica's position")

// Run follows the log until ctx ends and returns nil then. Failures of Redis
// or of the disk are logged and tried again, after 0.1 to 5 s.
func (r *Replica) Run(ctx context.Context) error {
	backoff := minBackoff
	for ctx.Err() == nil {
		before := r.contacted()
		err := r.follow(ctx)
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			break
		}
		if r.contacted().After(before) {
			backoff = minBackoff
		}
		wait := backoff/2 + rand.N(backoff)
		r.log.Warn().Err(err).Dur("retry_in", wait).Msg("library replica stopped following")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return nil //nolint:nilerr // what follow says at the end is no failure
}

// follow applies the log's entries as they come, until something fails.
func (r *Replica) follow(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil { // a damaged segment panics inside of bleve
			r.spoil()
			err = fmt.Errorf("%w: %v", errDamagedIndex, p)
		}
		if errors.Is(err, errIndexWrite) || errors.Is(err, errDamagedIndex) {
			err = errors.Join(err, r.reopen())
		}
	}()
	for {
		if r.spoiled() {
			return errDamagedIndex
		}
		err := r.step(ctx)
		if errors.Is(err, errGap) {
			err = r.reconcile(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// step waits for entries and applies them, or finds that there are none.
func (r *Replica) step(ctx context.Context) error {
	position := r.here()
	if err := r.continues(ctx, position); err != nil {
		return err
	}
	streams, err := r.redis.XRead(ctx, &redis.XReadArgs{
		Streams: []string{logKey, position.String()}, Count: readCount, Block: blockFor,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	entries := streams[0].Messages
	last, err := ParseToken(entries[len(entries)-1].ID)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	// Redis may have been emptied and filled again during the wait; the
	// entries then are not what follows our position.
	if err := r.continues(ctx, position); err != nil {
		return err
	}
	return r.apply(ctx, changedIDs(entries), last)
}

// continues checks that the log still holds the entry at position, or ends
// exactly there. Otherwise it was trimmed past it or is another log: errGap.
func (r *Replica) continues(ctx context.Context, position Token) error {
	end, err := r.logEnd(ctx)
	if err != nil {
		return err
	}
	if end != position {
		found, err := r.redis.XRangeN(ctx, logKey, position.String(), position.String(), 1).Result()
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if len(found) == 0 {
			return errGap
		}
	}
	r.touch(end, end == position)
	return nil
}

// logEnd returns the newest id that the log ever had, zero if there is no log.
func (r *Replica) logEnd(ctx context.Context) (Token, error) {
	info, err := r.redis.XInfoStream(ctx, logKey).Result()
	if err != nil {
		if strings.HasPrefix(err.Error(), "ERR no such key") {
			return Token{}, nil
		}
		return Token{}, fmt.Errorf("read log: %w", err)
	}
	return ParseToken(info.LastGeneratedID)
}

// changedIDs lists the documents that the entries name, each once.
func changedIDs(entries []redis.XMessage) []string {
	seen := make(map[string]bool, len(entries))
	var ids []string
	for _, e := range entries {
		if id, ok := e.Values[idField].(string); ok && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// apply brings the named documents up to date and moves to last.
func (r *Replica) apply(ctx context.Context, ids []string, last Token) error {
	u, err := r.newUpdate()
	if err != nil {
		return err
	}
	defer u.close()
	for len(ids) > 0 {
		n, err := r.fetchable(ctx, ids)
		if err != nil {
			return err
		}
		values, err := r.redis.HMGet(ctx, docsKey, ids[:n]...).Result()
		if err != nil {
			return fmt.Errorf("read documents: %w", err)
		}
		for i, v := range values {
			if err := u.set(ids[i], v); err != nil {
				return err
			}
		}
		ids = ids[n:]
	}
	return u.finish(last)
}

// fetchable returns how many of the ids to fetch at once, at least one.
func (r *Replica) fetchable(ctx context.Context, ids []string) (int, error) {
	sizes := make([]*redis.IntCmd, len(ids))
	_, err := r.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			sizes[i] = p.HStrLen(ctx, docsKey, id)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read documents: %w", err)
	}
	total := int64(0)
	for i, s := range sizes {
		if total += s.Val(); total > fetchBytes && i > 0 {
			return i, nil
		}
	}
	return len(ids), nil
}

// reconcile makes the index equal to the hash. What changes meanwhile stands
// in the log after the end that was read first.
func (r *Replica) reconcile(ctx context.Context) error {
	end, err := r.logEnd(ctx)
	if err != nil {
		return err
	}
	r.unsettle()
	started := time.Now()
	u, err := r.newUpdate()
	if err != nil {
		return err
	}
	defer u.close()
	present := map[uint64]bool{}
	for cursor := uint64(0); ; {
		pairs, next, err := r.redis.HScan(ctx, docsKey, cursor, "", scanCount).Result()
		if err != nil {
			return fmt.Errorf("read documents: %w", err)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			present[hashID(pairs[i])] = true
			if err := u.set(pairs[i], pairs[i+1]); err != nil {
				return err
			}
		}
		r.touch(end, false)
		if cursor = next; cursor == 0 {
			break
		}
	}
	if err := u.dropAbsent(present); err != nil {
		return err
	}
	if err := u.finish(end); err != nil {
		return err
	}
	r.log.Info().Int("documents", len(present)).Dur("took", time.Since(started)).Msg("library replica reconciled with the corpus")
	return nil
}
