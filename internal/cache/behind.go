package cache

import "sync/atomic"

const (
	// behindMost and behindBytes bound what waits to be stored in Redis and on
	// disk. What comes beyond is not stored: a cache may forget.
	behindMost  = 256
	behindBytes = 32 << 20
)

// write is a value on its way to a tier.
type write struct {
	key   Key
	value Value
	tier  string
}

// behind holds the writes that nobody waits for.
type behind struct {
	writes chan write
	bytes  *atomic.Int64
}

func newBehind() behind { return behind{make(chan write, behindMost), new(atomic.Int64)} }

func (b behind) add(w write) {
	if b.bytes.Add(int64(len(w.value.Bytes))) <= behindBytes {
		select {
		case b.writes <- w:
			return
		default:
		}
	}
	b.done(w)
}

func (b behind) done(w write) { b.bytes.Add(-int64(len(w.value.Bytes))) }
