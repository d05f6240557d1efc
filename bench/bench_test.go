package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	values := []float64{5, 1, 4, 2, 3}
	for p, want := range map[float64]float64{0: 1, 20: 1, 50: 3, 99: 5, 100: 5} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile %g: got %g, want %g", p, got, want)
		}
	}
	if values[0] != 5 {
		t.Error("the values were sorted in place")
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("of nothing: got %g, want NaN", got)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	tests := []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}}
	for _, tt := range tests {
		if got := median(tt.values); got != tt.want {
			t.Errorf("%v: got %g, want %g", tt.values, got, tt.want)
		}
	}
}

func TestRatio_IsOverOneWhereWeAreBetter(t *testing.T) {
	t.Parallel()
	if got := (row{}).ratio(300, 100); got != 3 {
		t.Errorf("rate: got %g, want 3", got)
	}
	if got := (row{less: true}).ratio(2, 10); got != 5 {
		t.Errorf("time: got %g, want 5", got)
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 0, 1234567: 1235000, 0.00123456: 0.001235, math.Inf(1): 0} {
		if got := digits(v); math.Abs(got-want) > want*1e-9 {
			t.Errorf("%g: got %g, want %g", v, got, want)
		}
	}
}

func TestSumCalls_LeavesOutItsOwnLook(t *testing.T) {
	t.Parallel()
	stats := "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=5,usec_per_call=1\r\ncmdstat_info:calls=99,usec=1\r\n" +
		"cmdstat_client|setinfo:calls=3,usec=1\r\n"
	if got := sumCalls(stats); got != 15 {
		t.Errorf("got %d, want 15", got)
	}
}

func TestPayload_HasAboutTwoHundredBytesAndItsNumber(t *testing.T) {
	t.Parallel()
	raw := payload(4711)
	var p struct{ Query string }
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if len(raw) < 180 || len(raw) > 220 || number(p.Query) != 4711 {
		t.Errorf("got %d bytes, number %d", len(raw), number(p.Query))
	}
	if _, err := request(1).Check(time.Now()); err != nil {
		t.Error(err)
	}
}

func TestKeep_LeavesOtherRowsAsTheyAre(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "results.json")
	mine := func(ours float64) []measured {
		return []measured{{row: row{name: "drain", unit: "tasks/s"}, ours: []float64{ours}, base: []float64{100}}}
	}
	if err := keep(path, mine(150)); err != nil {
		t.Fatal(err)
	}
	const other = `{"name":"search_p50","unit":"ms","ours":1.50,"base":3,"ratio":2,"rounds":9,"data":"docs"}`
	if err := os.WriteFile(path, []byte("["+other+",\n"+`{"name":"drain","ours":1}`+"]"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := keep(path, mine(200)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "[\n  " + other + ",\n  " + `{"name":"drain","unit":"tasks/s","ours":200,"base":100,"ratio":2,"rounds":1}` + "\n]\n"
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestKeep_RefusesAFileItCannotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := keep(path, nil)
	if err == nil || !strings.Contains(err.Error(), "mend or remove") {
		t.Errorf("got %v", err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "{" {
		t.Errorf("the file was overwritten: %s", raw)
	}
}

// counting is a trial whose subjects count their rounds and tell their order.
func counting(order *[]string, ran *atomic.Int64) trial {
	subjectOf := func(name string, figures ...float64) subject {
		return subject{name: name, measure: func(context.Context) ([]float64, error) {
			*order = append(*order, name)
			round := float64(ran.Add(1))
			return append([]float64{round}, figures...), nil
		}}
	}
	return trial{
		subjects: []subject{subjectOf("a"), subjectOf("b", 7), subjectOf("c")},
		rows: []row{
			{name: "ab", ours: figure{0, 0}, base: figure{1, 1}},
			{name: "ac", ours: figure{0, 0}, base: figure{2, 0}},
		},
	}
}

func TestMeasure_AlternatesAndSkipsWhatNoRowNeeds(t *testing.T) {
	t.Parallel()
	var order []string
	var ran atomic.Int64
	got, err := measure(t.Context(), []trial{counting(&order, &ran)}, settings{rounds: 2, rows: regexp.MustCompile("^ab$")})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order: got %v, want %v", order, want)
	}
	if len(got) != 1 || !slices.Equal(got[0].ours, []float64{1, 3}) || !slices.Equal(got[0].base, []float64{7, 7}) {
		t.Errorf("got %+v", got)
	}
}

func TestMeasure_KeepsWhatCameBeforeAnError(t *testing.T) {
	t.Parallel()
	var order []string
	var ran atomic.Int64
	broken := errors.New("broken")
	bad := trial{
		subjects: []subject{{name: "bad", measure: func(context.Context) ([]float64, error) { return nil, broken }}},
		rows:     []row{{name: "bad"}},
	}
	got, err := measure(t.Context(), []trial{counting(&order, &ran), bad}, settings{rounds: 1, rows: regexp.MustCompile("")})
	if !errors.Is(err, broken) || len(got) != 2 {
		t.Errorf("got %d rows, %v", len(got), err)
	}
}

func TestParse_RefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-rounds", "0"}, {"-rounds", "101"}, {"-rows", "("}, {"-net", "udp"}, {"drain"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v: got no error", args)
		}
	}
	if s, err := parse([]string{"-quick", "-rounds", "9"}); err != nil || s.rounds != 3 {
		t.Errorf("quick: got %d rounds, %v", s.rounds, err)
	}
}

func TestInFlight_CallsEachOnceAndStopsAtAnError(t *testing.T) {
	t.Parallel()
	var seen [100]atomic.Int64
	err := inFlight(t.Context(), 10, 100, 8, func(i int) error { seen[i].Add(1); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i := range seen {
		if got, want := seen[i].Load(), int64(1); i >= 10 && got != want || i < 10 && got != 0 {
			t.Errorf("call %d: got %d times", i, got)
		}
	}
	broken := errors.New("broken")
	var calls atomic.Int64
	err = inFlight(t.Context(), 0, 1_000_000, 4, func(int) error { calls.Add(1); return broken })
	if !errors.Is(err, broken) || calls.Load() > 4 {
		t.Errorf("got %v after %d calls", err, calls.Load())
	}
}

// Each kind of subject once, on real servers, with a handful of tasks.
func TestTrials_MeasureOnARealRedis(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: apt-get install redis-server")
	}
	p, err := startPair(t.Context(), "tcp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	few := counts{enqueue: 400, drain: 100, samples: 5, slow: 1, trips: 10, window: 3 * time.Second, settle: time.Millisecond} // an idle asynq asks every 1.5 s at the latest
	rows := regexp.MustCompile("^(enqueue|drain|roundtrip|cache_hit|idle_commands)|_vs_5ms$")                                  // worker_rss is another process
	got, err := measure(t.Context(), trials(p, few), settings{rounds: 1, rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 12 {
		t.Errorf("got %d rows, want 12", len(got))
	}
	for _, m := range got {
		if !(m.ours[0] > 0) || !(m.base[0] > 0) {
			t.Errorf("row %s: got %v and %v", m.name, m.ours, m.base)
		}
	}
	var table strings.Builder
	if err := printTable(&table, got); err != nil || !strings.Contains(table.String(), "enqueue_bulk_vs_64") {
		t.Errorf("got %v:\n%s", err, table.String())
	}
}
