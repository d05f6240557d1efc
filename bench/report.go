package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// printTable writes the rows with their spread and, below, what each compares.
func printTable(w io.Writer, rows []measured) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nrow\tunit\tours\traw asynq\tratio\tours min..max\traw asynq min..max\tratio min..max\trounds\t")
	for _, m := range rows {
		ours, base := median(m.ours), median(m.base)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", m.name, m.unit, short(ours), short(base),
			short(m.ratio(ours, base)), spread(m.ours), spread(m.base), spread(m.ratios()), len(m.ours))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if err := printCosts(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nFigures are medians of the rounds; a ratio over 1 is better for us.")
	var notes []string
	for _, m := range rows {
		notes = append(notes, m.note)
	}
	for _, note := range slices.Compact(notes) {
		fmt.Fprintln(w, "-", note)
	}
	return nil
}

// printCosts writes what a task costs in CPU time.
func printCosts(w io.Writer, rows []measured) error {
	if !slices.ContainsFunc(rows, func(m measured) bool { return m.costs }) {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nCPU time a task\tunit\tours: process\tredis\traw asynq: process\tredis\tratio of the sums\t")
	for _, m := range rows {
		if m.costs {
			ours, oursRedis := costs(m.oursCPU)
			base, baseRedis := costs(m.baseCPU)
			fmt.Fprintf(t, "%s\tµs\t%s\t%s\t%s\t%s\t%s\t\n", m.name, short(ours), short(oursRedis), short(base), short(baseRedis),
				short((base+baseRedis)/(ours+oursRedis)))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the costs: %w", err)
	}
	return nil
}

func costs(rounds [][2]float64) (process, redis float64) {
	var p, r []float64
	for _, c := range rounds {
		p, r = append(p, c[0]), append(r, c[1])
	}
	return median(p), median(r)
}

// short writes figures with three digits or more.
func short(figures ...float64) string {
	var texts []string
	for _, v := range figures {
		decimals := 0
		switch {
		case v < 10:
			decimals = 2
		case v < 100:
			decimals = 1
		}
		texts = append(texts, strconv.FormatFloat(v, 'f', decimals, 64))
	}
	return strings.Join(texts, " ")
}

func spread(values []float64) string {
	return short(slices.Min(values)) + ".." + short(slices.Max(values))
}

// environment says on what the figures were taken.
func environment(ctx context.Context, p *pair) string {
	load := "unknown"
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(raw))[:3], " ")
	}
	return fmt.Sprintf("%d CPUs, GOMAXPROCS %d, load average %s, %s/%s, %s, redis %s over %s, asynq %s, go-redis %s", runtime.NumCPU(),
		runtime.GOMAXPROCS(0), load, runtime.GOOS, runtime.GOARCH, runtime.Version(), p.base.version(ctx), p.network,
		module("github.com/hibiken/asynq"), module("github.com/redis/go-redis/v9"))
}

func module(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == path {
				return d.Version
			}
		}
	}
	return "unknown"
}

// result is a row of results.json.
type result struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Ours   float64 `json:"ours"`
	Base   float64 `json:"base"`
	Ratio  float64 `json:"ratio"`
	Rounds int     `json:"rounds"`
}

func (m measured) result() result {
	ours, base := median(m.ours), median(m.base)
	return result{m.name, m.unit, digits(ours), digits(base), digits(m.ratio(ours, base)), len(m.ours)}
}

// keep writes the rows into the file and leaves those of other names there as
// they are, byte for byte.
func keep(path string, rows []measured) error {
	var kept []json.RawMessage
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the results: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(raw, &kept); err != nil {
			return fmt.Errorf("read the results in %s: %w; mend or remove the file", path, err)
		}
	}
	for _, m := range rows {
		text, err := json.Marshal(m.result())
		if err != nil {
			return fmt.Errorf("encode row %s: %w", m.name, err)
		}
		kept = put(kept, m.name, text)
	}
	lines := make([]string, len(kept))
	for i, text := range kept {
		lines[i] = "  " + string(text)
	}
	return replace(path, []byte("[\n"+strings.Join(lines, ",\n")+"\n]\n"))
}

// put replaces the row of the name, or adds it.
func put(rows []json.RawMessage, name string, text []byte) []json.RawMessage {
	at := slices.IndexFunc(rows, func(raw json.RawMessage) bool {
		var r result
		return json.Unmarshal(raw, &r) == nil && r.Name == name
	})
	if at < 0 {
		return append(rows, text)
	}
	rows[at] = text
	return rows
}

// replace writes the whole file or nothing.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the directory of the results: %w", err)
	}
	part := path + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}
