package semver

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
)

// entry is one line of npm's fixtures: strings, numbers, flags and options by
// position.
type entry []any

func (e entry) text(i int) string {
	if i >= len(e) {
		return ""
	}
	s, _ := e[i].(string)
	return s
}

// options reads the options at i: true is loose, an object names them, with
// JavaScript's idea of truth.
func (e entry) options(i int) (o Options) {
	if i >= len(e) {
		return o
	}
	switch v := e[i].(type) {
	case bool:
		o.Loose = v
	case map[string]any:
		o.Loose, o.IncludePrerelease = truthy(v["loose"]), truthy(v["includePrerelease"])
	}
	return o
}

func truthy(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	}
	return false // null, and the fixtures' marks for NaN and undefined
}

func mustParse(t *testing.T, text string, o Options) Version {
	t.Helper()
	v, err := Parse(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustRange(t *testing.T, text string, o Options) Range {
	t.Helper()
	r, err := ParseRange(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func matches(t *testing.T, e entry) bool {
	v, err := Parse(e.text(1), e.options(2))
	return err == nil && mustRange(t, e.text(0), e.options(2)).Match(v)
}

func expect[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// fixtureChecks tells what each list of npm's fixtures claims.
func fixtureChecks() map[string]func(*testing.T, entry) {
	above := func(want bool) func(*testing.T, entry) {
		return func(t *testing.T, e entry) {
			expect(t, mustRange(t, e.text(0), e.options(2)).Above(mustParse(t, e.text(1), e.options(2))), want)
		}
	}
	below := func(want bool) func(*testing.T, entry) {
		return func(t *testing.T, e entry) {
			expect(t, mustRange(t, e.text(0), e.options(2)).Below(mustParse(t, e.text(1), e.options(2))), want)
		}
	}
	return map[string]func(*testing.T, entry){
		"range-include":        func(t *testing.T, e entry) { expect(t, matches(t, e), true) },
		"range-exclude":        func(t *testing.T, e entry) { expect(t, matches(t, e), false) },
		"range-parse":          checkRangeParse,
		"range-intersection":   func(t *testing.T, e entry) { checkIntersects(t, e, Options{}) },
		"version-gt-range":     above(true),
		"version-not-gt-range": above(false),
		"version-lt-range":     below(true),
		"version-not-lt-range": below(false),
		"comparator-intersection": func(t *testing.T, e entry) {
			// The fourth place of this list means includePrerelease.
			checkIntersects(t, e, Options{IncludePrerelease: e.options(3).Loose})
		},
		"comparisons":      checkComparison,
		"equality":         checkEquality,
		"valid-versions":   checkValid,
		"invalid-versions": checkInvalid,
		"increments":       checkIncrement,
		"truncations":      checkTruncation,
	}
}

// TestQuality_Fixtures runs every entry of npm's own fixtures; all must hold.
func TestQuality_Fixtures(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(datatest.Path(t, "sdk", "node-semver-fixtures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string][]entry
	if err := json.Unmarshal(raw, &lists); err != nil {
		t.Fatal(err)
	}
	checks, entries, hold := fixtureChecks(), 0, 0
	for name, list := range lists {
		check, known := checks[name]
		if !known {
			t.Errorf("no check for the list %s", name)
			continue
		}
		for _, e := range list {
			entries++
			label, _ := json.Marshal(e)
			if t.Run(name+"/"+string(label[:min(len(label), 80)]), func(t *testing.T) { check(t, e) }) {
				hold++
			}
		}
	}
	t.Logf("%d entries in %d lists", entries, len(lists))
	datatest.Quality(t, "sdk_fetch_semver_fixtures", datatest.Share(hold, entries), 1)
}

func checkRangeParse(t *testing.T, e entry) {
	r, err := ParseRange(e.text(0), e.options(2))
	if e[1] == nil {
		if err == nil {
			t.Errorf("got %s, want an error", r)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r.String(), e.text(1))
}

func checkIntersects(t *testing.T, e entry, o Options) {
	a, b := mustRange(t, e.text(0), o), mustRange(t, e.text(1), o)
	expect(t, a.Intersects(b), e[2].(bool))
	expect(t, b.Intersects(a), e[2].(bool))
}

func checkComparison(t *testing.T, e entry) {
	a, b := mustParse(t, e.text(0), e.options(2)), mustParse(t, e.text(1), e.options(2))
	expect(t, a.Compare(b), 1)
	expect(t, b.Compare(a), -1)
	expect(t, a.Compare(a), 0)
}

func checkEquality(t *testing.T, e entry) {
	expect(t, mustParse(t, e.text(0), e.options(2)).Compare(mustParse(t, e.text(1), e.options(2))), 0)
}

func checkValid(t *testing.T, e entry) {
	v := mustParse(t, e.text(0), Options{})
	expect(t, [3]uint64{v.Major, v.Minor, v.Patch}, [3]uint64{uint64(e[1].(float64)), uint64(e[2].(float64)), uint64(e[3].(float64))})
	var pre []any
	for _, id := range v.Pre {
		if id.Numeric {
			pre = append(pre, float64(id.Number))
		} else {
			pre = append(pre, id.Text)
		}
	}
	if want := e[4].([]any); !slices.Equal(pre, want) {
		t.Errorf("prerelease: got %v, want %v", pre, want)
	}
	var build []any
	for _, b := range v.Build {
		build = append(build, b)
	}
	if want := e[5].([]any); !slices.Equal(build, want) {
		t.Errorf("build: got %v, want %v", build, want)
	}
}

func checkInvalid(t *testing.T, e entry) {
	text, isText := e[0].(string)
	if !isText {
		return // not a string: Go's types rule it out
	}
	if v, err := Parse(text, e.options(2)); err == nil {
		t.Errorf("got %s, want an error", v)
	}
}

// checkIncrement reads [version, release, want, options, tag, base].
func checkIncrement(t *testing.T, e entry) {
	step := Step{Release: e.text(1), Tag: e.text(4)}
	if len(e) > 3 && e.text(3) != "" {
		step.Tag = e.text(3) // options left away
	}
	if len(e) > 5 {
		step.Bare = e[5] == false
		if e[5] == "1" || e[5] == float64(1) {
			step.Base = 1
		}
	}
	v, err := Parse(e.text(0), e.options(3))
	if err == nil {
		v, err = v.Increment(step)
	}
	if e[2] == nil {
		if err == nil {
			t.Errorf("got %s, want an error", v)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v.String(), e.text(2))
}

func checkTruncation(t *testing.T, e entry) {
	v, err := mustParse(t, e.text(0), Options{}).Truncate(e.text(1))
	if e[2] == nil {
		if err == nil {
			t.Errorf("got %s, want an error", v)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v.String(), e.text(2))
}
