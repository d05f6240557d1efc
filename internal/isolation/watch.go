package isolation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// watch is one task at work in a child.
type watch struct {
	c      *child
	limits Limits
	wall   time.Duration // the limit as it was asked for; limits has what ctx leaves of it
	most   int64         // the highest memory ceiling of the pool
	grace  time.Duration
	// starved reports whether the kernel has killed for want of memory lately.
	starved func() bool

	cpu0    time.Duration
	cpuUsed time.Duration
	peak    int64
	verdict *fault.Error // why it is being stopped
	stop    *time.Timer  // fires when a task that is being stopped has had its grace
}

// run hands the task over and waits for its end, whatever that is. When it
// returns a fault with a DeathError, the child is dead or dying.
func (w *watch) run(ctx context.Context, call Call) (Reply, error) {
	w.c.stderr.reset()
	if err := w.c.meter.bound(w.limits, w.most); err != nil {
		w.c.kill(crashFault("its limits could not be set").Because(err))
		return w.bury()
	}
	w.cpu0 = w.c.meter.cpu()
	w.c.told.to(w.c.seq+1, progress.Of(ctx))
	defer w.c.told.to(0, nil)
	w.send(call)
	wall := time.NewTimer(w.wall)
	defer wall.Stop()
	w.stop = time.NewTimer(time.Hour)
	defer w.stop.Stop()
	poll := time.NewTimer(w.pace(0))
	defer poll.Stop()
	done := ctx.Done()
	for {
		select {
		case f, ok := <-w.c.frames:
			if !ok {
				return w.bury()
			}
			return w.answer(f)
		case <-poll.C:
			poll.Reset(w.check())
		case <-wall.C:
			w.soften(timeoutFault(w.wall))
		case <-done:
			done = nil
			w.soften(contextFault(ctx, w.limits.Wall))
		case <-w.stop.C:
			w.c.kill(w.verdict)
			return w.bury()
		}
	}
}

// send writes the task beside the watch: a child that does not read must not
// hold it up. The write ends with the child's end at the latest.
func (w *watch) send(call Call) {
	w.c.seq++
	w.c.awaits.Store(true)
	f := callFrame{
		seq: w.c.seq, wall: w.limits.Wall, memory: w.limits.Memory,
		output: int64(w.limits.Output), name: call.Func, place: call.place, payload: call.Payload,
	}
	go writeFrame(w.c.conn, frameCall, f.head(), f.payload) //nolint:errcheck // the watch sees the end of what is not read
}

// soften ends the task's context in the child. It has the grace to return.
func (w *watch) soften(verdict *fault.Error) {
	if w.verdict != nil {
		return
	}
	w.verdict = verdict
	w.stop.Reset(w.grace)
	seq := seqBytes(w.c.seq)
	go writeFrame(w.c.conn, frameCancel, seq) //nolint:errcheck // as above
}

// check reads what the task uses, and says when to look again.
func (w *watch) check() time.Duration {
	rss := w.measure()
	if raceDetector { // whose shadow memory is not the task's
		rss = max(0, rss-w.c.fresh)
	}
	switch {
	case rss > w.limits.Memory:
		// No grace: memory grows faster than anybody reacts.
		w.c.kill(memoryFault(w.limits.Memory))
	case w.cpuUsed > w.limits.CPU:
		w.soften(cpuFault(w.limits.CPU))
	}
	return w.pace(rss)
}

func (w *watch) measure() (rss int64) {
	rss = w.c.meter.rss()
	w.c.rss = rss
	w.peak = max(w.peak, rss)
	if cpu := w.c.meter.cpu(); cpu > w.cpu0 {
		w.cpuUsed = cpu - w.cpu0
	}
	return rss
}

// pace is how soon a limit could be passed: memory can be faulted in at some
// 8 GB/s. A look costs about 6 µs.
func (w *watch) pace(rss int64) time.Duration {
	const slowest, fastest = 50 * time.Millisecond, 2 * time.Millisecond
	memory := time.Duration(w.limits.Memory-rss) / 8 // one byte takes 1/8 ns
	return max(fastest, min(slowest, memory, w.limits.CPU-w.cpuUsed))
}

// answer reads the child's reply. One that came after a limit is no result.
func (w *watch) answer(f frame) (Reply, error) {
	w.measure()
	reply := Reply{PeakMemory: w.peak, CPU: w.cpuUsed}
	seq, body, err := seqOf(f.body)
	if err == nil && (seq != w.c.seq || f.kind != frameReply && f.kind != frameFault) {
		err = fmt.Errorf("%w: type %d for call %d, not %d", errCorrupt, f.kind, seq, w.c.seq)
	}
	if err == nil {
		reply.steps, body, err = stepsOf(body)
	}
	var failed error
	if err == nil && f.kind == frameFault {
		failed, err = decodeFault(body)
	}
	switch {
	case err != nil:
		w.c.kill(crashFault("it broke the rules of its channel").Because(err))
		return w.bury()
	case w.verdict != nil:
		return reply, w.explain(w.verdict)
	case failed != nil:
		if f := fault.Of(failed); slices.Contains(overreached, f.Reason) {
			failed = w.explain(f)
		}
		return reply, failed
	case len(body) > w.limits.Output:
		return reply, w.explain(outputFault(int64(w.limits.Output)))
	}
	reply.Payload = body
	return reply, nil
}

// overreached are the reasons of a task that took too much or broke down, though
// its runner lives on.
var overreached = []tasks.Reason{tasks.ReasonTimeout, tasks.ReasonPanic, tasks.ReasonTooLarge}

// returned is how an attempt ended whose runner lives on.
const returned = "its task's return"

// explain adds what the task had used when it returned.
func (w *watch) explain(f *fault.Error) *fault.Error {
	return f.Because(errors.Join(f.Err, &DeathError{
		PeakMemory: w.peak, CPU: w.cpuUsed, Exit: returned, Stderr: w.c.stderr.String(),
	}))
}

// bury waits for the child to be reaped and says why it died. A child that
// hangs in the kernel keeps its slot, but not its task.
func (w *watch) bury() (Reply, error) {
	timer := time.NewTimer(reapGrace)
	defer timer.Stop()
	death := &DeathError{Exit: "a kill that has not taken effect"}
	verdict := w.c.fated()
	if verdict == nil {
		verdict = w.verdict
	}
	select {
	case <-w.c.dead:
		status := w.account(death)
		if verdict == nil {
			verdict = autopsy(status, w.c.brokenBy(), w.c.stderr.String(), w.limits, w.starved)
		}
	case <-timer.C:
		if verdict == nil {
			verdict = crashFault("it does not end")
		}
	}
	death.PeakMemory, death.CPU, death.Stderr = w.peak, w.cpuUsed, w.c.stderr.String()
	f := *verdict
	f.Err = death
	if verdict.Err != nil {
		f.Err = errors.Join(verdict.Err, death)
	}
	return Reply{PeakMemory: w.peak, CPU: w.cpuUsed}, &f
}

// account closes the books with what the kernel counted.
func (w *watch) account(death *DeathError) syscall.WaitStatus {
	state := w.c.cmd.ProcessState
	if state == nil {
		return 0
	}
	death.Exit = state.String()
	w.cpuUsed = max(w.cpuUsed, state.UserTime()+state.SystemTime()-w.cpu0)
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		w.peak = max(w.peak, peakOf(u))
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	return status
}
