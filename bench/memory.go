package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// memoryTrial measures what an idle node holds, each in a process of its own.
// Raw asynq's is another program: this one carries all that our worker links,
// which would count as asynq's.
func memoryTrial(p *pair, n counts) trial {
	const ours, base = 0, 1
	rawNode := filepath.Join(p.dir, "rawnode")
	note := "worker_rss: resident memory of a process that is an idle node with all four kinds (8 queues): ours with everything that " +
		"the worker links, raw asynq as a program that links nothing else."
	return trial{
		prepare: func(ctx context.Context) (func() error, error) { return buildRawNode(ctx, rawNode) },
		subjects: []subject{
			{"ours worker rss", p.ours, nodeRSS(p.ours, n.settle, func() ([]string, error) {
				self, err := os.Executable()
				return []string{self, "-child", "-redis", p.ours.url}, err
			})},
			{"raw worker rss", p.base, nodeRSS(p.base, n.settle, func() ([]string, error) {
				return append([]string{rawNode, "-redis", p.base.url}, tasks.Queues()...), nil
			})},
		},
		rows: []row{{"worker_rss", "MiB", true, figure{ours, 0}, figure{base, 0}, false, note}},
	}
}

func buildRawNode(ctx context.Context, path string) (func() error, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/jobyard/jobyard/bench/rawnode")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build raw asynq's node (run me in the project): %w: %.500s", err, out)
	}
	return func() error { return nil }, nil
}

// nodeRSS starts an idle node, leaves it alone for a while and reads how much
// memory it holds, in MiB. The node ends with its standard input, and so with us.
func nodeRSS(s *server, settle time.Duration, command func() ([]string, error)) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) (figures []float64, err error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		args, err := command()
		if err != nil {
			return nil, fmt.Errorf("find the node's program: %w", err)
		}
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, fmt.Errorf("start an idle node: %w", err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, fmt.Errorf("start an idle node: %w", err)
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("start an idle node: %w", err)
		}
		_, err = bufio.NewReader(out).ReadString('\n') // it runs
		if err == nil {
			err = pause(ctx, settle)
		}
		rss, readErr := readRSS(cmd.Process.Pid)
		if err := errors.Join(err, readErr, in.Close(), cmd.Wait()); err != nil {
			return nil, fmt.Errorf("measure an idle node: %w", err)
		}
		return []float64{float64(rss) / (1 << 20)}, nil
	}
}

// readRSS reads the resident memory of a process, in bytes.
func readRSS(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read a process's memory, which takes Linux: %w", err)
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read a process's memory: got %q", raw)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// idleChild is our idle node of nodeRSS.
func idleChild(ctx context.Context, url string) error {
	stop, err := startNode(ctx, url, 0, jobs(func(string) {}))
	if err != nil {
		return err
	}
	fmt.Println("runs")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, stop())
}
