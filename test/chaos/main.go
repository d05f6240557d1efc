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
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
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
	var v verdict
	ledger, err := openLedger(filepath.Join(dir, "ledger.ndjson"))
	if err != nil {
		return v, err
	}
	defer ledger.close() //nolint:errcheck // closed and checked below
	// Its log must hold every write from the first, and each on disk at once.
	redis, err := brokertest.OpenRedis(ctx, dir, "appendfsync always", "auto-aof-rewrite-percentage 0")
	if err != nil {
		return v, err
	}
	defer redis.Kill()
	origin, err := openOrigin(ledger, s.Seed)
	if err != nil {
		return v, err
	}
	defer origin.close()
	cfg := broker.DefaultConfig()
	cfg.URL, cfg.MaxOpen = redis.URL, 20
	b, err := broker.Open(ctx, cfg, zerolog.Nop())
	if err != nil {
		return v, err
	}
	defer b.Close() //nolint:errcheck // at the end of the program
	c, err := client.New(b, client.Config{QueueLimit: 100_000, BulkLimit: 100_000})
	if err != nil {
		return v, err
	}
	defer c.Close() //nolint:errcheck // as above

	fleet := &fleet{settings: s, url: redis.URL, dir: dir, ledger: ledger}
	defer fleet.killAll()
	if err := fleet.launch(s.Workers); err != nil {
		return v, err
	}
	load := newLoad(s, c, ledger, origin.url)
	raging, calm := context.WithTimeout(ctx, s.Span)
	defer calm()
	storm := newStorm(s, fleet, redis, ledger)
	raged := make(chan error, 1)
	go func() { raged <- storm.rage(raging) }()
	load.offer(raging)
	if err := <-raged; err != nil {
		return v, err
	}
	if err := ctx.Err(); err != nil {
		return v, err
	}
	load.settle(ctx, 3*time.Minute)
	calmed, err := awaitCalm(ctx, b, time.Minute)
	if err != nil {
		return v, err
	}
	load.audit(ctx)
	if err := fleet.stopAll(); err != nil {
		return v, err
	}
	rest, err := readRest(ctx, b)
	if err != nil {
		return v, err
	}
	redis.Stop()
	if err := ledger.close(); err != nil {
		return v, err
	}
	if v, err = judge(dir, rest); err == nil {
		v.Figures = append(v.Figures, figure{"last result to a yard with nothing open", calmed.Round(time.Millisecond).String()})
	}
	return v, err
}
