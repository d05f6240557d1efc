package broker

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// trusted is how long a connection that was seen alive needs no other look. One
// that lies idle for longer may have been closed meanwhile.
const trusted = 10 * time.Millisecond

// conn is a connection that go-redis does not look at before every call, as it
// does with all that come from its pool, but only if it was not seen just now.
type conn struct {
	net.Conn
	direct syscall.Conn
	seen   atomic.Int64 // when, as Unix ns
}

// dial opens connections as go-redis does.
func dial(o *redis.UniversalOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	open := redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig})
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := open(ctx, network, addr)
		if direct, ok := c.(syscall.Conn); ok && err == nil {
			return &conn{Conn: c, direct: direct}, nil
		}
		return c, err // one of TLS cannot be looked at
	}
}

// SyscallConn is what go-redis looks through.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	now := time.Now().UnixNano()
	if now-c.seen.Load() < int64(trusted) {
		return alive{}, nil
	}
	c.seen.Store(now)
	return c.direct.SyscallConn()
}

// alive looks well whoever looks.
type alive struct{}

func (alive) Control(func(fd uintptr)) error    { return nil }
func (alive) Read(func(fd uintptr) bool) error  { return nil }
func (alive) Write(func(fd uintptr) bool) error { return nil }
