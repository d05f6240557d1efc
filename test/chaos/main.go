// Command chaos proves that the yard loses nothing. It gives real workers on a
// real Redis a steady load, kills and freezes workers and restarts Redis at
// random, and then says what became of every task.
//
// It believes no word of the queue. Its own ledger on disk notes what was
// acknowledged, which result was seen, and every single execution, since each
// task fetches a document from this program and each fetch is answered with
// another number. What was committed is read from Redis's append-only file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are what the flags say.
type settings struct {
	Span        time.Duration // how long tasks are handed over
	Rate        int           // tasks a second
	Workers     int
	Slots       int // of each worker
	Batch       int // every second a batch of so many, as part of the rate
	KillEvery   time.Duration
	FreezeEvery time.Duration
	StopEvery   time.Duration
	RedisEvery  time.Duration
	Seed        uint64
	bin, out    string
	keep        bool
}

func readFlags() settings {
	var s settings
	flag.DurationVar(&s.Span, "for", 10*time.Minute, "how long tasks are handed over")
	flag.IntVar(&s.Rate, "rate", 200, "tasks a second")
	flag.IntVar(&s.Workers, "workers", 4, "worker processes")
	flag.IntVar(&s.Slots, "slots", 8, "slots of each worker")
	flag.IntVar(&s.Batch, "batch", 40, "every second a batch of so many tasks, as part of the rate; 0 for none")
	flag.DurationVar(&s.KillEvery, "kill-every", 7*time.Second, "mean time between two kills of a worker")
	flag.DurationVar(&s.FreezeEvery, "freeze-every", 45*time.Second, "mean time until a worker is frozen for 6 to 12 s; 0 for never")
	flag.DurationVar(&s.StopEvery, "stop-every", 60*time.Second, "mean time until a worker is stopped the gentle way; 0 for never")
	flag.DurationVar(&s.RedisEvery, "redis-every", 40*time.Second, "mean time between two restarts of Redis; two of three are kills")
	flag.Uint64Var(&s.Seed, "seed", 1, "what chance begins with")
	flag.StringVar(&s.bin, "bin", "bin", "folder of the programs, as make build leaves it")
	flag.StringVar(&s.out, "out", "docs/chaos-report.md", "where the report is written; its JSON lies beside it")
	flag.BoolVar(&s.keep, "keep", false, "keep the ledger and Redis's files even if all is well")
	flag.Parse()
	return s
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, readFlags()); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// errBroken tells that a promise was.
var errBroken = errors.New("a promise was broken: see the report")

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	begun := time.Now()
	verdict, err := play(ctx, s, dir)
	if err != nil {
		return fmt.Errorf("%w (its files are in %s)", err, dir)
	}
	verdict.Settings, verdict.At, verdict.Took = s, begun.UTC(), time.Since(begun)
	if err := verdict.write(s.out); err != nil {
		return err
	}
	fmt.Print(verdict.markdown())
	if !verdict.ok() {
		return fmt.Errorf("%w; its files are in %s", errBroken, dir)
	}
	if s.keep {
		fmt.Println("kept:", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

// play lets the storm rage, waits for calm, and judges.
func play(ctx context.Context, s settings, dir string) (verdict, error) {
	st, err := openStage(ctx, s, dir)
	defer st.close()
	if err != nil {
		return verdict{}, err
	}
	load := &load{settings: s, client: st.client, ledger: st.ledger, url: st.origin.url}
	raging, calm := context.WithTimeout(ctx, s.Span)
	defer calm()
	awaiting, end := context.WithCancel(ctx)
	defer end()
	storm := newStorm(s, st.fleet, st.redis, st.ledger)
	raged := make(chan error, 1)
	go func() { raged <- storm.rage(raging) }()
	load.offer(awaiting, raging)
	if err := errors.Join(<-raged, ctx.Err()); err != nil {
		return verdict{}, err
	}
	load.settle(ctx, 3*time.Minute)
	end()
	load.calls.Wait()
	calmed, err := awaitCalm(ctx, st.broker, time.Minute)
	if err != nil {
		return verdict{}, err
	}
	load.audit(ctx)
	if err := st.fleet.stopAll(); err != nil {
		return verdict{}, err
	}
	rest, err := readRest(ctx, st.broker)
	if err != nil {
		return verdict{}, err
	}
	st.redis.Stop()
	if err := st.ledger.close(); err != nil {
		return verdict{}, err
	}
	v, err := judge(dir, rest)
	v.Figures = append(v.Figures, figure{"last result to a yard with nothing open", calmed.Round(time.Millisecond).String()})
	return v, err
}
