package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/tasks"
)

// nodeQueues are the queues of a node of all kinds, as asynq wants them.
func nodeQueues() map[string]int {
	all := map[string]int{}
	for _, k := range tasks.KindNames() {
		all[tasks.Queue(k)], all[tasks.BulkQueue(k)] = 6, 1
	}
	return all
}

// idleTrial counts the commands of nodes that have nothing to do: both at
// once, since neither needs the machine.
func idleTrial(p *pair, n counts) trial {
	const both, ours, base = 0, 0, 1
	note := fmt.Sprintf("idle_commands: Redis commands a second of an idle node with all four kinds (8 queues), those inside scripts counted, over %s a round; "+
		"raw asynq is one server on the same 8 queues with its defaults.", n.window)
	return trial{
		prepare: func(ctx context.Context) (func() error, error) { return bothIdle(ctx, p, n.settle) },
		subjects: []subject{{"idle commands", nil, func(ctx context.Context) ([]float64, error) {
			return commandRates(ctx, n.window, p.ours, p.base)
		}}},
		rows: []row{{"idle_commands", "commands/s", true, figure{both, ours}, figure{both, base}, false, note}},
	}
}

func bothIdle(ctx context.Context, p *pair, settle time.Duration) (stop func() error, err error) {
	if err := errors.Join(p.ours.reset(ctx), p.base.reset(ctx)); err != nil {
		return nil, err
	}
	stopOurs, err := startNode(ctx, p.ours.url, 0, jobs(func(string) {}))
	if err != nil {
		return nil, err
	}
	stopBase, err := startRaw(p.base.url, asynq.Config{Queues: nodeQueues()}, func(string) {})
	if err != nil {
		return nil, errors.Join(err, stopOurs())
	}
	stop = func() error { return errors.Join(stopOurs(), stopBase()) }
	if err := pause(ctx, settle); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// commandRates counts the commands a second of each server.
func commandRates(ctx context.Context, window time.Duration, servers ...*server) ([]float64, error) {
	before, err := commandCounts(ctx, servers)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := pause(ctx, window); err != nil {
		return nil, err
	}
	after, err := commandCounts(ctx, servers)
	if err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	rates := make([]float64, len(servers))
	for i := range rates {
		rates[i] = float64(after[i]-before[i]) / took
	}
	return rates, nil
}

func commandCounts(ctx context.Context, servers []*server) ([]int64, error) {
	counts := make([]int64, len(servers))
	for i, s := range servers {
		var err error
		if counts[i], err = s.commands(ctx); err != nil {
			return nil, err
		}
	}
	return counts, nil
}
