package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// storm does harm at random.
type storm struct {
	settings
	fleet  *fleet
	redis  *brokertest.Redis
	ledger *ledger

	mu   sync.Mutex
	rand *rand.Rand
}

func newStorm(s settings, f *fleet, r *brokertest.Redis, l *ledger) *storm {
	return &storm{settings: s, fleet: f, redis: r, ledger: l, rand: rand.New(rand.NewPCG(s.Seed, 1))}
}

// rage does harm until ctx ends, and then leaves everything running.
func (s *storm) rage(ctx context.Context) error {
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	for _, h := range []struct {
		every time.Duration
		do    func(context.Context) error
	}{
		{s.KillEvery, s.killWorker}, {s.FreezeEvery, s.freezeWorker}, {s.StopEvery, s.stopWorker}, {s.RedisEvery, s.restartRedis},
		{10 * time.Second, func(context.Context) error { return s.fleet.replenish() }},
	} {
		if h.every <= 0 {
			continue
		}
		all.Go(func() {
			for s.wait(ctx, s.chance(h.every)) {
				if err := h.do(ctx); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return errors.Join(append(errs, s.fleet.replenish())...)
}

// chance is a random time with the given mean, as of events that know nothing
// of each other; never so long that a short storm stays calm.
func (s *storm) chance(mean time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(time.Duration(s.rand.ExpFloat64()*float64(mean)), 3*mean)
}

// between is a random time within bounds.
func (s *storm) between(least, most time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return least + time.Duration(s.rand.Int64N(int64(most-least)))
}

func (s *storm) pick(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

// wait reports whether the storm still rages after d.
func (s *storm) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (s *storm) note(what string) { s.ledger.write(note{What: noteStorm, Text: what}) }

// What the storm does, as the ledger names it.
const (
	workerKilled  = "worker killed"
	workerFrozen  = "worker frozen"
	workerThawed  = "worker thawed"
	workerStopped = "worker stopped"
	redisKilled   = "redis killed"
	redisStopped  = "redis stopped"
	redisStarted  = "redis started"
)

func (s *storm) killWorker(ctx context.Context) error {
	p := s.fleet.take(s.pick(1 << 20))
	if p == nil {
		return nil
	}
	s.note(workerKilled)
	p.kill()
	s.wait(ctx, s.between(0, 3*time.Second))
	return s.fleet.start()
}

// freezeWorker cuts a worker off for longer than its lease, and lets it come
// back with what it had in hand.
func (s *storm) freezeWorker(ctx context.Context) error {
	p := s.fleet.take(s.pick(1 << 20))
	if p == nil {
		return nil
	}
	s.note(workerFrozen)
	p.signal(syscall.SIGSTOP)
	s.wait(ctx, s.between(6*time.Second, 12*time.Second))
	s.note(workerThawed)
	p.signal(syscall.SIGCONT)
	s.fleet.put(p)
	return nil
}

func (s *storm) stopWorker(context.Context) error {
	p := s.fleet.take(s.pick(1 << 20))
	if p == nil {
		return nil
	}
	s.note(workerStopped)
	// One that just started finds no Redis and ends with an error; so be it.
	_ = p.stop()
	return s.fleet.start()
}

func (s *storm) restartRedis(ctx context.Context) error {
	if s.pick(3) < 2 {
		s.note(redisKilled)
		s.redis.Kill()
	} else {
		s.note(redisStopped)
		s.redis.Stop()
	}
	s.wait(ctx, s.between(200*time.Millisecond, 4*time.Second))
	// Not with ctx: it is to run when the storm is over.
	err := s.redis.Start(context.WithoutCancel(ctx))
	s.note(redisStarted)
	return err
}
