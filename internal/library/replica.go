package library

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Config is how a replica is kept.
type Config struct {
	// Dir holds the index; one replica at a time may use it. Empty means a
	// temporary directory that Close deletes: the replica reads the whole
	// corpus at each start.
	Dir string
	// Log receives changes of the replica's condition. The zero Logger is silent.
	Log zerolog.Logger
}

// Replica is the index of the corpus on this worker. Its methods are safe for
// concurrent use.
type Replica struct {
	redis     redis.UniversalClient
	log       zerolog.Logger
	splitter  *splitter
	codec     *codec
	dir       string
	temporary bool
	spare     sync.Pool // of *scores: as long as the corpus has sections

	opening sync.RWMutex // held for writing while the store is exchanged or closed
	store   *store       // nil when closed or lost
	closed  bool

	mu       sync.Mutex
	position Token
	moved    chan struct{} // closed and made anew when position or contact changes
	newest   Token         // the log's end, as last seen
	contact  time.Time     // when Redis last answered
	settled  bool          // the log was found continuous, or was reconciled with
	skipped  int
}

// ErrClosed is returned by a replica after Close.
var ErrClosed = errors.New("the library's replica is closed")

// Open opens the index, or makes one. It does not wait for Redis: Run brings
// the replica up to date. The client should be the replica's own, for Run holds one of
// its connections all the time.
func Open(ctx context.Context, cfg Config, client redis.UniversalClient) (*Replica, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	r := &Replica{
		redis: client, log: cfg.Log.With().Str("component", "library").Logger(), codec: codec, splitter: newSplitter(),
		dir: cfg.Dir, moved: make(chan struct{}),
	}
	if r.dir == "" {
		if r.dir, err = os.MkdirTemp("", "jobyard-replica-"); err != nil {
			return nil, fmt.Errorf("make temporary index directory: %w", err)
		}
		r.temporary = true
	}
	if err := r.openStore(); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Replica) openStore() error {
	s, err := openStore(r.dir)
	if err != nil {
		return err
	}
	v, err := s.view()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer v.Close()
	r.store = s
	r.move(v.state.position)
	return nil
}

// Close releases the index. Run must have ended. Closing twice is harmless.
func (r *Replica) Close() error {
	r.opening.Lock()
	defer r.opening.Unlock()
	var err error
	if r.store != nil {
		err = r.store.Close()
		r.store = nil
	}
	if !r.closed {
		r.closed = true
		r.codec.close()
	}
	if r.temporary {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// reopen closes the index and opens it again; if it was found damaged, that
// finds it out and begins an empty one.
func (r *Replica) reopen() error {
	r.opening.Lock()
	defer r.opening.Unlock()
	if r.closed {
		return ErrClosed
	}
	if old := r.store; old != nil {
		r.store = nil
		if err := old.Close(); err != nil {
			r.log.Warn().Err(err).Msg("index did not close cleanly")
		}
		if old.damaged.Load() {
			if err := os.RemoveAll(old.dir); err != nil {
				return fmt.Errorf("delete damaged index: %w", err)
			}
		}
	}
	return r.openStore()
}

// view returns the present view of the index; it must be closed, and the
// replica's opening must be held for reading until then.
func (r *Replica) view() (*view, error) {
	switch {
	case r.closed:
		return nil, ErrClosed
	case r.store == nil:
		return nil, errDamagedIndex
	}
	return r.store.view()
}

// Position returns the token that searches reflect.
func (r *Replica) Position() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position.String()
}

// WaitFor waits until searches reflect the write of this token, or until ctx
// ends, whose cause it then returns.
func (r *Replica) WaitFor(ctx context.Context, token string) error {
	want, err := ParseToken(token)
	if err != nil {
		return err
	}
	for {
		r.mu.Lock()
		reached, moved := r.position.Compare(want) >= 0, r.moved
		r.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Replica) move(to Token) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = to
	if r.newest.Compare(to) < 0 {
		r.newest = to
	}
	close(r.moved)
	r.moved = make(chan struct{})
}

// Stats is the replica's condition, for metrics and health checks.
type Stats struct {
	Documents int
	Sections  int
	TextBytes int64 // of the sections' text
	DiskBytes int64
	Position  string
	// Lag is how much younger the newest known write is than the newest that
	// searches reflect.
	Lag time.Duration
	// Settled tells that the replica has caught up once since it was opened, or
	// since Redis lost data.
	Settled bool
	// Contact is when Redis last answered; zero if it never did.
	Contact time.Time
	// Skipped counts stored documents that could not be read.
	Skipped int
}

// Stats returns the replica's condition.
func (r *Replica) Stats() (Stats, error) {
	r.opening.RLock()
	defer r.opening.RUnlock()
	v, err := r.view()
	if err != nil {
		return Stats{}, err
	}
	defer v.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	lag := time.Duration(0)
	if r.newest.ms > v.state.position.ms && v.state.position != (Token{}) {
		lag = time.Duration(r.newest.ms-v.state.position.ms) * time.Millisecond
	}
	return Stats{
		Documents: v.state.Documents, Sections: v.state.Sections, TextBytes: v.state.Bytes, DiskBytes: r.store.diskBytes(),
		Position: v.state.position.String(), Lag: lag, Settled: r.settled, Contact: r.contact, Skipped: r.skipped,
	}, nil
}
