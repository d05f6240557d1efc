package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// subject is one side doing one thing. A round of it gives one or more figures.
type subject struct {
	name    string
	server  *server // whose commands a profile shows; nil if it is both
	measure func(ctx context.Context) ([]float64, error)
}

// figure names a figure by the place of its subject in the trial and its own
// place among the subject's figures.
type figure struct{ subject, at int }

// row compares two figures. Behind those of a row with costs come the figures
// of a stopwatch.
type row struct {
	name, unit string
	less       bool // less is better
	ours, base figure
	costs      bool
	note       string
}

// trial is a group of subjects that are measured in turn, round after round,
// and the rows that compare them: rows may share a subject.
type trial struct {
	subjects []subject
	rows     []row
	// times is how many rounds are measured for each that was asked for; 0 is one.
	// What takes little time and varies much needs more of them.
	times int
	// prepare sets up what stands for all rounds; nil if nothing does.
	prepare func(ctx context.Context) (stop func() error, err error)
}

// measured is a row with what each round gave.
type measured struct {
	row
	ours, base []float64
	// What a task cost in CPU time, if the row tells: of the process and of Redis.
	oursCPU, baseCPU [][2]float64
}

// roundLimit bounds one round of one subject.
const roundLimit = 2 * time.Minute

// measure runs the trials that the settings choose. What was measured before
// an error comes back with it.
func measure(ctx context.Context, all []trial, s settings) ([]measured, error) {
	var done []measured
	for _, t := range all {
		t.rows = slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return !s.rows.MatchString(r.name) })
		if len(t.rows) == 0 {
			continue
		}
		rows, err := t.run(ctx, s)
		done = append(done, rows...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (t trial) run(ctx context.Context, s settings) (rows []measured, err error) {
	if t.prepare != nil {
		stop, err := t.prepare(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	s.rounds *= max(1, t.times)
	figures := make([][][]float64, s.rounds) // by round, subject and place
	for round := range figures {
		figures[round] = make([][]float64, len(t.subjects))
		for i, sub := range t.subjects {
			if !t.needs(i) {
				continue
			}
			if figures[round][i], err = sub.once(ctx, round, s); err != nil {
				return nil, fmt.Errorf("measure %s: %w", sub.name, err)
			}
		}
	}
	for _, r := range t.rows {
		m := measured{row: r}
		for _, f := range figures {
			ours, base := f[r.ours.subject][r.ours.at:], f[r.base.subject][r.base.at:]
			m.ours, m.base = append(m.ours, ours[0]), append(m.base, base[0])
			if r.costs {
				m.oursCPU, m.baseCPU = append(m.oursCPU, [2]float64(ours[1:])), append(m.baseCPU, [2]float64(base[1:]))
			}
		}
		rows = append(rows, m)
	}
	return rows, nil
}

func (t trial) needs(subject int) bool {
	return slices.ContainsFunc(t.rows, func(r row) bool { return r.ours.subject == subject || r.base.subject == subject })
}

// once runs one round of the subject, without garbage of the one before.
func (s subject) once(ctx context.Context, round int, set settings) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	finish := func() error { return nil }
	if set.profiles != "" && round == 0 && s.server != nil {
		var err error
		if finish, err = s.profile(ctx, set.profiles); err != nil {
			return nil, err
		}
	}
	runtime.GC()
	start := time.Now()
	got, err := s.measure(ctx)
	if err := errors.Join(err, finish()); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "round %d/%d  %-28s %6.1fs  %s\n", round+1, set.rounds, s.name, time.Since(start).Seconds(), short(got...))
	return got, nil
}
