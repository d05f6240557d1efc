package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// verdict is what is reported.
type verdict struct {
	At       time.Time      `json:"at"`
	Took     time.Duration  `json:"took_ns"`
	Settings settings       `json:"settings"`
	Storm    map[string]int `json:"storm"`
	Checks   []check        `json:"checks"`
	Figures  []figure       `json:"figures"`
	Odd      []string       `json:"odd_keys,omitempty"`
	Examples []string       `json:"examples,omitempty"`
}

// figure is told, not judged.
type figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (v verdict) ok() bool {
	return !slices.ContainsFunc(v.Checks, func(c check) bool { return !c.OK })
}

// maxExamples bounds how many broken tasks are told in full.
const maxExamples = 20

func (v *verdict) example(check string, n int, t *life, runs []int) {
	if len(v.Examples) < maxExamples {
		v.Examples = append(v.Examples, fmt.Sprintf("%s: task %d, offered at %d, acknowledged at %d, ran at %v, seen %+v, at the end %+v, in the log as runs %v",
			check, n, t.offered, t.acked, t.runs, t.first, t.last, runs))
	}
}

// write writes the report, and its JSON beside it.
func (v verdict) write(path string) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(path, []byte(v.markdown()), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	beside := strings.TrimSuffix(path, filepath.Ext(path)) + ".json"
	if err := os.WriteFile(beside, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (v verdict) markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	s := v.Settings
	result := "Nothing was lost, and nothing was committed twice."
	if !v.ok() {
		result = "**A promise was broken.**"
	}
	line("# Chaos report\n\n%s\n", result)
	line("Written by `make chaos` on %s, %d processors, %s/%s, in %s. Anyone can repeat it.\n",
		v.At.Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, v.Took.Round(time.Second))
	line("For %s, %d tasks a second (%d of them in batches) were handed over to %d workers with %d slots each, on a Redis with an",
		s.Span, s.Rate, s.Batch, s.Workers, s.Slots)
	line("append-only file and appendfsync always. Meanwhile, at random (seed %d):\n", s.Seed)
	line("| what was done | times |\n|---|---|")
	for _, what := range slices.Sorted(maps.Keys(v.Storm)) {
		line("| %s | %d |", what, v.Storm[what])
	}
	line("\nEach task parses a document that it fetches from the checker, which numbers every execution. The checker believes no word")
	line("of the queue: it compares its own ledger (what was acknowledged, executed, and seen as a result) with every write in Redis's")
	line("append-only file. What is refused is offered again under the same id; every other single task has none, and is left then.\n")
	line("| promise | found | allowed | |\n|---|---|---|---|")
	for _, c := range v.Checks {
		sign := "ok"
		if !c.OK {
			sign = "**broken**"
		}
		line("| %s: %s | %d | %d | %s |", c.Name, c.Says, c.Value, c.Gate, sign)
	}
	line("\n| figure | |\n|---|---|")
	for _, f := range v.Figures {
		line("| %s | %s |", f.Name, f.Value)
	}
	line("\nA task that was executed more than once lost its worker in between: its start is repeated, its result is committed once.")
	for _, key := range v.Odd {
		line("\nOdd key: `%s`", key)
	}
	for _, e := range v.Examples {
		line("\n%s", e)
	}
	return b.String()
}
