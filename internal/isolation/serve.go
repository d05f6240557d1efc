package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	_ "time/tzdata" // a locked runner cannot read the machine's time zones

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// hello is what a child needs to know before it is ready. It comes over the
// channel, since the environment is empty.
type hello struct {
	Sandbox Mode  `json:"sandbox"`
	Memory  int64 `json:"memory"`
	Input   int   `json:"input"`
	Procs   int   `json:"procs"`
}

// Serve is the child's side: main calls it under the hidden command and exits
// with what it returns. It ends when the parent closes the channel.
func Serve(table Table) int {
	conn, err := channel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return 2
	}
	r := &runner{table: table, conn: conn}
	if err := r.prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return 2
	}
	if err := r.serve(); !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return 2
	}
	return 0
}

// channelFD is where the parent puts the child's end of the socketpair.
const channelFD = 3

func channel() (net.Conn, error) {
	f := os.NewFile(channelFD, "channel")
	defer f.Close() //nolint:errcheck // FileConn takes a copy, which is not inherited
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, errors.New("this command is for the worker alone: it starts it with a channel")
	}
	return conn, nil
}

// runner is the child's state.
type runner struct {
	table  Table
	conn   net.Conn
	input  int
	memory int64

	mu     sync.Mutex // guards what follows, and the writing of frames
	seq    uint32     // of the task at work; 0 is none
	cancel context.CancelFunc
}

// prepare does all that needs the machine, locks, and says ready.
func (r *runner) prepare() error {
	f, err := readFrame(r.conn, maxFault)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if f.kind != frameHello {
		return fmt.Errorf("read the settings: got a frame of type %d", f.kind)
	}
	var h hello
	if err := json.Unmarshal(f.body, &h); err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	r.input = h.Input + callHeader + 2*255
	r.bound(h.Memory)
	// Set outright, GOMAXPROCS also stops looking for the control group's limit.
	runtime.GOMAXPROCS(h.Procs)
	debug.SetMaxThreads(64)
	_, _ = time.Now().Local().Zone()     // reads /etc/localtime once
	_ = mime.TypeByExtension(".jobyard") // reads /etc/mime.types once
	for name, entry := range r.table {
		for _, warm := range entry.warm {
			if err := warm(); err != nil {
				return fmt.Errorf("warm %s: %w", name, err)
			}
		}
	}
	report := Report{Level: None}
	if h.Sandbox != Off {
		report = lock()
	}
	b, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return writeFrame(r.conn, frameReady, b)
}

// bound fits the runtime into a ceiling: collect before it is reached, and end
// a runaway recursion before the kernel ends the process.
func (r *runner) bound(memory int64) {
	if memory == r.memory {
		return
	}
	r.memory = memory
	debug.SetMemoryLimit(memory * 85 / 100)
	debug.SetMaxStack(int(min(memory/4, 64<<20)))
}

// serve obeys the parent until its channel ends: io.EOF.
func (r *runner) serve() error {
	for {
		f, err := readFrame(r.conn, r.input)
		if err != nil {
			return err
		}
		switch f.kind {
		case frameCall:
			c, err := parseCall(f.body)
			if err != nil {
				return err
			}
			go r.do(r.begin(c), c)
		case frameCancel:
			seq, _, err := seqOf(f.body)
			if err != nil {
				return err
			}
			r.stop(seq)
		case frameCollect:
			if err := r.collect(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: type %d is not for a runner", errCorrupt, f.kind)
		}
	}
}

// begin makes the task's context before another frame is read, which may be
// the one that cancels it.
func (r *runner) begin(c callFrame) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), c.wall)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq, r.cancel = c.seq, cancel
	r.bound(c.memory)
	return ctx
}

// do runs one task. A parent that has gone away has no use for the answer, so
// that a write may fail.
func (r *runner) do(ctx context.Context, c callFrame) {
	ctx, steps := trace.Collect(ctx, trace.Read(c.place, ""))
	reports := &progress.Throttle{Send: func(_ context.Context, p tasks.Progress) { r.report(c.seq, p) }}
	out, err := r.guarded(progress.With(ctx, reports.Report), c)
	reports.Close()
	if err == nil && int64(len(out)) > c.output {
		err = outputFault(c.output).Because(fmt.Errorf("the result has %d bytes", len(out)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	r.seq, r.cancel = 0, nil
	head := headOf(c.seq, steps.Told())
	if err != nil {
		_ = writeFrame(r.conn, frameFault, head, encodeFault(err))
		return
	}
	_ = writeFrame(r.conn, frameReply, head, out)
}

// report tells the parent how far the task at work is.
func (r *runner) report(seq uint32, p tasks.Progress) {
	b, err := json.Marshal(p)
	if err != nil {
		return // has only numbers and texts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq == seq {
		_ = writeFrame(r.conn, frameProgress, seqBytes(seq), b) // as in do
	}
}

// guarded calls the function and turns its panic, and its runtime.Goexit, into
// a fault.
func (r *runner) guarded(ctx context.Context, c callFrame) (out []byte, err error) {
	entry, ok := r.table[c.name]
	if !ok {
		return nil, fault.PermanentError(tasks.ReasonUnknown, "this runner has no function %q", c.name)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			switch v := recover(); {
			case v != nil:
				err = panicFault(fmt.Sprint(v)).Because(fmt.Errorf("%v\n%.2000s", v, debug.Stack()))
			case !returned:
				err = panicFault("it ended its goroutine")
			}
		}()
		out, err = entry.call(ctx, c.payload)
		returned = true
	}()
	<-done
	return out, err
}

// stop ends the context of a task, if it still runs.
func (r *runner) stop(seq uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil && r.seq == seq {
		r.cancel()
	}
}

// collect gives memory back and tells how much stays alive.
func (r *runner) collect() error {
	runtime.GC() // a sync.Pool lets go at the second collection only
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := json.Marshal(collected{Live: int64(m.HeapAlloc), Goroutines: runtime.NumGoroutine()})
	if err != nil {
		return fmt.Errorf("write the live heap: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return writeFrame(r.conn, frameCollected, b)
}

// collected is what a quiescent runner tells after a collection.
type collected struct {
	Live       int64 `json:"live"`
	Goroutines int   `json:"goroutines"`
}
