package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

// pair is a private Redis for each side, so that neither works on what the
// other left.
type pair struct {
	ours, base *server
	network    string
	dir        string
}

// startPair starts both servers, to be reached over network: tcp, as nodes on
// other machines would, or unix.
func startPair(ctx context.Context, network string) (*pair, error) {
	dir, err := os.MkdirTemp("", "jobyard-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	p := &pair{network: network, dir: dir}
	if p.ours, err = startServer(ctx, filepath.Join(dir, "ours"), network); err == nil {
		p.base, err = startServer(ctx, filepath.Join(dir, "base"), network)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *pair) close() {
	for _, s := range []*server{p.ours, p.base} {
		if s != nil {
			s.close()
		}
	}
	os.RemoveAll(p.dir)
}

// server is a private Redis with a connection that watches it.
type server struct {
	url     string // where both sides reach it
	control *redis.Client
	stop    func() error
}

func startServer(ctx context.Context, dir, network string) (*server, error) {
	e, err := broker.StartEmbedded(ctx, broker.EmbeddedConfig{Dir: dir})
	if err != nil {
		return nil, err
	}
	o, err := redis.ParseURL(e.URL)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	s := &server{url: e.URL, control: redis.NewClient(o), stop: e.Close}
	if e.Engine != "redis-server" {
		err = errors.New("redis-server is not on PATH, and its stand-in is not worth measuring: install Redis")
	} else {
		// A rewrite in the midst of a round would slow that round alone.
		err = s.control.ConfigSet(ctx, "auto-aof-rewrite-percentage", "0").Err()
	}
	if err == nil && network == "tcp" {
		err = s.listen(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// listen opens a port of the loopback interface, which embedded servers do
// without.
func (s *server) listen(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // it is one of its own
	l.Close()
	for _, set := range [][2]string{{"bind", "127.0.0.1"}, {"port", port}} {
		if err := s.control.ConfigSet(ctx, set[0], set[1]).Err(); err != nil {
			return fmt.Errorf("open redis's port: %w; -net unix does without", err)
		}
	}
	s.url = "redis://127.0.0.1:" + port
	return nil
}

// close ends it; nothing of it is kept, so that an error spoils nothing.
func (s *server) close() { _ = errors.Join(s.control.Close(), s.stop()) }

// mostAOF is how large the append-only file may grow over the rounds.
const mostAOF = 64 << 20

// reset empties the server, between rounds and with no node on it.
func (s *server) reset(ctx context.Context) error {
	if err := s.control.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty redis: %w", err)
	}
	if size, err := s.info(ctx, "persistence", "aof_current_size"); err != nil || size < mostAOF {
		return err
	}
	if err := s.control.BgRewriteAOF(ctx).Err(); err != nil {
		return fmt.Errorf("shorten the append-only file: %w", err)
	}
	return until(ctx, 10*time.Millisecond, func() (bool, error) {
		size, err := s.info(ctx, "persistence", "aof_current_size")
		return size < mostAOF, err
	})
}

// info reads a number of INFO.
func (s *server) info(ctx context.Context, section, field string) (float64, error) {
	text, err := s.control.Info(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("read redis's %s: %w", section, err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("redis's %s has no %s", section, field)
}

func (s *server) version(ctx context.Context) string {
	text, _ := s.control.Info(ctx, "server").Result() // an unknown version spoils nothing
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			return v
		}
	}
	return "unknown"
}

// commands counts what the server has carried out, also inside scripts, but
// for our own looks.
func (s *server) commands(ctx context.Context) (int64, error) {
	text, err := s.control.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, fmt.Errorf("read redis's command counts: %w", err)
	}
	return sumCalls(text), nil
}

func sumCalls(stats string) int64 {
	var sum int64
	for line := range strings.Lines(stats) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":calls=")
		if !ok || name == "cmdstat_info" {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.ParseInt(calls, 10, 64) // a line of another form is none of ours
		sum += n
	}
	return sum
}

// emptied waits until nothing is pending or active in the queue.
func (s *server) emptied(ctx context.Context, queue string) error {
	return until(ctx, time.Millisecond, func() (bool, error) {
		var left int64
		for _, part := range []string{"pending", "active", "retry"} {
			key := broker.QueueKey(queue, part)
			cmd := s.control.LLen
			if part == "retry" {
				cmd = s.control.ZCard
			}
			n, err := cmd(ctx, key).Result()
			if err != nil {
				return false, fmt.Errorf("look at queue %s: %w", queue, err)
			}
			left += n
		}
		return left == 0, nil
	})
}

// until asks again and again until the answer is yes.
func until(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
