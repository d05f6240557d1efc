// Command rawnode is an idle node of plain asynq: a program of its own, so that
// the memory it holds is asynq's and not that of what our worker links.
//
// It serves the queues named by its arguments on the Redis at -redis, writes a
// line once it runs, and ends with its standard input.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

func main() {
	url := flag.String("redis", "", "the `address` of Redis")
	flag.Parse()
	if err := run(*url, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "rawnode:", err)
		os.Exit(1)
	}
}

func run(url string, queues []string) error {
	o, err := redis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("read redis's address: %w", err)
	}
	cfg := asynq.Config{Queues: map[string]int{}, LogLevel: asynq.FatalLevel}
	for _, q := range queues {
		cfg.Queues[q] = 1
	}
	s := asynq.NewServer(asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr}, cfg)
	if err := s.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil })); err != nil {
		return fmt.Errorf("start asynq: %w", err)
	}
	defer s.Shutdown()
	fmt.Println("runs")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return fmt.Errorf("wait for the end of standard input: %w", err)
	}
	return nil
}
