package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// EmbeddedConfig says how a private Redis is started.
type EmbeddedConfig struct {
	// Dir keeps the append-only file; it is made if it is missing.
	Dir string
	// Binary is the redis-server to start; empty means the one on PATH, and
	// where there is none, an in-process stand-in without persistence.
	Binary string
	// Fsync is Redis's appendfsync: everysec (the default) or always.
	Fsync string
	// Socket is where it listens, so that it can come back at the same address;
	// empty means a place of its own.
	Socket string
	// Settings are further lines of redis.conf; they win over ours.
	Settings []string
}

// Embedded is a private Redis that lives as long as this process.
type Embedded struct {
	// URL is its address, for Config.URL.
	URL string
	// Engine says what it is: redis-server or miniredis.
	Engine string
	// PID is the child's process id; 0 for miniredis.
	PID  int
	stop func() error
}

// Close stops it.
func (e *Embedded) Close() error { return e.stop() }

// StartEmbedded starts a private Redis: a redis-server child on a unix socket
// that dies with this process, or miniredis where no redis-server is found.
func StartEmbedded(ctx context.Context, cfg EmbeddedConfig) (*Embedded, error) {
	binary := cfg.Binary
	if binary == "" {
		found, err := exec.LookPath("redis-server")
		if err != nil {
			return startMini()
		}
		binary = found
	}
	return startServer(ctx, binary, cfg)
}

// maxSocketPath is the longest path that a unix socket may have (Linux: 107).
const maxSocketPath = 100

func startServer(ctx context.Context, binary string, cfg EmbeddedConfig) (*Embedded, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	socket, tidy := cfg.Socket, func() {}
	if socket == "" {
		// A directory of its own, because two servers may share the data directory's
		// parent, and short, because a socket's path is bounded.
		run, err := os.MkdirTemp("", "jobyard-")
		if err != nil {
			return nil, fmt.Errorf("make the socket's directory: %w", err)
		}
		socket, tidy = filepath.Join(run, "redis.sock"), func() { os.RemoveAll(run) }
	}
	if len(socket) > maxSocketPath {
		tidy()
		return nil, fmt.Errorf("the temporary directory's path is too long for a socket: set TMPDIR to a shorter one")
	}
	var stderr tail
	child, err := spawn(binary, config(dir, socket, cfg), &stderr)
	if err != nil {
		tidy()
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	e := &Embedded{URL: "unix://" + socket, Engine: "redis-server", PID: child.pid()}
	e.stop = func() error {
		defer tidy()
		return child.stop()
	}
	if err := awaitPong(ctx, socket, child.exited); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w: %s", binary, err, stderr.String()), e.Close())
	}
	return e, nil
}

// config is written to the server's standard input, so that nothing of it
// stays on disk.
func config(dir, socket string, cfg EmbeddedConfig) string {
	fsync := cmp.Or(cfg.Fsync, "everysec")
	return "port 0\nunixsocket " + strconv.Quote(socket) + "\nunixsocketperm 700\ndaemonize no\nprotected-mode yes\n" +
		"dir " + strconv.Quote(dir) + "\nappendonly yes\nappendfsync " + fsync + "\nsave \"\"\n" +
		"maxmemory-policy noeviction\nloglevel warning\nlogfile \"\"\n" +
		strings.Join(cfg.Settings, "\n") + "\n"
}

// awaitPong dials until the server answers. It speaks the protocol itself:
// a go-redis client sleeps 100 ms after each refused connection.
func awaitPong(ctx context.Context, socket string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if pong(socket) {
			return nil
		}
		select {
		case <-exited:
			return errors.New("it exited at once")
		case <-ctx.Done():
			return errors.New("it did not answer within 15s")
		case <-tick.C:
		}
	}
}

func pong(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 7)
	n, _ := c.Read(answer)
	return bytes.HasPrefix(answer[:n], []byte("+PONG"))
}

// startMini starts miniredis. Its TTLs stand still unless time is moved on, so
// a ticker moves it.
func startMini() (*Embedded, error) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start miniredis: %w", err)
	}
	m.Server().SetPreHook(emptySections)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		const step = 100 * time.Millisecond
		tick := time.NewTicker(step)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	return &Embedded{URL: "redis://" + m.Addr(), Engine: "miniredis", stop: func() error {
		close(done)
		<-stopped
		m.Close()
		return nil
	}}, nil
}

// emptySections answers INFO about a section that miniredis does not have with
// nothing, as Redis does: it has no limit of memory to tell, and that is no error.
func emptySections(c *server.Peer, cmd string, args ...string) bool {
	if !strings.EqualFold(cmd, "INFO") || len(args) != 1 {
		return false
	}
	switch strings.ToLower(args[0]) {
	case "clients", "stats":
		return false
	}
	c.WriteBulk("")
	return true
}

// tail keeps the beginning of what a child says: the reason of a failed start
// is in its first lines.
type tail struct{ bytes.Buffer }

// Write implements io.Writer; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	const most = 2000
	if room := most - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
