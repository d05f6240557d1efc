package isolation

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// p50 reports the median of what was measured.
func p50(b *testing.B, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// BenchmarkPool_roundTrip is what a runner costs a no-op task, with all limits
// watched and the sandbox on, beside the same function inline.
func BenchmarkPool_roundTrip(b *testing.B) {
	c := testConfig()
	c.Recycle.Tasks = 1 << 30
	p := newPool(b, c)
	for _, size := range []int{1 << 10, 100 << 10, 5 << 20} {
		payload := make([]byte, size)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := p.Do(b.Context(), Call{Func: "raw", Payload: payload}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			p50(b, took)
		})
	}
}

// BenchmarkRemote is a no-op through the typed seam, in a runner and inline.
func BenchmarkRemote(b *testing.B) {
	for name, p := range map[string]*Pool{"runner": newPool(b, testConfig()), "inline": Inline()} {
		job := Remote(p, "work", work)
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := job(b.Context(), 0); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			p50(b, took)
		})
	}
}

// BenchmarkSpawn is the time from nothing to a runner that is ready.
func BenchmarkSpawn(b *testing.B) {
	for _, mode := range []Mode{Off, Auto} {
		b.Run(string(mode), func(b *testing.B) {
			c := testConfig()
			c.Sandbox = mode
			p := newPool(b, c)
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				child, err := startChild(p.cfg, p.spawner)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
				child.kill(nil)
				<-child.dead
			}
			p50(b, took)
		})
	}
}

// BenchmarkPool_kill is the time from the end of a runner at work until a new
// one is ready, without and with a spare.
func BenchmarkPool_kill(b *testing.B) {
	c := testConfig()
	c.Slots = 1
	p, err := New(c, zerolog.Nop(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closePool(b, p) })
	var dead, ready []time.Duration
	for b.Loop() {
		eventually(b, "spare", func() bool { return len(p.Runners()) >= 1 })
		ended := start(b.Context(), p, Call{Func: "ignore", Payload: []byte("{}")})
		pid := atWork(b, p)
		at := time.Now()
		syscall.Kill(pid, syscall.SIGKILL)
		if err := <-ended; err == nil {
			b.Fatal("a killed call returned a result")
		}
		dead = append(dead, time.Since(at))
		if _, err := p.Do(b.Context(), Call{Func: "raw"}); err != nil {
			b.Fatal(err)
		}
		ready = append(ready, time.Since(at))
	}
	slices.Sort(dead)
	b.ReportMetric(float64(dead[len(dead)/2].Microseconds()), "reaped-p50-µs")
	p50(b, ready)
}
