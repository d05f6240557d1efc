package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// fleet is the workers.
type fleet struct {
	settings settings
	url, dir string
	ledger   *ledger

	mu      sync.Mutex
	count   int
	workers []*process
}

// process is a running worker.
type process struct {
	cmd    *exec.Cmd
	log    *os.File
	exited chan struct{}
	err    error // of its end; valid after exited
}

// launch starts n workers.
func (f *fleet) launch(n int) error {
	for range n {
		if err := f.start(); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) start() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	log, err := os.Create(filepath.Join(f.dir, fmt.Sprintf("worker-%d.log", f.count)))
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	p := &process{log: log, exited: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(f.settings.bin, "worker"), "--redis-url", f.url, "--allow-private-urls",
		"--slots", fmt.Sprint("document_parse=", f.settings.Slots), "--admin-listen", "127.0.0.1:0", "--drain-timeout", "10s")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours alone
	if err := p.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start a worker: %w", err), log.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		log.Close()
		close(p.exited)
	}()
	f.workers = append(f.workers, p)
	return nil
}

// take takes the worker at a place out of the fleet; nil if none is there.
func (f *fleet) take(at int) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.workers) == 0 {
		return nil
	}
	at %= len(f.workers)
	p := f.workers[at]
	f.workers = append(f.workers[:at], f.workers[at+1:]...)
	return p
}

// put gives a worker back.
func (f *fleet) put(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers = append(f.workers, p)
}

func (p *process) signal(s syscall.Signal) { syscall.Kill(p.cmd.Process.Pid, s) }

// kill ends a worker as the kernel would; its runners die with it.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// stop ends a worker the gentle way.
func (p *process) stop() error {
	select {
	case <-p.exited:
		return nil // it found no Redis at its start, and nobody has replaced it yet
	default:
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return p.err
	case <-time.After(time.Minute):
		p.kill()
		return errors.New("a worker did not stop within a minute")
	}
}

// replenish starts workers in place of those that have ended by themselves,
// as a supervisor would: one that finds no Redis at its start gives up.
func (f *fleet) replenish() error {
	f.mu.Lock()
	var left []*process
	missing := 0
	for _, p := range f.workers {
		select {
		case <-p.exited:
			missing++
		default:
			left = append(left, p)
		}
	}
	f.workers = left
	f.mu.Unlock()
	return f.launch(missing)
}

// stopAll ends every worker the gentle way, at once.
func (f *fleet) stopAll() error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for p := f.take(0); p != nil; p = f.take(0) {
		all.Go(func() {
			err := p.stop()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (f *fleet) killAll() {
	for p := f.take(0); p != nil; p = f.take(0) {
		p.kill()
	}
}
