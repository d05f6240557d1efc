package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/memwatch"
)

// memoryTrial measures what an idle node holds, each in a process of its own.
func memoryTrial(p *pair, n counts) trial {
	const ours, base = 0, 1
	note := "worker_rss: resident memory of a process that is an idle node with all four kinds and does nothing else; " +
		"both are this program, so that both carry the same code."
	return trial{
		subjects: []subject{
			{"ours worker rss", p.ours, childRSS("ours", p.ours, n.settle)},
			{"raw worker rss", p.base, childRSS("base", p.base, n.settle)},
		},
		rows: []row{{"worker_rss", "MiB", true, figure{ours, 0}, figure{base, 0}, false, note}},
	}
}

// childRSS starts this program as an idle node and asks it, after a while, how
// much memory it holds. The child ends with its standard input, and so with us.
func childRSS(side string, s *server, settle time.Duration) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) (figures []float64, err error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		cmd := exec.CommandContext(ctx, self, "-child", side, "-redis", s.url)
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
		bytes, err := askRSS(ctx, in, bufio.NewReader(out), settle)
		if err := errors.Join(err, in.Close(), cmd.Wait()); err != nil {
			return nil, fmt.Errorf("ask an idle node: %w", err)
		}
		return []float64{float64(bytes) / (1 << 20)}, nil
	}
}

// askRSS waits for the line that tells that the node runs, leaves it alone for
// a while, and asks by a line of its own.
func askRSS(ctx context.Context, in io.Writer, out *bufio.Reader, settle time.Duration) (int64, error) {
	if _, err := out.ReadString('\n'); err != nil {
		return 0, err
	}
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(in, "rss?\n"); err != nil {
		return 0, err
	}
	line, err := out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(line), 10, 64)
}

// idleChild is the other end of childRSS.
func idleChild(ctx context.Context, side, url string) error {
	if side != "ours" && side != "base" {
		return fmt.Errorf("-child must be ours or base, got %q", side)
	}
	stop, err := startIdle(ctx, side, url)
	if err != nil {
		return err
	}
	fmt.Println("runs")
	asked := bufio.NewScanner(os.Stdin)
	for asked.Scan() {
		fmt.Println(memwatch.NewMeter().Read().RSS)
	}
	return errors.Join(asked.Err(), stop())
}
