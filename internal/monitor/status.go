package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// StatusFormat says how Status writes.
type StatusFormat struct {
	// JSON writes the Overview instead of tables.
	JSON bool
	// Color marks what is wrong, for terminals.
	Color bool
}

// Status looks at the yard once and writes what it sees: the verdict, what is
// wrong, the queues and the nodes. It returns how bad it is; the error tells
// that Redis did not answer or w could not be written. Rates need more than
// one look and are left out.
func Status(ctx context.Context, cfg Config, b *broker.Broker, w io.Writer, format StatusFormat) (Level, error) {
	if err := cfg.Validate(); err != nil {
		return Bad, err
	}
	l := newLookout(cfg, b, zerolog.Nop())
	l.rules.hasty = true
	o, err := l.look(ctx, nil)
	if err != nil {
		return Bad, err
	}
	if format.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return o.Verdict.Level, e.Encode(o)
	}
	p := painter{color: format.Color}
	p.verdict(o)
	p.queues(o)
	p.nodes(o)
	if _, err := io.WriteString(w, p.out.String()); err != nil {
		return o.Verdict.Level, fmt.Errorf("write the status: %w", err)
	}
	return o.Verdict.Level, nil
}

// painter writes tables for a terminal.
type painter struct {
	color bool
	out   strings.Builder
}

// cell is one field of a table.
type cell struct {
	text  string
	right bool
	level Level
	faint bool
}

func left(s string) cell               { return cell{text: s} }
func right(s string) cell              { return cell{text: s, right: true} }
func (c cell) as(l Level) cell         { c.level = l; return c }
func (c cell) faintIf(faint bool) cell { c.faint = c.faint || faint; return c }

// paint gives a text the color of its level.
func (p *painter) paint(c cell, text string) string {
	code := ""
	switch {
	case !p.color:
	case c.level == Bad:
		code = "31"
	case c.level == Warn:
		code = "33"
	case c.faint:
		code = "2"
	}
	if code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// table writes rows in columns, the first row as the heading.
func (p *painter) table(rows [][]cell) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-uniseg.StringWidth(c.text))
			switch {
			case c.right:
				line.WriteString(pad + p.paint(c, c.text))
			case i == len(row)-1:
				line.WriteString(p.paint(c, c.text))
			default:
				line.WriteString(p.paint(c, c.text) + pad)
			}
			if i < len(row)-1 {
				line.WriteString("  ")
			}
		}
		p.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func heading(names ...string) []cell {
	row := make([]cell, len(names))
	for i, n := range names {
		text, isRight := strings.CutPrefix(n, ">")
		row[i] = cell{text: text, right: isRight, faint: true}
	}
	return row
}

func (p *painter) verdict(o *Overview) {
	fmt.Fprintln(&p.out, p.paint(cell{level: o.Verdict.Level}, o.Verdict.Text))
	if len(o.Alerts) > 1 {
		for _, a := range o.Alerts {
			fmt.Fprintf(&p.out, "  %s %s: %s\n", p.paint(cell{level: a.Level}, fmt.Sprintf("%-4s", a.Level)), a.Text, a.Detail)
		}
	}
}

func (p *painter) queues(o *Overview) {
	rows := [][]cell{heading("QUEUE", ">WAITING", ">LIMIT", "", ">PENDING", ">ACTIVE", ">RETRY", ">SCHEDULED", ">ARCHIVED", ">OLDEST", "")}
	for _, q := range o.Queues {
		part := float64(q.Waiting) / float64(q.Limit)
		how := mark(part, o.Marks.Queue)
		oldest, paused := "-", ""
		if q.OldestSeconds > 0 {
			oldest = span(q.OldestSeconds)
		}
		if q.Paused {
			paused = "paused"
		}
		row := []cell{left(q.Name), right(fmt.Sprint(q.Waiting)).as(how), right(fmt.Sprint(q.Limit)), left(bar(part)).as(how)}
		for _, s := range []tasks.State{tasks.Pending, tasks.Active, tasks.Retry, tasks.Scheduled, tasks.Archived} {
			row = append(row, right(fmt.Sprint(q.Counts[s])).faintIf(q.Counts[s] == 0))
		}
		rows = append(rows, append(row, right(oldest).faintIf(oldest == "-"), left(paused).as(Warn)))
	}
	p.out.WriteString("\n")
	p.table(rows)
}

func (p *painter) nodes(o *Overview) {
	p.out.WriteString("\n")
	if len(o.Nodes) == 0 {
		p.out.WriteString("No worker has reported yet. Start one with: worker\n")
		return
	}
	rows := [][]cell{heading("NODE", "STATE", ">MEMORY", ">LIMIT", "", ">BUSY", ">SLOTS", ">CPU", ">GOROUTINES", ">FILES", "ISOLATION", ">UPTIME", ">DONE", ">FAILED")}
	for _, n := range o.Nodes {
		rows = append(rows, nodeRow(n, o))
	}
	p.table(rows)
	if o.HiddenNodes > 0 {
		fmt.Fprintf(&p.out, "and %d more nodes\n", o.HiddenNodes)
	}
}

func nodeRow(n Node, o *Overview) []cell {
	state, how := left(n.State), OK
	switch {
	case n.silent():
		state = left("silent " + span(n.AgeSeconds)).as(Bad)
	case n.State == "draining":
		state = state.as(Warn)
	}
	part, limit := 0.0, "-"
	if n.MemoryLimit > 0 {
		part, limit = float64(n.RSS)/float64(n.MemoryLimit), size(n.MemoryLimit)
	}
	if n.Up {
		how = mark(part, o.Marks.Memory)
	}
	isolation := left(n.Isolation)
	if n.Isolation != "full" {
		isolation = isolation.as(Warn)
	}
	uptime := "-"
	if n.Up {
		uptime = span(o.At.Sub(n.StartedAt).Seconds())
	}
	var done, failed int64
	for _, k := range n.Kinds {
		done, failed = done+k.Completed, failed+k.Failed
	}
	row := []cell{
		left(n.ID), state, right(size(n.RSS)).as(how), right(limit), left(bar(part)).as(how),
		right(fmt.Sprint(n.Busy)), right(fmt.Sprint(n.Slots)), right(fmt.Sprintf("%.0f %%", n.CPUPercent)),
		right(fmt.Sprint(n.Goroutines)), right(fmt.Sprint(n.OpenFiles)), isolation,
		right(uptime), right(fmt.Sprint(done)), right(fmt.Sprint(failed)),
	}
	for i := range row {
		row[i] = row[i].faintIf(!n.Up)
	}
	return row
}

func mark(part, warn float64) Level {
	switch {
	case part >= 1:
		return Bad
	case part >= warn:
		return Warn
	}
	return OK
}

// bar draws a part of a whole; anything more than nothing shows.
func bar(part float64) string {
	const width = 10
	full := min(width, int(part*width))
	if part > 0 && full == 0 {
		return "▏" + strings.Repeat("·", width-1)
	}
	return strings.Repeat("█", full) + strings.Repeat("·", width-full)
}
