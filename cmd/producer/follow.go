package main

import (
	"context"
	"io"

	"github.com/jobyard/jobyard/internal/report"
	"github.com/jobyard/jobyard/tasks"
)

// follow waits for a task and, where standard error is a terminal, shows there
// how far it is, on one line that is gone at the end.
func (s *session) follow(ctx context.Context, id string) (tasks.Task, error) {
	if !s.follows {
		return s.client.Wait(ctx, id)
	}
	var last tasks.Task
	shown := false
	clearLine := func() {
		if shown {
			s.tell("\r\x1b[K")
		}
		shown = false
	}
	defer clearLine()
	for t, err := range s.client.Watch(ctx, id) {
		if last = t; err != nil {
			return last, err
		}
		if text := s.following.Following(t); text != "" {
			clearLine()
			s.tell(text)
			shown = true
		}
	}
	return last, nil
}

// tell writes to standard error. What cannot be written is lost: it is no result.
func (s *session) tell(text string) { _, _ = io.WriteString(s.errs, text) }

// followed is a session's way to standard error.
type followed struct {
	errs      io.Writer
	follows   bool // errs is a terminal
	following report.Style
}
