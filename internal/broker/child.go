package broker

import (
	"io"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a started process that is reaped as soon as it ends.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait; valid after exited
}

// spawn starts binary with its configuration on standard input.
//
// The child is to die with us, and Linux ties that to the thread that forked
// it: so one locked thread starts it and stays until it has ended.
func spawn(binary, stdin string, stderr io.Writer) (*child, error) {
	cmd := exec.Command(binary, "-")
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = stderr, stderr
	cmd.SysProcAttr = dieWithParent()
	cmd.WaitDelay = time.Second
	c := &child{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the child to end, and after five seconds makes it.
func (c *child) stop() error {
	select {
	case <-c.exited:
		return nil
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil //nolint:nilerr // it ended in between
	}
	select {
	case <-c.exited:
	case <-time.After(5 * time.Second):
		c.cmd.Process.Kill()
		<-c.exited
	}
	return nil
}
