package library

import (
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
)

// errIndexWrite marks failures of the index's disk, as against those of Redis.
var errIndexWrite = errors.New("the index could not be changed")

// update applies a run of changes in as many batches as they need.
type update struct {
	replica *Replica
	batch   *batch
}

func (r *Replica) newUpdate() (*update, error) {
	u := &update{replica: r}
	err := u.begin()
	return u, err
}

func (u *update) begin() error {
	if u.replica.store == nil { // only Run's goroutine exchanges it
		return errDamagedIndex
	}
	b, err := newBatch(u.replica.store, u.replica.splitter, u.replica.codec)
	if err != nil {
		return fmt.Errorf("%w: %w", errIndexWrite, err)
	}
	u.batch = b
	return nil
}

func (u *update) close() {
	if u.batch != nil {
		_ = u.batch.close()
		u.batch = nil
	}
}

// set makes the document what Redis holds: a string, or nil for none.
func (u *update) set(id string, value any) error {
	if u.batch.full(id) {
		if err := u.flush(nil); err != nil {
			return err
		}
	}
	var err error
	if stored, ok := value.(string); ok {
		err = u.batch.put(id, []byte(stored))
	} else {
		err = u.batch.drop(id)
	}
	if errors.Is(err, errDamagedDocument) {
		u.replica.skip(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errIndexWrite, err)
	}
	return nil
}

// flush commits what was gathered and begins anew.
func (u *update) flush(position *Token) error {
	err := u.batch.commit(position)
	u.close()
	if err != nil {
		return fmt.Errorf("%w: %w", errIndexWrite, err)
	}
	if position == nil {
		return u.begin()
	}
	return nil
}

// finish commits the rest together with the position they lead to.
func (u *update) finish(position Token) error {
	if err := u.flush(&position); err != nil {
		return err
	}
	u.replica.move(position)
	return nil
}

// dropAbsent drops the documents whose ids are not present.
func (u *update) dropAbsent(present map[uint64]bool) error {
	ids, err := u.absent(present)
	if err != nil {
		return fmt.Errorf("%w: %w", errIndexWrite, err)
	}
	for _, id := range ids {
		if err := u.set(id, nil); err != nil {
			return err
		}
	}
	return nil
}

func (u *update) absent(present map[uint64]bool) ([]string, error) {
	dict, err := u.batch.view.FieldDict(recordField)
	if err != nil {
		return nil, err
	}
	defer dict.Close()
	var ids []string
	for {
		e, err := dict.Next()
		if err != nil || e == nil {
			return ids, err
		}
		if !present[hashID(e.Term)] {
			ids = append(ids, e.Term)
		}
	}
}

func (r *Replica) skip(err error) {
	r.mu.Lock()
	r.skipped++
	r.mu.Unlock()
	r.log.Warn().Err(err).Msg("stored document skipped")
}

// touch notes that Redis answered, and where its log ends.
func (r *Replica) touch(end Token, caughtUp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contact, r.newest = time.Now(), end
	r.settled = r.settled || caughtUp
}

func (r *Replica) unsettle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = false
}

func (r *Replica) here() Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position
}

func (r *Replica) contacted() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.contact
}

func (r *Replica) spoil() {
	r.opening.RLock()
	defer r.opening.RUnlock()
	if r.store != nil {
		r.store.damaged.Store(true)
	}
}

func (r *Replica) spoiled() bool {
	r.opening.RLock()
	defer r.opening.RUnlock()
	return r.store == nil || r.store.damaged.Load()
}

// hashID stands for an id where millions of them are held at once.
func hashID(id string) uint64 { return xxhash.Sum64String(id) }
