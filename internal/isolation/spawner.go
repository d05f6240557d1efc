package isolation

import (
	"os"
	"os/exec"
	"runtime"
)

// spawner forks all children of a pool from one thread: the kernel ends a child
// together with the thread that forked it, not with the process, and Go ends
// threads as it likes.
type spawner struct{ requests chan startRequest }

type startRequest struct {
	cmd    *exec.Cmd
	result chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan startRequest)}
	go s.run()
	return s
}

// run never unlocks its thread, which therefore ends with it.
func (s *spawner) run() {
	runtime.LockOSThread()
	for r := range s.requests {
		r.result <- r.cmd.Start()
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	r := startRequest{cmd: cmd, result: make(chan error, 1)}
	s.requests <- r
	return <-r.result
}

func (s *spawner) close() { close(s.requests) }

// command is the child as it is to be started: nothing of the parent's
// environment, and one descriptor beside the standard ones.
func command(c Config, channel *os.File, stderr *head) *exec.Cmd {
	cmd := exec.Command(c.Executable, c.Args...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{channel}
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = stderrGrace
	return cmd
}
