package isolation

import (
	"cmp"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Runner is one runner in the list that a node reports.
type Runner struct {
	PID   int           `json:"pid"`
	Kind  string        `json:"kind"`
	State string        `json:"state"`
	Task  string        `json:"task,omitempty"`
	RSS   int64         `json:"rss"`
	Age   time.Duration `json:"age"`
	Done  int           `json:"done"`
}

// Runners lists the runners that are alive, the oldest first.
func (p *Pool) Runners() []Runner {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	list := make([]Runner, 0, len(p.children))
	meters := make(map[int]*meter, len(p.children))
	for c := range p.children {
		list = append(list, Runner{
			PID: c.pid(), Kind: p.cfg.Kind, State: c.state.String(), Task: c.task, Age: time.Since(c.born), Done: c.done,
		})
		meters[c.pid()] = c.meter
	}
	p.mu.Unlock()
	for i := range list {
		list[i].RSS = meters[list[i].PID].rss()
	}
	slices.SortFunc(list, func(a, b Runner) int { return cmp.Compare(b.Age, a.Age) })
	return list
}

// Report is what the last runner found out about its locks.
func (p *Pool) Report() Report {
	if p == nil {
		return Report{Level: None, Missing: []string{"tasks run in the worker's own process"}}
	}
	if r := p.report.Load(); r != nil {
		return *r
	}
	return Report{Level: None}
}

// Level is how well the runners are locked in.
func (p *Pool) Level() Level { return p.Report().Level }

// Evict ends a runner because the node is short of memory. Its task, if it has
// one, ends with reason oom and may be tried again. It reports whether there
// was such a runner.
func (p *Pool) Evict(pid int) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.children {
		if c.pid() == pid {
			p.idle = slices.DeleteFunc(p.idle, func(x *child) bool { return x == c })
			c.state = ending
			c.kill(fault.RetryableError(tasks.ReasonOOM, "the node ran short of memory and gave up the task"))
			return true
		}
	}
	return false
}
