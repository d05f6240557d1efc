package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func enqueueCommand() *cli.Command {
	return &cli.Command{
		Name: "enqueue", Usage: "hand over one task of any kind", ArgsUsage: "KIND", Category: "Tasks",
		Description: "KIND is one of " + strings.Join(tasks.KindNames(), ", ") + ". Prints the task's id, or with --wait its result.",
		Flags: flags(append(config.TaskFlags(),
			&cli.StringFlag{Name: "payload", Usage: "the payload as `JSON`, @FILE, or - for standard input"},
			&cli.BoolFlag{Name: "wait", Usage: "wait for the result and print it"},
			config.WaitFlag(tasks.MaxTimeout))...),
		Action: enqueue,
	}
}

func enqueue(c *cli.Context) error {
	if c.NArg() != 1 {
		return config.Usage("enqueue takes one kind, one of %s", strings.Join(tasks.KindNames(), ", "))
	}
	r := tasks.Request{Kind: c.Args().First()}
	// An unknown kind is told before a payload is asked of the terminal.
	if _, err := tasks.Lookup(r.Kind); err != nil {
		return err
	}
	var err error
	if r.Options, err = config.TaskOptions(c); err != nil {
		return err
	}
	if r.Payload, err = payload(c); err != nil {
		return err
	}
	return submit(c, r, c.Bool("wait"), nil)
}

func payload(c *cli.Context) ([]byte, error) {
	switch p := c.String("payload"); {
	case p == "":
		return nil, config.Usage("--payload is missing: give JSON, @FILE, or - for standard input")
	case p == "-":
		return config.ReadInput("-", c.App.Reader, tasks.MaxPayloadBytes)
	case p == "@":
		return nil, config.Usage("--payload @ lacks the file: give JSON, @FILE, or - for standard input")
	case p[0] == '@':
		return config.ReadInput(p[1:], c.App.Reader, tasks.MaxPayloadBytes)
	default:
		return []byte(p), nil
	}
}

// submit hands a request over and, if asked, waits for its result and shows it.
// Then, if given, gets the completed task first and says what to print for
// people instead of the usual text.
func submit(c *cli.Context, r tasks.Request, wait bool, then func(*session, tasks.Task) (string, error)) error {
	limit, err := config.WaitTimeout(c)
	if err != nil {
		return err
	}
	// Wrong input is told even where Redis is away.
	if _, err := r.Check(time.Now()); err != nil {
		return err
	}
	return talk(c, func(ctx context.Context, s *session) error {
		t, err := s.client.Enqueue(ctx, r)
		if err != nil {
			return err
		}
		if !wait {
			return s.show(t, func(t tasks.Task) string { return t.ID + "\n" })
		}
		return s.await(ctx, t, limit, then)
	})
}

// ask makes a request of a typed payload with the options of the command line.
func ask[P tasks.Payload, R any](c *cli.Context, k tasks.Kind[P, R], p P) (tasks.Request, error) {
	r, err := k.New(p)
	if err != nil {
		return r, err
	}
	r.Options, err = config.TaskOptions(c)
	return r, err
}

// failures joins the errors of several tasks: one that is no task's failure
// comes first.
func failures(failed int, errs []error) error {
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if failed > 0 {
		return &config.FailedError{Count: failed}
	}
	return nil
}
