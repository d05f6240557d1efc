package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/report"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// session is one command's way to the yard and to the reader.
type session struct {
	broker *broker.Broker
	client *client.Client
	out    io.Writer
	json   bool
	style  report.Style
	// terminal tells that out is one: a stranger's bytes must not reach it.
	terminal bool
	followed
}

// talk opens a session for the time of do.
func talk(c *cli.Context, do func(ctx context.Context, s *session) error) error {
	logging, err := config.Logging(c, c.App.ErrWriter)
	if err != nil {
		return err
	}
	redis, err := config.Broker(c, "producer")
	if err != nil {
		return err
	}
	limits, err := config.Client(c)
	if err != nil {
		return err
	}
	tracing, err := config.Tracing()
	if err != nil {
		return err
	}
	log := app.NewLogger(c.App.ErrWriter, app.LogConfig(logging))
	a, ctx := app.New(c.Context, log)
	s := &session{out: c.App.Writer, json: c.Bool("json")}
	t := config.TerminalOf(c.App.Writer)
	s.style, s.terminal = report.Style{Color: t.Color, Width: t.Width}, t.Is
	e := config.TerminalOf(c.App.ErrWriter)
	s.followed = followed{errs: c.App.ErrWriter, follows: e.Is, following: report.Style{Color: e.Color, Width: e.Width}}
	open := func() error {
		tracer, err := a.Trace(ctx, tracing, "producer")
		if err != nil {
			return err
		}
		ctx, span := tracer.Begin(config.TraceParent().In(ctx), trace.Within, "producer", c.Command.Name, trace.Carried{})
		a.OnClose("span", func() error { span.End(); return nil })
		if s.broker, err = broker.Open(ctx, redis, log); err != nil {
			return err
		}
		a.OnClose("redis", s.broker.Close)
		if s.client, err = client.New(s.broker, limits); err != nil {
			return err
		}
		a.OnClose("client", s.client.Close)
		return do(ctx, s)
	}
	return errors.Join(open(), a.Close())
}

// print writes text for people.
func (s *session) print(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}

// encode writes JSON for programs, one value a line.
func (s *session) encode(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// show writes a task: as JSON, or as text made by lay.
func (s *session) show(t tasks.Task, lay func(tasks.Task) string) error {
	if s.json {
		return s.encode(t)
	}
	return s.print(lay(t))
}

// verdict turns a final task's failure into an exit code.
func verdict(t tasks.Task) error {
	if t.State.Final() && t.State != tasks.Completed {
		return &config.FailedError{Count: 1}
	}
	return nil
}

// await waits for a task and shows it. If the wait ends first, the error says
// that the task goes on. Then may say what is printed of a completed task.
func (s *session) await(ctx context.Context, t tasks.Task, limit time.Duration, then func(*session, tasks.Task) (string, error)) error {
	t, err := s.wait(ctx, t, limit)
	if err != nil {
		if s.json {
			err = errors.Join(s.encode(t), err)
		}
		return err
	}
	text := ""
	if then == nil || t.State != tasks.Completed {
		text = s.style.Task(t)
	} else if text, err = then(s, t); err != nil {
		return err
	}
	return errors.Join(s.show(t, func(tasks.Task) string { return text }), verdict(t))
}

// wait returns the task once it is final. If the wait ends first, the task comes
// back as it was last seen, and the error says that it goes on.
func (s *session) wait(ctx context.Context, seen tasks.Task, limit time.Duration) (tasks.Task, error) {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t, err := s.follow(timed, seen.ID)
	if t.ID == "" {
		t = seen
	}
	switch {
	case err == nil || timed.Err() == nil:
		return t, err
	case ctx.Err() != nil:
		return t, &config.NoAnswerError{Message: "stopped waiting; the task goes on: producer result " + t.ID}
	}
	return t, &config.NoAnswerError{Message: fmt.Sprintf("the task is still %s after %s and goes on: producer result %s%s", t.State, limit, t.ID, s.unserved(ctx, t))}
}

// unserved says that no worker is there to take a task that waits.
func (s *session) unserved(ctx context.Context, t tasks.Task) string {
	nodes, err := s.broker.Nodes(ctx)
	if err != nil || t.State != tasks.Pending {
		return ""
	}
	for _, n := range nodes {
		if n.Up(time.Now()) && n.Kinds[t.Kind].Slots > 0 {
			return ""
		}
	}
	return "; no worker serves " + t.Kind + ": start one on the same Redis"
}
