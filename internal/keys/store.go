package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

const (
	keysKey = "jobyard:keys"
	usedKey = "jobyard:keys:used"
)

// NotFoundError tells that no key has the id or name.
type NotFoundError struct{ Text string }

// Error says what to do.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no key has the id or the name %q; list them with keys list", e.Text)
}

// FullError tells that there are as many keys as may be.
type FullError struct{}

// Error says how many.
func (*FullError) Error() string {
	return fmt.Sprintf("there are %d keys that are in use, and there cannot be more: revoke some", MaxKeys)
}

// Store keeps the keys in Redis.
type Store struct {
	broker *broker.Broker
	now    func() time.Time
}

// New returns the keys in the broker's Redis.
func New(b *broker.Broker) *Store { return &Store{broker: b, now: time.Now} }

// Add makes a key with the given name, scopes and limits, and returns it with
// its token, which is not kept.
func (s *Store) Add(ctx context.Context, k Key) (Key, string, error) {
	now := s.now().UTC().Truncate(time.Second)
	if err := k.Check(now); err != nil {
		return k, "", err
	}
	all, err := s.List(ctx)
	if err != nil {
		return k, "", err
	}
	if err := s.makeRoom(ctx, all); err != nil {
		return k, "", err
	}
	secret := random(32)
	k.ID, k.Created, k.Revoked, k.Used, k.Hash = random(8), now, time.Time{}, time.Time{}, hash(secret)
	if err := s.write(ctx, k); err != nil {
		return k, "", err
	}
	k.Hash = ""
	return k, tokenPrefix + k.ID + "_" + secret, nil
}

// makeRoom forgets the key that ended first, if there are as many as may be.
func (s *Store) makeRoom(ctx context.Context, all []Key) error {
	if len(all) < MaxKeys {
		return nil
	}
	for _, k := range all { // the oldest first
		if k.Ended(s.now()) {
			return s.forget(ctx, k.ID)
		}
	}
	return &FullError{}
}

func (s *Store) forget(ctx context.Context, id string) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	return s.broker.Explain(s.broker.Client().HDel(ctx, keysKey, id).Err())
}

func (s *Store) write(ctx context.Context, k Key) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	k.Used = time.Time{}
	raw, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	if err := s.broker.Client().HSet(ctx, keysKey, k.ID, raw).Err(); err != nil {
		return fmt.Errorf("write key: %w", s.broker.Explain(err))
	}
	return nil
}

// List returns every key, revoked ones too, the oldest first.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	var records, used *redis.MapStringStringCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		records, used = p.HGetAll(ctx, keysKey), p.HGetAll(ctx, usedKey)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", s.broker.Explain(err))
	}
	all := make([]Key, 0, len(records.Val()))
	for id, raw := range records.Val() {
		var k Key
		// A record that cannot be read opens nothing, but it is a key: with it
		// the yard is not without keys.
		if json.Unmarshal([]byte(raw), &k) != nil || k.ID != id {
			k = Key{ID: id, Name: "(unreadable)", Revoked: s.now()}
		}
		if ms, err := strconv.ParseInt(used.Val()[id], 10, 64); err == nil {
			k.Used = time.UnixMilli(ms).UTC().Truncate(time.Second)
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return compare(a.ID, b.ID)
	})
	return all, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Revoke ends a key, named by its id or, if only one has it, its name. It stays
// in the list: a yard that had keys never again serves whoever has none.
func (s *Store) Revoke(ctx context.Context, idOrName string) (Key, error) {
	all, err := s.List(ctx)
	if err != nil {
		return Key{}, err
	}
	var found []Key
	for _, k := range all {
		if k.ID == idOrName {
			found = []Key{k}
			break
		}
		if k.Name == idOrName && k.Revoked.IsZero() {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 0:
		return Key{}, &NotFoundError{idOrName}
	case len(found) > 1:
		return Key{}, &AmbiguousError{Name: idOrName, Count: len(found)}
	}
	k := found[0]
	if k.Revoked.IsZero() {
		k.Revoked = s.now().UTC().Truncate(time.Second)
		if err := s.write(ctx, k); err != nil {
			return k, err
		}
	}
	k.Hash = ""
	return k, nil
}

// AmbiguousError tells that several keys have a name.
type AmbiguousError struct {
	Name  string
	Count int
}

// Error says what to do.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d keys have the name %q: name one by its id", e.Count, e.Name)
}

// noteUsed writes when keys were used.
func (s *Store) noteUsed(ctx context.Context, used map[string]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	args := make([]any, 0, 2*len(used))
	for id, at := range used {
		args = append(args, id, at.UnixMilli())
	}
	return s.broker.Explain(s.broker.Client().HSet(ctx, usedKey, args...).Err())
}
