// Package app is the lifetime of a process: what it opened is closed in reverse
// order under its name, what it started is waited for, and the first part that
// fails stops the rest.
//
//	signal or failure ─▶ context ends ─▶ everything started with Go returns ─▶ closings, last first
//
// Servers started with Serve and parts started with Keep go on until the
// closings, so that a process that drains can still be asked how it is. A second signal ends the process at once.
package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// App is one process's life.
type App struct {
	log     zerolog.Logger
	fail    context.CancelCauseFunc
	running sync.WaitGroup

	mu       sync.Mutex
	closings []closing
	failure  error
}

type closing struct {
	name  string
	close func() error
}

// New returns an App and the context of everything in it, which ends with the
// parent, or when a part fails.
func New(parent context.Context, log zerolog.Logger) (*App, context.Context) {
	ctx, fail := context.WithCancelCause(parent)
	return &App{log: log, fail: fail}, ctx
}

// Run builds a process and keeps it until ctx ends or a part fails. Build
// registers closings and starts parts; if it fails, what it had opened is closed
// in the same way. The error is the first failure, joined with those of the
// closings; an end by signal is none.
func Run(ctx context.Context, log zerolog.Logger, build func(context.Context, *App) error) error {
	a, ctx := New(ctx, log)
	if err := build(ctx, a); err != nil {
		a.stop(err)
	} else {
		<-ctx.Done()
		a.log.Info().Str("cause", causeText(ctx)).Msg("stopping")
	}
	return a.Close()
}

func causeText(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	return ""
}

// errClosed ends the context of an App that is closed without a failure.
var errClosed = errors.New("closed")

// stop notes the first failure and ends the context.
func (a *App) stop(err error) {
	a.mu.Lock()
	if a.failure == nil {
		a.failure = err
	}
	a.mu.Unlock()
	a.fail(err)
}

// OnClose registers how something that was opened is closed: call it on the
// line after the opening.
func (a *App) OnClose(name string, close func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closings = append(a.closings, closing{name, close})
}

// Go starts a part that runs until the App's context ends. If it fails, the
// rest is stopped; its end without an error is not a failure.
func (a *App) Go(name string, run func() error) {
	a.running.Go(func() {
		if err := run(); err != nil && !errors.Is(err, context.Canceled) {
			a.stop(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// Keep starts a part that those started with Go rely on: it runs until the
// closings come to it. Its context has the values of ctx and ends then.
func (a *App) Keep(ctx context.Context, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			a.stop(fmt.Errorf("%s: %w", name, err))
		}
	}()
	a.OnClose(name, func() error {
		cancel()
		<-ended
		return nil
	})
}

// Close ends the context, waits for every part, and closes what was opened, the
// last first. It returns the first failure of a part joined with the errors of
// the closings. It is safe to call twice.
func (a *App) Close() error {
	a.fail(errClosed)
	a.running.Wait()
	a.mu.Lock()
	closings, failure := a.closings, a.failure
	a.closings, a.failure = nil, nil
	a.mu.Unlock()
	errs := []error{failure}
	for _, c := range slices.Backward(closings) {
		start := time.Now()
		if err := c.close(); err != nil {
			a.log.Error().Err(err).Str("part", c.name).Msg("closing failed")
			errs = append(errs, fmt.Errorf("close %s: %w", c.name, err))
		}
		a.log.Debug().Str("part", c.name).Dur("took_ms", time.Since(start)).Msg("closed")
	}
	return errors.Join(errs...)
}
