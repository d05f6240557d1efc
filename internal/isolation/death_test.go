package isolation

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Every way to misbehave ends with its own reason, and seven neighbors on the
// same pool finish unharmed.
func TestPool_offenders(t *testing.T) {
	const wall = 700 * time.Millisecond
	const ample = 15 * time.Second // where another limit is to be met
	cases := []struct {
		job    string
		in     string
		limits Limits
		want   tasks.Reason
		says   string
		stderr string
	}{
		{job: "loop", want: tasks.ReasonTimeout, says: "time limit of 700ms"},
		{job: "loop", limits: Limits{CPU: 150 * time.Millisecond}, want: tasks.ReasonCPU, says: "processor time"},
		{job: "ignore", want: tasks.ReasonTimeout},
		{job: "syscall", want: tasks.ReasonTimeout},
		{job: "polite", want: tasks.ReasonTimeout},
		{job: "five gigabytes", want: tasks.ReasonOOM, says: "96 MiB of memory"},
		{job: "balloon", want: tasks.ReasonOOM, says: "96 MiB of memory"},
		{job: "stack", want: tasks.ReasonPanic, says: "stack overflow", stderr: "stack exceeds"},
		{job: "exit", want: tasks.ReasonCrash, says: "exit code 0 without a result"},
		{job: "goexit", want: tasks.ReasonPanic},
		{job: "fail", in: "panic", want: tasks.ReasonPanic, says: "the job panicked: in the job"},
		{job: "goroutine panic", want: tasks.ReasonPanic, says: "in a goroutine of the job", stderr: "goroutine "},
		{job: "flood", in: "panic", want: tasks.ReasonPanic, says: "after the flood", stderr: "chatter"},
		{job: "garbage", want: tasks.ReasonCrash, says: "rules of its channel"},
		{job: "boundless", want: tasks.ReasonTooLarge},
		{job: "forged", want: tasks.ReasonCrash, says: "rules of its channel"},
		{job: "chatty", want: tasks.ReasonCrash, says: "rules of its channel"},
		{job: "wordy", want: tasks.ReasonCrash, says: "rules of its channel"},
		{job: "mute", want: tasks.ReasonCrash},
		{job: "long", in: "2000", limits: Limits{Output: 1000}, want: tasks.ReasonTooLarge, says: "more than the 1000 bytes"},
	}
	c := testConfig()
	c.Slots, c.Limits.Memory, c.MaxMemory = 8, 96<<20, 96<<20
	most := mostChildren(t) // it has the process to itself
	reg, dead := prometheus.NewRegistry(), map[tasks.Reason]float64{}
	p, err := New(c, zerolog.Nop(), NewMetrics(reg), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, p) })
	for _, tc := range cases {
		t.Run(strings.TrimSpace(tc.job+" "+tc.in), func(t *testing.T) {
			tc.limits.Wall = ample
			if tc.want == tasks.ReasonTimeout {
				tc.limits.Wall = wall
			}
			payload := []byte(`{"Text":"` + tc.in + `"}`)
			if tc.job == "long" {
				payload = []byte(tc.in)
			}
			neighbors := startNeighbors(t, p, 7)
			start := time.Now()
			reply, err := p.Do(t.Context(), Call{Func: tc.job, Payload: payload, Limits: tc.limits})
			took := time.Since(start)
			late := neighbors()
			if got := reasonOf(t, err); got != tc.want {
				t.Fatalf("got reason %s (%v), want %s", got, err, tc.want)
			}
			if d := checkDeath(t, err, tc.says, tc.stderr); d.Exit != returned {
				dead[tc.want]++
			}
			t.Logf("%s after %s, peak %s, CPU %s, neighbors late by %s: %v", tc.want, took.Round(time.Millisecond), size(reply.PeakMemory), reply.CPU, late, fault.Of(err).Message)
			if limit := tc.limits.Wall + time.Second; took > limit+late {
				t.Errorf("ended after %s, want it within %s, though neighbors were late by %s", took, limit, late)
			}
			checkUse(t, reply, tc.want, tc.limits.within(c.Limits, c.MaxMemory))
		})
	}
	if n := most(); n > c.Slots+c.Spares {
		t.Errorf("got %d children at once, want at most %d", n, c.Slots+c.Spares)
	}
	for _, reason := range []tasks.Reason{tasks.ReasonTimeout, tasks.ReasonCPU, tasks.ReasonOOM, tasks.ReasonCrash, tasks.ReasonPanic, tasks.ReasonTooLarge} {
		if n := value(t, reg, "jobyard_runner_kills_total", "test", string(reason)); n != dead[reason] || n == 0 {
			t.Errorf("got %v runners counted for %s, want %v", n, reason, dead[reason])
		}
	}
}

// mostChildren counts the children of this process until the function returned
// is called, which tells how many there were at most.
func mostChildren(t *testing.T) (stop func() int) {
	t.Helper()
	done, most := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				most <- n
				return
			case <-tick.C:
				n = max(n, children())
			}
		}
	}()
	return func() int { close(done); return <-most }
}

// checkUse bounds what an offender got beyond its limits: what a second gives.
func checkUse(t *testing.T, got Reply, why tasks.Reason, limits Limits) {
	t.Helper()
	if why == tasks.ReasonCPU && (got.CPU < limits.CPU || got.CPU > limits.CPU+time.Second) {
		t.Errorf("used %s of processor time, want its limit of %s and a second at most", got.CPU, limits.CPU)
	}
	// The balloon grows by 100 MB a second. The race detector has memory of its own.
	if why == tasks.ReasonOOM && !raceDetector && got.PeakMemory > limits.Memory+100e6 {
		t.Errorf("used %s of memory, want its limit of %s and 100 MB at most", size(got.PeakMemory), size(limits.Memory))
	}
}

// checkDeath looks at what the error tells people, and what the log.
func checkDeath(t *testing.T, err error, says, stderr string) (death DeathError) {
	t.Helper()
	f := fault.Of(err)
	if !strings.Contains(f.Message, says) {
		t.Errorf("got message %q, want it to say %q", f.Message, says)
	}
	if strings.ContainsAny(f.Message, "\n\t") || len(f.Message) > 400 {
		t.Errorf("got message %q, want one short line", f.Message)
	}
	if len(err.Error()) > 10_000 {
		t.Errorf("got %d bytes of error, want them bounded", len(err.Error()))
	}
	if d := (*DeathError)(nil); errors.As(err, &d) {
		death = *d
	}
	if !strings.Contains(death.Stderr, stderr) || death.PeakMemory == 0 || death.Exit == "" {
		t.Errorf("got death %+v, want stderr with %q and a peak", death, stderr)
	}
	return death
}

// startNeighbors has n callers run tasks beside, one after the other, until the
// function returned is called. It says by how much the latest of them was late:
// that is the machine, and what it costs a neighbor it may cost an offender.
func startNeighbors(t *testing.T, p *Pool, n int) (stop func() (late time.Duration)) {
	const takes = 10 * time.Millisecond
	var wg sync.WaitGroup
	done, worst := make(chan struct{}), make(chan time.Duration, n)
	for range n {
		wg.Go(func() {
			var late time.Duration
			for ended := false; !ended; {
				start := time.Now()
				if _, err := Remote(p, "stint", stint)(t.Context(), takes); err != nil {
					t.Errorf("neighbor: %v", err)
				}
				late = max(late, time.Since(start)-takes)
				select {
				case <-done:
					ended = true
				default:
				}
			}
			worst <- late
		})
	}
	return func() (late time.Duration) {
		close(done)
		wg.Wait()
		for range n {
			late = max(late, <-worst)
		}
		return late
	}
}

// A flood alone is no failure.
func TestPool_floodIsCutOff(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	out, err := Remote[echo, echo](p, "flood", nil)(t.Context(), echo{"done"})
	if err != nil || out.Text != "done" {
		t.Errorf("got %v, %v, want its result", out, err)
	}
}

// How a context ends decides the verdict; a polite task keeps its runner.
func TestPool_contextCauses(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Grace = 3 * time.Second // on a busy machine
	p := newPool(t, c)
	withdrawn := &fault.Error{Verdict: fault.Canceled, Reason: tasks.ReasonCanceled, Message: "canceled by a caller"}
	for _, tc := range []struct {
		name  string
		job   string
		cause error
		want  tasks.Reason
		keeps bool
	}{
		{"a fault speaks for itself", "polite", withdrawn, tasks.ReasonCanceled, true},
		{"another cause is an interruption", "polite", errors.New("drain"), tasks.ReasonInterrupted, true},
		{"a job that does not listen is killed", "ignore", withdrawn, tasks.ReasonCanceled, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := start(ctx, p, Call{Func: tc.job, Payload: []byte("{}")})
			pid := atWork(t, p)
			cancel(tc.cause)
			err := <-ended
			if got := reasonOf(t, err); got != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
			if kept := alive(pid); kept != tc.keeps {
				t.Errorf("got runner alive %t, want %t", kept, tc.keeps)
			}
		})
	}
}

// A deadline of the context is a timeout, like the limit itself.
func TestPool_deadline(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("time limit"))
	defer cancel()
	_, err := p.Do(ctx, Call{Func: "ignore", Payload: []byte("{}")})
	if got := reasonOf(t, err); got != tasks.ReasonTimeout {
		t.Errorf("got %s (%v), want %s", got, err, tasks.ReasonTimeout)
	}
}

// What kills a runner from outside is a crash, at work and at rest.
func TestPool_killedFromOutside(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	ended := start(t.Context(), p, Call{Func: "ignore", Payload: []byte("{}")})
	kill(t, atWork(t, p))
	if got := reasonOf(t, <-ended); got != tasks.ReasonCrash {
		t.Errorf("got %s, want %s", got, tasks.ReasonCrash)
	}
	for _, r := range p.Runners() {
		kill(t, r.PID)
	}
	if _, err := Remote[echo, int](p, "pid", nil)(t.Context(), echo{}); err != nil && reasonOf(t, err) != tasks.ReasonCrash {
		t.Errorf("got %v, want a result or a crash", err)
	}
	eventually(t, "back in service", func() bool {
		_, err := Remote[echo, int](p, "pid", nil)(t.Context(), echo{})
		return err == nil
	})
}

// The node's memory watch may give up a task.
func TestPool_evict(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	ctx, _ := WithAttempt(t.Context(), "task-7", Limits{})
	ended := start(ctx, p, Call{Func: "ignore", Payload: []byte("{}")})
	eventually(t, "evicted", func() bool {
		for _, r := range p.Runners() {
			if r.Task == "task-7" {
				return p.Evict(r.PID)
			}
		}
		return false
	})
	if got := reasonOf(t, <-ended); got != tasks.ReasonOOM {
		t.Errorf("got %s, want %s", got, tasks.ReasonOOM)
	}
	if p.Evict(1) {
		t.Error("evicted a process that is no runner")
	}
}
