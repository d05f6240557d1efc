package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/report"
	"github.com/jobyard/jobyard/tasks"
)

// sweep does something with many dead letters, and tells how far it is and what
// became of them.
func sweep(c *cli.Context, call tasks.DeadCall, verb string, do func(context.Context, *session, client.Sweep) (tasks.DeadSweep, error)) error {
	return talk(c, func(ctx context.Context, s *session) error {
		m := newMeter(c.App.ErrWriter, config.TerminalOf(c.App.ErrWriter).Is, verb)
		if m.terminal && !call.DryRun {
			// What a bar is drawn against. Letters may come and go meanwhile.
			count := call
			count.DryRun = true
			counted, err := s.client.SweepReplay(ctx, count, client.Sweep{})
			if err != nil {
				return err
			}
			m.total = counted.Matched
		}
		done, err := do(ctx, s, client.Sweep{Show: m.show})
		m.close()
		if done.StartedAt.IsZero() {
			return err
		}
		if s.json {
			if failed := s.encode(done); failed != nil {
				return failed
			}
			return err
		}
		text := swept(done, verb, m.now().Sub(m.start))
		if done.DryRun {
			text += s.style.DeadGroups(done.Groups, m.now())
		}
		if failed := s.print(text); failed != nil {
			return failed
		}
		return err
	})
}

// swept says what became of the letters.
func swept(done tasks.DeadSweep, verb string, took time.Duration) string {
	if done.DryRun {
		text := fmt.Sprintf("would %s %s", verb, report.Count(done.Matched, "dead letter"))
		if done.Stopped == "limit" {
			text += ", the limit; more fit"
		}
		return text + "; nothing was touched\n"
	}
	text := fmt.Sprintf("%s %s in %s", past(verb), report.Count(done.Done, "dead letter"), report.Span(took))
	if done.Gone > 0 {
		text += fmt.Sprintf("; somebody else had dealt with %d", done.Gone)
	}
	if done.Refused > 0 {
		text += fmt.Sprintf("; %d cannot be replayed as they are: their payload is damaged", done.Refused)
	}
	if done.Stopped == "limit" {
		text += "; more fit than the limit"
	}
	return text + "\n"
}

// past is the past of replay and delete.
func past(verb string) string { return strings.TrimSuffix(verb, "e") + "ed" }

const (
	// barAfter is how long a sweep takes at least before a bar is worth it.
	barAfter = 2 * time.Second
	// quietEvery is how often progress is told where no terminal shows a bar.
	quietEvery = 10 * time.Second
)

// meter tells how far a sweep is: a bar on a terminal, else a line now and then.
// What cannot be written is lost: progress must not end a sweep.
type meter struct {
	w           io.Writer
	terminal    bool
	verb        string
	total       int
	bar         *progressbar.ProgressBar
	now         func() time.Time
	start, told time.Time
	waits       bool
}

func newMeter(w io.Writer, terminal bool, verb string) *meter {
	m := &meter{w: w, terminal: terminal, verb: verb, now: time.Now}
	m.start = m.now()
	m.told = m.start
	return m
}

func (m *meter) show(done tasks.DeadSweep, waiting error) {
	now := m.now()
	if m.terminal {
		if m.bar == nil && (now.Sub(m.start) >= barAfter || waiting != nil) {
			m.bar = progressbar.NewOptions(max(m.total, 1), progressbar.OptionSetWriter(m.w), progressbar.OptionShowCount(),
				progressbar.OptionSetDescription(m.verb), progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish())
		}
		if m.bar != nil {
			_ = m.bar.Set(min(done.Done+done.Gone+done.Refused, m.bar.GetMax()))
			m.describe(waiting)
		}
		return
	}
	began := waiting != nil && !m.waits
	if m.waits = waiting != nil; began || now.Sub(m.told) >= quietEvery {
		m.told = now
		text := fmt.Sprintf("%s: %d done", m.verb, done.Done)
		if waiting != nil {
			text += "; waiting for room: " + waiting.Error()
		}
		_, _ = io.WriteString(m.w, text+"\n")
	}
}

// describe says in front of the bar why it stands still.
func (m *meter) describe(waiting error) {
	if (waiting != nil) == m.waits {
		return
	}
	if m.waits = waiting != nil; m.waits {
		m.bar.Describe(m.verb + " (waiting for room in the queue)")
		return
	}
	m.bar.Describe(m.verb)
}

func (m *meter) close() {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
}
