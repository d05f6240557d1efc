package monitor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// Screen is where Top draws. Without Size it is no terminal.
type Screen struct {
	Out io.Writer
	// Color marks what is wrong.
	Color bool
	// Size is the terminal's columns and rows; nil if Out is none.
	Size func() (columns, rows int)
	// Quit ends Top when it is closed.
	Quit <-chan struct{}
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeScreen  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// Top draws the yard again and again, until ctx ends or Quit is closed: the
// verdict, the queues, and the nodes with their memory. Where Out is no
// terminal it looks twice, for the rates, and writes one plain picture. The
// error tells that Redis did not answer at first, or Out could not be written.
func Top(ctx context.Context, cfg Config, b *broker.Broker, s Screen) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	l := newLookout(cfg, b, zerolog.Nop())
	l.rules.hasty = true // nobody waits for the first picture to come true
	t := &top{color: s.Color, memory: map[string][]float64{}}
	o, err := l.look(ctx, nil)
	if err != nil {
		return err
	}
	t.remember(o)
	tick := time.NewTicker(cfg.SampleEvery)
	defer tick.Stop()
	if s.Size == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if o, err = l.look(ctx, o); err != nil {
			return err
		}
		t.remember(o)
		_, err = io.WriteString(s.Out, t.picture(o))
		return err
	}
	l.rules.hasty = false
	if _, err := io.WriteString(s.Out, enterScreen); err != nil {
		return err
	}
	defer io.WriteString(s.Out, leaveScreen) //nolint:errcheck // nothing is left to be done
	for {
		columns, rows := s.Size()
		if _, err := io.WriteString(s.Out, fit(t.picture(o), columns, rows)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Quit:
			return nil
		case <-tick.C:
		}
		// What is wrong is in the picture: Redis may come back.
		o, _ = l.look(ctx, o)
		t.remember(o)
	}
}

// top remembers what its small curves show.
type top struct {
	color  bool
	memory map[string][]float64 // by node, as parts of the limit
}

// sparks are the steps of a curve, and sparkPoints how many it has.
const (
	sparks      = "▁▂▃▄▅▆▇█"
	sparkPoints = 20
)

func (t *top) remember(o *Overview) {
	known := map[string]bool{}
	for _, n := range o.Nodes {
		known[n.ID] = true
		if o.Redis.Up && n.Up && n.MemoryLimit > 0 {
			line := t.memory[n.ID]
			line = append(line, float64(n.RSS)/float64(n.MemoryLimit))
			t.memory[n.ID] = line[max(0, len(line)-sparkPoints):]
		}
	}
	for id := range t.memory {
		if !known[id] {
			delete(t.memory, id)
		}
	}
}

// spark draws a curve between its lowest and highest value; one that hardly
// moves is flat.
func spark(line []float64) string {
	if len(line) < 2 {
		return ""
	}
	low, high := line[0], line[0]
	for _, v := range line {
		low, high = min(low, v), max(high, v)
	}
	steps := []rune(sparks)
	var b strings.Builder
	for _, v := range line {
		i := 0
		if high-low > 0.005 {
			i = int((v - low) / (high - low) * float64(len(steps)-1))
		}
		b.WriteRune(steps[i])
	}
	return b.String()
}

// picture is the whole yard as text.
func (t *top) picture(o *Overview) string {
	p := painter{color: t.color}
	fmt.Fprintf(&p.out, "%s  %s\n", o.At.Format(time.TimeOnly), p.paint(cell{level: o.Verdict.Level}, o.Verdict.Text))
	if len(o.Alerts) > 1 {
		for _, a := range o.Alerts {
			fmt.Fprintf(&p.out, "  %s %s: %s\n", p.paint(cell{level: a.Level}, fmt.Sprintf("%-4s", a.Level)), a.Text, a.Detail)
		}
	}
	k := o.Total
	fmt.Fprintf(&p.out, "%s/s, %s failing/s, %d of %d slots busy, %d dead letters; %d workers wanted, %d take tasks\n\n",
		perSecond(k.PerSecond), perSecond(k.FailedPerSecond), k.Busy, k.Slots, k.Archived, o.Plan.Workers, k.NodesTaking)
	t.queues(&p, o)
	p.out.WriteString("\n")
	t.nodes(&p, o)
	return p.out.String()
}

func (t *top) queues(p *painter, o *Overview) {
	rows := [][]cell{heading("QUEUE", ">WAITING", ">LIMIT", "", ">ACTIVE", ">RETRY", ">DEAD", ">P50", ">P95", ">OLDEST", ">DRAINED IN", "")}
	for _, q := range o.Queues {
		part := float64(q.Waiting) / float64(q.Limit)
		how := mark(part, o.Marks.Queue)
		row := []cell{left(q.Name), right(fmt.Sprint(q.Waiting)).as(how), right(fmt.Sprint(q.Limit)), left(bar(part)).as(how)}
		for _, s := range []tasks.State{tasks.Active, tasks.Retry, tasks.Archived} {
			row = append(row, right(fmt.Sprint(q.Counts[s])).faintIf(q.Counts[s] == 0))
		}
		for _, seconds := range []float64{q.WaitP50, q.WaitP95, q.OldestSeconds} {
			row = append(row, shortly(seconds))
		}
		drain := shortly(0)
		if q.DrainSeconds != nil {
			drain = shortly(*q.DrainSeconds)
		}
		paused := left("")
		if q.Paused {
			paused = left("paused").as(Warn)
		}
		rows = append(rows, append(row, drain, paused))
	}
	p.table(rows)
}

// shortly writes seconds, also few of them.
func shortly(seconds float64) cell {
	switch {
	case seconds <= 0:
		return right("-").faintIf(true)
	case seconds < 1:
		return right(fmt.Sprintf("%.0f ms", 1000*seconds))
	}
	return right(span(seconds))
}

func (t *top) nodes(p *painter, o *Overview) {
	if len(o.Nodes) == 0 {
		p.out.WriteString("No worker has reported yet. Start one with: worker\n")
		return
	}
	rows := [][]cell{heading("NODE", "STATE", ">MEMORY", ">LIMIT", "", ">FULL IN", "LATELY", ">BUSY", ">SLOTS", ">TASKS/S", ">CPU", ">RUNNERS", "ISOLATION")}
	for _, n := range o.Nodes {
		state, how := left(n.State), OK
		switch {
		case n.silent():
			state = left("silent " + span(n.AgeSeconds)).as(Bad)
		case n.State != "running":
			state = state.as(Warn)
		case n.Budget.Rest > 0:
			state = left("slowed").as(Warn)
		}
		part, limit := 0.0, "-"
		if n.MemoryLimit > 0 {
			part, limit = float64(n.RSS)/float64(n.MemoryLimit), size(n.MemoryLimit)
		}
		if n.Up {
			how = mark(part, o.Marks.Memory)
		}
		full := right("-").faintIf(true)
		if n.FullInSeconds != nil {
			full = right(span(*n.FullInSeconds)).as(mark(fillingWarn.Seconds()/max(1, *n.FullInSeconds), 1))
		}
		isolation := left(n.Isolation)
		if n.Isolation != "full" {
			isolation = isolation.as(Warn)
		}
		row := []cell{
			left(n.ID), state, right(size(n.RSS)).as(how), right(limit), left(bar(part)).as(how), full, left(spark(t.memory[n.ID])),
			right(fmt.Sprint(n.Busy)), right(fmt.Sprint(n.Slots)), right(perSecond(n.PerSecond)), right(fmt.Sprintf("%.0f %%", n.CPUPercent)),
			right(fmt.Sprint(len(n.Runners))), isolation,
		}
		for i := range row {
			row[i] = row[i].faintIf(!n.Up)
		}
		rows = append(rows, row)
	}
	p.table(rows)
}

// fit cuts a picture to a terminal and writes it over what was there.
func fit(picture string, columns, rows int) string {
	var out strings.Builder
	out.WriteString(homeScreen)
	lines := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	if rows > 1 && len(lines) > rows {
		hidden := len(lines) - rows + 1
		lines = append(lines[:rows-1], fmt.Sprintf("… %d more lines; q ends", hidden))
	}
	for i, line := range lines {
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(narrow(line, columns) + clearLine)
	}
	out.WriteString(clearRest)
	return out.String()
}

// narrow cuts a line after so many columns; sequences that color it take none.
func narrow(line string, columns int) string {
	if columns <= 0 || uniseg.StringWidth(line) <= columns {
		return line
	}
	var out strings.Builder
	width, state := 0, -1
	for rest := line; rest != ""; {
		if strings.HasPrefix(rest, "\x1b[") {
			if end := strings.IndexByte(rest, 'm'); end >= 0 {
				out.WriteString(rest[:end+1])
				rest, state = rest[end+1:], -1
				continue
			}
		}
		cluster, after, w, next := uniseg.FirstGraphemeClusterInString(rest, state)
		if width += w; width > columns {
			break
		}
		out.WriteString(cluster)
		rest, state = after, next
	}
	if strings.Contains(line, "\x1b[") {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}
