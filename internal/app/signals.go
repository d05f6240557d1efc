package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// SignalError is the cause with which a signal ends the context.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return e.Signal.String() }

// Unwrap makes it a cancellation, so that it is told from a failure.
func (e *SignalError) Unwrap() error { return context.Canceled }

// Signals returns a context that ends with the first SIGINT or SIGTERM. The
// second one calls exit at once with the shell's code for it: a process that
// does not end must be stoppable. Stop gives the signals back.
func Signals(parent context.Context, exit func(code int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go watch(signals, done, cancel, exit)
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// EachQuit calls do with every SIGQUIT until ctx ends. Go's own answer, which is
// to print every goroutine and die, is SIGABRT's still.
func EachQuit(ctx context.Context, do func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGQUIT)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			do()
		}
	}
}

func watch(signals <-chan os.Signal, done <-chan struct{}, cancel context.CancelCauseFunc, exit func(int)) {
	for n := 1; ; n++ {
		select {
		case <-done:
			return
		case s := <-signals:
			cancel(&SignalError{s})
			if n < 2 {
				continue
			}
			code := 128
			if number, ok := s.(syscall.Signal); ok {
				code += int(number)
			}
			exit(code)
			return
		}
	}
}
