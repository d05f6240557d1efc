package isolation

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/trace"
)

const (
	// stderrGrace is how long a child's standard error is read after its end.
	stderrGrace = 500 * time.Millisecond
	// reapGrace is how long a verdict waits for the killed child: one of 2 GB
	// takes a quarter of a second, one that hangs in the kernel forever.
	reapGrace = 600 * time.Millisecond
	// collectTimeout is how long a collection may take.
	collectTimeout = 5 * time.Second
)

// child is a runner as the parent sees it.
type child struct {
	cmd    *exec.Cmd
	conn   net.Conn
	meter  *meter
	stderr *head
	report Report
	born   time.Time // when it was ready
	spread float64   // of its recycling figures: 0.8 to 1.2
	files  int       // open when it was ready
	fresh  int64     // RSS when it was ready

	frames chan frame    // what it sends: one frame for each that it is asked for
	broken error         // why frames was closed; io.EOF if it just ended
	dead   chan struct{} // closed when it is reaped
	awaits atomic.Bool   // something is expected from it
	told   told          // what it says meanwhile
	seq    uint32
	rss    int64 // at the end of its last task

	mu     sync.Mutex // guards what follows: nobody is killed after the reaping
	killed bool
	reaped bool
	fate   *fault.Error // the verdict of whoever killed it on purpose

	// Guarded by the pool's lock.
	state  state
	slot   bool // it takes one of the slots
	task   string
	done   int
	idleAt time.Time
	due    string // why it is to be replaced
}

type state int

const (
	idle state = iota
	busy
	collecting
	ending
)

func (s state) String() string { return [...]string{"idle", "busy", "collecting", "ending"}[s] }

// startChild returns a child that is ready. One that is not ready in time has
// been reaped when it returns.
func startChild(cfg Config, sp *spawner) (*child, error) {
	mine, theirs, err := channelPair()
	if err != nil {
		return nil, err
	}
	c := &child{
		conn: mine, stderr: new(head), spread: 0.8 + 0.4*rand.Float64(),
		frames: make(chan frame, 1), dead: make(chan struct{}),
	}
	c.stderr.reset()
	c.cmd = command(cfg, theirs, c.stderr)
	err = sp.start(c.cmd)
	_ = theirs.Close()
	if err != nil {
		mine.Close()
		return nil, fmt.Errorf("start a runner: %w", err)
	}
	c.meter, err = newMeter(c.pid(), cfg)
	go c.reap()
	if err == nil {
		err = c.greet(cfg)
	}
	if err != nil {
		c.kill(nil)
		<-c.dead
		return nil, fmt.Errorf("make a runner ready: %w; stderr: %q", err, fault.Clean(c.stderr.String(), 300))
	}
	go c.read(max(cfg.Limits.Output, maxFault) + 4 + stepsHeader + trace.MaxTold)
	return c, nil
}

// channelPair is the two ends of a channel: ours, and the child's.
func channelPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock() // so that no other child is forked in between
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a channel: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "channel")
	defer ours.Close() //nolint:errcheck // FileConn takes a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("open the channel: %w", err)
	}
	return conn, theirs, nil
}

// greet tells the child its settings and waits until it is ready.
func (c *child) greet(cfg Config) error {
	c.conn.SetDeadline(time.Now().Add(cfg.StartTimeout))
	defer c.conn.SetDeadline(time.Time{})
	b, err := json.Marshal(hello{Sandbox: cfg.Sandbox, Memory: cfg.Limits.Memory, Input: cfg.Input, Procs: cfg.Procs})
	if err != nil {
		return err
	}
	if err := writeFrame(c.conn, frameHello, b); err != nil {
		return err
	}
	f, err := readFrame(c.conn, maxFault)
	if err != nil {
		return err
	}
	if f.kind != frameReady {
		return fmt.Errorf("%w: type %d before it is ready", errCorrupt, f.kind)
	}
	if err := json.Unmarshal(f.body, &c.report); err != nil {
		return fmt.Errorf("%w: its report: %w", errCorrupt, err)
	}
	c.files, c.fresh, c.born = c.meter.open(), c.meter.rss(), time.Now()
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// read passes on what the child sends until it ends or breaks the rules: a
// frame that nobody waits for is one.
func (c *child) read(limit int) {
	defer close(c.frames)
	for {
		f, err := readFrame(c.conn, limit)
		if err == nil && f.kind == frameProgress && c.awaits.Load() {
			if err = c.told.take(f.body); err == nil {
				continue
			}
		}
		if err == nil && !c.awaits.CompareAndSwap(true, false) {
			err = fmt.Errorf("%w: type %d that nobody asked for", errCorrupt, f.kind)
		}
		if err != nil {
			c.broken = err
			c.kill(nil) // also one that has closed its channel and lives on
			return
		}
		c.frames <- f // has room: it was asked for
	}
}

// reap waits for the child's end, takes the rest of its process group with it
// while the group's number is still its own, and frees it.
func (c *child) reap() {
	awaitExit(c.pid())
	c.mu.Lock()
	syscall.Kill(-c.pid(), syscall.SIGKILL)
	c.reaped = true
	c.mu.Unlock()
	_ = c.cmd.Wait() // its error is in ProcessState, or is about a held stderr
	c.conn.Close()
	if c.meter != nil {
		c.meter.close()
	}
	close(c.dead)
}

// kill ends the child's whole process group, once. The first fate given is its
// verdict.
func (c *child) kill(fate *fault.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return
	}
	if c.fate == nil {
		c.fate = fate
	}
	c.killed = true
	syscall.Kill(-c.pid(), syscall.SIGKILL)
}

// doomed reports whether the child is dead or dying.
func (c *child) doomed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killed || c.reaped
}

// fated is the verdict of whoever killed it on purpose, or nil.
func (c *child) fated() *fault.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fate
}

// brokenBy is why a dead child's channel was closed.
func (c *child) brokenBy() error {
	for range c.frames { // until it is closed, which its death sees to
	}
	return c.broken
}

// dismiss ends an idle child kindly: at the end of its channel it returns.
func (c *child) dismiss(grace time.Duration) {
	c.conn.Close()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.dead:
	case <-timer.C:
		c.kill(nil)
	}
}

var errSilent = errors.New("the runner does not answer")

// collect has the quiescent child collect its garbage.
func (c *child) collect() (collected, error) {
	var got collected
	c.awaits.Store(true)
	c.conn.SetWriteDeadline(time.Now().Add(collectTimeout))
	defer c.conn.SetWriteDeadline(time.Time{})
	if err := writeFrame(c.conn, frameCollect); err != nil {
		return got, err
	}
	timer := time.NewTimer(collectTimeout)
	defer timer.Stop()
	select {
	case f, ok := <-c.frames:
		if !ok || f.kind != frameCollected {
			return got, fmt.Errorf("%w: no answer to a collection", errCorrupt)
		}
		err := json.Unmarshal(f.body, &got)
		return got, err
	case <-timer.C:
		return got, errSilent
	}
}
