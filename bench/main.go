// Command bench measures the queue side by side with raw asynq: for each row
// both do the same work in the same run, one after the other, round after
// round, each on a private redis-server with the same settings.
//
// It prints one table and writes bench/results.json, where it leaves the rows
// of other benchmarks as they are. Both sides reach Redis over the loopback
// interface; it keeps an append-only file, synced every second. A ratio over 1 is better for
// us, for times, commands and memory too. On a machine that does something
// else meanwhile only the ratios mean anything. It asserts nothing.
//
// Everything is bounded in count and time; an interrupt ends it and stops both
// servers, and the rows measured so far are kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == runnerCommand {
		os.Exit(serveRunner())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	rounds   int
	quick    bool
	rows     *regexp.Regexp
	out      string
	profiles string
	network  string
	child    bool   // this process is to be our idle node
	url      string // on this Redis
}

func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&s.rounds, "rounds", 5, "`rounds` of each row; its figure is their median")
	f.BoolVar(&s.quick, "quick", false, "smaller counts and at most 3 rounds: a look, not a measurement")
	pattern := f.String("rows", "", "measure only the rows whose name matches this `regexp`")
	f.StringVar(&s.out, "out", "bench/results.json", "the `file` that keeps the rows")
	f.StringVar(&s.profiles, "profiles", "", "write CPU profiles and Redis's command times of the first round into this `directory`")
	f.StringVar(&s.network, "net", "tcp", "reach Redis over `tcp or unix`: loopback, or a socket file")
	f.BoolVar(&s.child, "child", false, "be our idle node of the row worker_rss (internal)")
	f.StringVar(&s.url, "redis", "", "the `address` for -child (internal)")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("takes no arguments, got %q", f.Args())
	}
	if s.rounds < 1 || s.rounds > 100 {
		return s, fmt.Errorf("-rounds must be from 1 to 100, got %d", s.rounds)
	}
	if s.quick {
		s.rounds = min(s.rounds, 3)
	}
	if s.network != "tcp" && s.network != "unix" {
		return s, fmt.Errorf("-net must be tcp or unix, got %q", s.network)
	}
	var err error
	s.rows, err = regexp.Compile(*pattern)
	if err != nil {
		return s, fmt.Errorf("-rows: %w", err)
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.child {
		return idleChild(ctx, s.url)
	}
	// A hung measurement ends by itself: ten times what a round should take.
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.rounds)*8*time.Minute)
	defer cancel()
	p, err := startPair(ctx, s.network)
	if err != nil {
		return err
	}
	defer p.close()
	fmt.Println(environment(ctx, p))
	n := fullCounts
	if s.quick {
		n = quickCounts
	}
	measured, failed := measure(ctx, trials(p, n), s)
	if len(measured) == 0 {
		if failed == nil {
			failed = fmt.Errorf("no row matches %q", s.rows)
		}
		return failed
	}
	if err := printTable(os.Stdout, measured); err != nil {
		return err
	}
	fmt.Println(environment(ctx, p))
	return errors.Join(failed, keep(s.out, measured))
}

// counts say how much work a round is.
type counts struct {
	enqueue int // tasks enqueued, one by one or in bulk
	drain   int // tasks drained
	samples int // idle pick-ups
	slow    int // idle pick-ups of each of the nodes that poll once a second
	trips   int // round trips of one caller
	window  time.Duration
	settle  time.Duration // how long a node is left alone before it counts as idle
}

var (
	fullCounts  = counts{enqueue: 20000, drain: 10000, samples: 200, slow: 5, trips: 400, window: 10 * time.Second, settle: 2 * time.Second}
	quickCounts = counts{enqueue: 5000, drain: 2000, samples: 50, slow: 1, trips: 100, window: 2 * time.Second, settle: 500 * time.Millisecond}
)

func trials(p *pair, n counts) []trial {
	return []trial{enqueueTrial(p, n), drainTrial(p, n), latencyTrial(p, n), roundTripTrial(p, n), cacheTrial(p, n), idleTrial(p, n), memoryTrial(p, n), runnerTrial(n)}
}
