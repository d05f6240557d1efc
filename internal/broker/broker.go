// Package broker is the yard's way to Redis: one connection pool a process,
// its health, the wake-up of idle workers, the nodes' heartbeats, and a private
// server for demos and tests.
//
// It owns the keys jobyard:node:*, jobyard:nodes, jobyard:leases and
// jobyard:drain:*, and the channel jobyard:wake. A Broker is stopped by Close; Run and Waker.Run end with their
// context.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/rs/zerolog"
)

// Config says where Redis is and how many connections may be held.
type Config struct {
	// URL is the address in one of the forms of the documentation.
	URL string
	// Password is Redis's where the address holds none.
	Password string
	// Name is how Redis lists the connections (CLIENT LIST).
	Name string
	// MinIdle and MaxOpen bound the pool.
	MinIdle, MaxOpen int
	// AcquireTimeout is the longest wait for a connection of the pool.
	AcquireTimeout time.Duration
	// IdleTimeout closes connections that were not used for so long.
	IdleTimeout time.Duration
	// HealthEvery is the period of the health check.
	HealthEvery time.Duration
	// CallTimeout bounds one command, so that a caller hears within 5 s that
	// Redis is away.
	CallTimeout time.Duration
}

// DefaultConfig returns the defaults of the design.
func DefaultConfig() Config {
	return Config{
		Name: "jobyard", MinIdle: 2, MaxOpen: 10, AcquireTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second,
		HealthEvery: time.Minute, CallTimeout: 4 * time.Second,
	}
}

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	_, urlErr := parseURL(c.URL)
	check := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf(format, args...)
	}
	return errors.Join(urlErr,
		check(c.MaxOpen >= 1 && c.MaxOpen <= 1000, "redis pool: max open must be from 1 to 1000, got %d", c.MaxOpen),
		check(c.MinIdle >= 0 && c.MinIdle <= c.MaxOpen, "redis pool: min idle must be from 0 to max open (%d), got %d", c.MaxOpen, c.MinIdle),
		check(c.AcquireTimeout > 0, "redis pool: acquire timeout must be positive, got %s", c.AcquireTimeout),
		check(c.IdleTimeout > 0, "redis pool: idle timeout must be positive, got %s", c.IdleTimeout),
		check(c.HealthEvery > 0, "redis pool: health check period must be positive, got %s", c.HealthEvery),
		check(c.CallTimeout > 0, "redis pool: call timeout must be positive, got %s", c.CallTimeout))
}

// UnavailableError tells that Redis did not answer or refused the connection.
type UnavailableError struct {
	// Place is where Redis was looked for, without credentials.
	Place string
	// Hint says what to do.
	Hint string
	Err  error
}

// Error says where, why and what to do.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("redis at %s: %s; %s", e.Place, strings.TrimSuffix(e.Err.Error(), "."), e.Hint)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Broker is a process's connection to Redis.
type Broker struct {
	cfg     Config
	options redis.UniversalOptions
	client  redis.UniversalClient
	log     zerolog.Logger
	failing atomic.Pointer[error]
	calls   shared
}

// Open connects and checks that Redis answers. The error is an
// *UnavailableError if it does not.
func Open(ctx context.Context, cfg Config, log zerolog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	// go-redis writes its own lines to stderr; our errors say the same once.
	logging.Disable()
	o, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	o.ClientName = cfg.Name
	if o.Password == "" {
		o.Password = cfg.Password
	}
	// PoolSize alone bounds the pool and lets callers wait; with MaxActiveConns
	// beside it go-redis refuses them at once instead.
	o.PoolSize, o.MinIdleConns = cfg.MaxOpen, cfg.MinIdle
	o.PoolTimeout, o.ConnMaxIdleTime = cfg.AcquireTimeout, cfg.IdleTimeout
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	o.MaxRetries, o.DialerRetries = 2, 2
	o.ContextTimeoutEnabled = true
	o.Dialer = dial(o)
	if o.Protocol == 0 {
		o.Protocol = 2 // with 3 go-redis looks for notices before each answer; nobody here asked for any
	}
	b := &Broker{cfg: cfg, options: *o, client: redis.NewUniversalClient(o), log: log}
	if err := b.Ping(ctx); err != nil {
		return nil, errors.Join(err, b.client.Close())
	}
	return b, nil
}

// Client returns the shared pool.
func (b *Broker) Client() redis.UniversalClient { return b.client }

// Dedicated opens a client of n connections of its own, for commands that
// block. The caller closes it.
func (b *Broker) Dedicated(n int) redis.UniversalClient {
	o := b.options
	o.PoolSize, o.MinIdleConns = n, 0
	return redis.NewUniversalClient(&o)
}

// Options returns the connection's settings, for libraries that connect on
// their own.
func (b *Broker) Options() redis.UniversalOptions { return b.options }

// Place says where Redis is, without credentials.
func (b *Broker) Place() string { return place(&b.options) }

// CallContext bounds one call.
func (b *Broker) CallContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() != nil {
		return context.WithTimeout(ctx, b.cfg.CallTimeout)
	}
	return b.calls.context(b.cfg.CallTimeout), func() {}
}

// shared is a context for the calls that begin at about the same time and that
// nobody breaks off: a timer of its own for each would cost more than what the
// call does here.
type shared struct{ current atomic.Pointer[sharedContext] }

type sharedContext struct {
	context.Context //nolint:containedctx // to be shared is what it is for
	begun           time.Time
	end             context.CancelFunc // never called while others may use it: its timer ends it
}

// context ends after the timeout, or up to an eighth of it sooner.
func (s *shared) context(timeout time.Duration) context.Context {
	now := time.Now()
	if c := s.current.Load(); c != nil && now.Sub(c.begun) < timeout/8 {
		return c
	}
	ctx, end := context.WithTimeout(context.Background(), timeout)
	c := &sharedContext{ctx, now, end}
	s.current.Store(c)
	return c
}

// Ping checks that Redis answers.
func (b *Broker) Ping(ctx context.Context) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	return b.Explain(b.client.Ping(ctx).Err())
}

// noTLS is the hint where an encrypted connection gets no fitting answer.
const noTLS = "does it speak TLS? Without it the address begins with redis://"

// Explain turns an error of the connection into an *UnavailableError with a
// hint; other errors, and nil, come back as they are.
func (b *Broker) Explain(err error) error {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) {
		return err
	}
	if _, explained := errors.AsType[*UnavailableError](err); explained {
		return err
	}
	hint := ""
	var netErr net.Error
	var untrusted *tls.CertificateVerificationError
	msg := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in time (%w)", err)
	}
	switch {
	case errors.As(err, &untrusted):
		hint = "its certificate is not trusted: put the one of its authority where SSL_CERT_FILE points"
	case strings.Contains(msg, "first record does not look like a TLS handshake"):
		hint = "it does not speak TLS there: use redis:// instead of rediss://"
	case b.options.TLSConfig == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		hint = "it hung up: start Redis there, or use rediss:// where it speaks TLS"
	case strings.HasPrefix(msg, "NOAUTH"), strings.Contains(msg, "without any password"), strings.Contains(msg, "NOAUTH"):
		hint = "it wants a password: put it into the address, as redis://:PASSWORD@host:port"
	case strings.HasPrefix(msg, "WRONGPASS"), strings.Contains(msg, "WRONGPASS"):
		hint = "check the user name and password in the address"
	case strings.HasPrefix(msg, "NOPERM"):
		hint = "the user lacks a permission: see the ACL in the operations guide"
	case strings.HasPrefix(msg, "LOADING"):
		hint = "it is still loading its data: try again in a moment"
	case strings.HasPrefix(msg, "OOM"):
		hint = "its memory is full: raise maxmemory or let the workers drain the queues"
	case strings.HasPrefix(msg, "MISCONF"):
		hint = "it cannot save its data and refuses writes: see its log; is its disk full?"
	case strings.HasPrefix(msg, "NOREPLICAS"):
		hint = "too few replicas are connected for its min-replicas-to-write: see to them"
	case strings.HasPrefix(msg, "BUSY"):
		hint = "a script keeps it busy: try again in a moment"
	case strings.HasPrefix(msg, "READONLY"):
		hint = "this is a replica: give the address of the master"
	case errors.Is(err, redis.ErrPoolTimeout):
		hint = "all connections are busy: raise --redis-max-open or lower the load"
	case errors.As(err, &netErr), errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrClosed),
		strings.Contains(msg, "EOF"), strings.Contains(msg, "connection re"), strings.Contains(msg, "broken pipe"),
		strings.Contains(msg, "no such host"), strings.Contains(msg, "sentinel"), strings.Contains(msg, "CLUSTER"):
		hint = "start Redis there, or give another address with --redis-url or REDIS_URL"
		if b.options.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded) {
			hint = noTLS
		}
	case strings.Contains(msg, "tls: first record"):
		hint = noTLS
	case strings.Contains(msg, "x509:"):
		hint = "its certificate must name the host of the address and be one that this machine trusts (SSL_CERT_FILE names more)"
	default:
		return err
	}
	return &UnavailableError{Place: b.Place(), Hint: hint, Err: err}
}

// Run checks the connection every HealthEvery until ctx ends. The pool mends
// itself; Run only notices and tells.
func (b *Broker) Run(ctx context.Context) error {
	tick := time.NewTicker(b.cfg.HealthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.check(ctx)
		}
	}
}

func (b *Broker) check(ctx context.Context) {
	err := b.Ping(ctx)
	switch before := b.failing.Load(); {
	case ctx.Err() != nil:
	case err != nil && before == nil:
		b.failing.Store(&err)
		b.log.Error().Err(err).Msg("redis is away")
	case err == nil && before != nil:
		b.failing.Store(nil)
		b.log.Info().Str("redis", b.Place()).Msg("redis is back")
	}
}

// PoolStats returns the pool's figures.
func (b *Broker) PoolStats() *redis.PoolStats { return b.client.PoolStats() }

// Close closes the pool.
func (b *Broker) Close() error { return b.client.Close() }
