package isolation

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Limits bound one task. Zero means the pool's own.
type Limits struct {
	// Wall is the time from handing the task over to its reply.
	Wall time.Duration
	// CPU is the time on all processors together.
	CPU time.Duration
	// Memory is the ceiling of the runner's resident memory, in bytes.
	Memory int64
	// Output is the longest reply, in bytes.
	Output int
	// Files is how many descriptors the runner may have open.
	Files int
}

// within fills l's gaps from the pool's limits and cuts what goes beyond them.
// Memory alone may be raised, up to maxMemory: an attempt that ran out of it
// gets a larger slot.
func (l Limits) within(pool Limits, maxMemory int64) Limits {
	return Limits{
		Wall:   least(l.Wall, pool.Wall),
		CPU:    least(l.CPU, pool.CPU),
		Memory: min(cmp.Or(max(l.Memory, 0), pool.Memory), max(pool.Memory, maxMemory)),
		Output: least(l.Output, pool.Output),
		Files:  least(l.Files, pool.Files),
	}
}

// least is the smaller of want and most; no want is most.
func least[T int | time.Duration](want, most T) T {
	if want <= 0 {
		return most
	}
	return min(want, most)
}

// Recycle says when a runner is replaced. Every figure is spread by ± 20 % from
// runner to runner, so that they do not go together.
type Recycle struct {
	// Tasks is how many tasks a runner does.
	Tasks int
	// RSS is the resident memory that a runner may keep after a collection.
	RSS int64
	// Age is how long a runner lives.
	Age time.Duration
	// MinLife keeps a runner from being replaced sooner, whatever it keeps in
	// memory, so that a bad threshold cannot make the pool spin.
	MinLife time.Duration
}

// Config says what a pool runs, and within which bounds.
type Config struct {
	// Kind names the pool in logs, metrics and the list of runners.
	Kind string
	// Args are the arguments that make the own binary call Serve.
	Args []string
	// Executable is the binary; empty means the running one.
	Executable string
	// Slots is how many tasks run at once.
	Slots int
	// Spares is how many more runners are kept ready; at least one.
	Spares int
	// Limits bound each task.
	Limits Limits
	// MaxMemory is the highest ceiling a single task may ask for.
	MaxMemory int64
	// Input is the longest payload, in bytes.
	Input int
	// Procs is how many processors a runner uses at once.
	Procs int
	// Sandbox says what happens where a runner cannot be locked in.
	Sandbox Mode
	// Recycle says when runners are replaced.
	Recycle Recycle
	// CollectEvery is after how many tasks a runner collects its garbage and
	// tells what stays alive; half as many among the first of the pool.
	CollectEvery int
	// IdleTimeout is how long a runner beyond the spares is kept unused.
	IdleTimeout time.Duration
	// StartTimeout is how long a runner may take to be ready.
	StartTimeout time.Duration
	// Grace is how long a task may take to end after its context did.
	Grace time.Duration
}

// DefaultConfig is for a kind that runs in the own binary's hidden "runner"
// command.
func DefaultConfig(kind string) Config {
	return Config{
		Kind: kind, Args: []string{"runner", kind}, Slots: 2, Spares: 1,
		Limits:    Limits{Wall: 120 * time.Second, CPU: 60 * time.Second, Memory: 256 << 20, Output: 32 << 20, Files: 64},
		MaxMemory: 512 << 20, Input: 96 << 20, Procs: 2, Sandbox: Auto,
		Recycle:      Recycle{Tasks: 1000, RSS: 128 << 20, Age: time.Hour, MinLife: 10 * time.Second},
		CollectEvery: 20, IdleTimeout: time.Minute, StartTimeout: 10 * time.Second, Grace: 200 * time.Millisecond,
	}
}

// The bounds of sizes that a Config may hold.
const (
	minMemory = 32 << 20
	maxFrame  = 1 << 30
	minFiles  = 16
)

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Kind != "", "kind must be set")
	check(len(c.Args) > 0, "arguments of the runner must be set")
	check(c.Slots >= 1 && c.Slots <= 256, "slots must be from 1 to 256, got %d", c.Slots)
	check(c.Spares >= 1 && c.Spares <= 16, "spares must be from 1 to 16, got %d", c.Spares)
	check(c.Limits.Wall > 0, "wall clock limit must be over 0s, got %s", c.Limits.Wall)
	check(c.Limits.CPU > 0, "CPU limit must be over 0s, got %s", c.Limits.CPU)
	check(c.Limits.Memory >= minMemory, "memory limit must be at least %s, got %s", size(minMemory), size(c.Limits.Memory))
	check(c.Limits.Output >= 1 && c.Limits.Output <= maxFrame/2, "output limit must be from 1 byte to %s, got %d", size(maxFrame/2), c.Limits.Output)
	check(c.Limits.Files >= minFiles, "open files must be at least %d, got %d", minFiles, c.Limits.Files)
	check(c.Input >= 1 && c.Input <= maxFrame/2, "input limit must be from 1 byte to %s, got %d", size(maxFrame/2), c.Input)
	check(c.Procs >= 1 && c.Procs <= 64, "processors must be from 1 to 64, got %d", c.Procs)
	check(c.Sandbox.valid(), "sandbox must be %s, %s or %s, got %q", Required, Auto, Off, c.Sandbox)
	check(c.Recycle.Tasks >= 1, "recycling after tasks must be at least 1, got %d", c.Recycle.Tasks)
	check(c.Recycle.RSS >= minMemory, "recycling at memory must be at least %s, got %s", size(minMemory), size(c.Recycle.RSS))
	check(c.Recycle.Age > 0 && c.Recycle.MinLife >= 0 && c.Recycle.MinLife <= c.Recycle.Age,
		"recycling age must be over 0s and not below the least life, got %s and %s", c.Recycle.Age, c.Recycle.MinLife)
	check(c.CollectEvery >= 1, "collecting after tasks must be at least 1, got %d", c.CollectEvery)
	check(c.IdleTimeout > 0, "idle timeout must be over 0s, got %s", c.IdleTimeout)
	check(c.StartTimeout > 0, "start timeout must be over 0s, got %s", c.StartTimeout)
	check(c.Grace > 0 && c.Grace <= 10*time.Second, "grace must be from 0s to 10s, got %s", c.Grace)
	return errors.Join(errs...)
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
