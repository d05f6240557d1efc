package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show where a task is in its life", ArgsUsage: "ID", Category: "Tasks", Flags: flags(),
		Action: withTask(func(ctx context.Context, s *session, t tasks.Task, _ *cli.Context) error {
			return s.show(t, s.style.Status)
		}),
	}
}

func resultCommand() *cli.Command {
	return &cli.Command{
		Name: "result", Usage: "show a task's result", ArgsUsage: "ID", Category: "Tasks",
		Description: "Exit code 1 if the task failed, 3 if it is not done.",
		Flags:       flags(&cli.BoolFlag{Name: "wait", Usage: "wait until the task is done"}, config.WaitFlag(tasks.MaxTimeout)),
		Action: withTask(func(ctx context.Context, s *session, t tasks.Task, c *cli.Context) error {
			limit, err := config.WaitTimeout(c)
			switch {
			case err != nil:
				return err
			case c.Bool("wait"):
				return s.await(ctx, t, limit, nil)
			case !t.State.Final():
				err = &config.NoAnswerError{Message: fmt.Sprintf("the task is still %s; --wait waits for it", t.State)}
			}
			if s.json || err == nil {
				err = errors.Join(s.show(t, s.style.Task), err)
			}
			return errors.Join(err, verdict(t))
		}),
	}
}

func cancelCommand() *cli.Command {
	return &cli.Command{
		Name: "cancel", Usage: "withdraw a task", ArgsUsage: "ID", Category: "Tasks",
		Description: "A task that waits is canceled at once; one that runs is asked to stop.",
		Flags:       flags(&cli.BoolFlag{Name: "wait", Usage: "wait until a running task has stopped"}, config.WaitFlag(tasks.MaxTimeout)),
		Action:      withTask(cancelTask),
	}
}

func cancelTask(ctx context.Context, s *session, t tasks.Task, c *cli.Context) error {
	limit, err := config.WaitTimeout(c)
	if err != nil {
		return err
	}
	t, err = s.client.Cancel(ctx, t.ID)
	switch {
	case errors.Is(err, client.ErrFinal) && t.State == tasks.Canceled: // asked twice
	case errors.Is(err, client.ErrFinal):
		return fmt.Errorf("%w: it is %s", err, t.State)
	case err != nil:
		return err
	}
	if !t.State.Final() && c.Bool("wait") {
		if t, err = s.wait(ctx, t, limit); err != nil {
			return err
		}
	}
	return s.show(t, func(t tasks.Task) string {
		if t.State.Final() {
			return s.style.Status(t)
		}
		return "asked to stop; it is still " + string(t.State) + "\n"
	})
}

// withTask makes an action of one that works on the task named by the argument.
func withTask(do func(context.Context, *session, tasks.Task, *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() != 1 || !tasks.ValidID(c.Args().First()) {
			return config.Usage("%s takes the id of one task", c.Command.Name)
		}
		return talk(c, func(ctx context.Context, s *session) error {
			t, err := s.client.Status(ctx, c.Args().First())
			if errors.Is(err, client.ErrNotFound) {
				return fmt.Errorf("%w: %s; finished tasks are kept for their retention only", err, c.Args().First())
			}
			if err != nil {
				return err
			}
			return do(ctx, s, t, c)
		})
	}
}
