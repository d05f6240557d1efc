package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
)

// entryBytes is what an entry takes in memory beside its value: its key, the
// cache's own node and the slice.
const entryBytes = 160

// largest is the part of a tier's bound that one value may take: a larger one
// would throw out too much.
const largest = 8

// Memory is the tier in this process's memory: the entries that are used often
// and lately stay.
type Memory struct {
	values *otter.Cache[Key, Value]
	bound  int64
}

// NewMemory returns an empty tier of at most so many bytes.
func NewMemory(bound int64) (*Memory, error) {
	values, err := otter.New(&otter.Options[Key, Value]{
		MaximumWeight: uint64(bound), //nolint:gosec // positive
		Weigher:       func(_ Key, v Value) uint32 { return uint32(len(v.Bytes) + entryBytes) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, Value]) time.Duration {
			return max(time.Until(e.Value.Expires), 1)
		}),
		// Evicting is done by whoever writes: so the bound holds also in a rush.
		Executor: func(evict func()) { evict() },
	})
	if err != nil {
		return nil, fmt.Errorf("open the memory cache: %w", err)
	}
	return &Memory{values, bound}, nil
}

// Get implements a tier.
func (m *Memory) Get(_ context.Context, k Key) (Value, bool, error) {
	v, found := m.values.GetIfPresent(k)
	return v, found, nil
}

// Put implements a tier.
func (m *Memory) Put(_ context.Context, k Key, v Value) error {
	if int64(len(v.Bytes)+entryBytes) <= m.bound/largest {
		m.values.Set(k, v)
	}
	return nil
}

// Clean implements a tier.
func (m *Memory) Clean(context.Context) error {
	m.values.CleanUp()
	return nil
}

// Bytes implements a tier.
func (m *Memory) Bytes() int64 { return int64(m.values.WeightedSize()) } //nolint:gosec // at most the bound

// Bound implements a tier.
func (m *Memory) Bound() int64 { return m.bound }

// Close implements a tier.
func (m *Memory) Close() error {
	m.values.InvalidateAll()
	return nil
}

// ErrDamaged tells that what a tier held was not what had been put.
var ErrDamaged = errors.New("a value of the cache is damaged")
