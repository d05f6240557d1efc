package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// maxShown bounds the payload that is shown to people.
const maxShown = 16 << 10

// DeadPage lists dead letters, two lines each.
func (s Style) DeadPage(p tasks.DeadPage, now time.Time) string {
	rows := [][]string{}
	for _, d := range p.Letters {
		rows = append(rows, []string{
			s.paint(bold, d.ID), d.Queue, s.paint(red, string(d.Error.Reason)), Ago(d.FinishedAt, now),
			Count(d.Attempts, "attempt"), s.Dim(d.Fingerprint),
		})
	}
	var b strings.Builder
	for i, row := range strings.SplitAfter(Table(rows), "\n") {
		if b.WriteString(row); i < len(p.Letters) {
			b.WriteString("    " + cut(line(p.Letters[i].Error.Message), s.width()-4) + "\n")
		}
	}
	return b.String()
}

// DeadGroups lists groups of dead letters, two lines each.
func (s Style) DeadGroups(groups []tasks.DeadGroup, now time.Time) string {
	rows := [][]string{}
	for _, g := range groups {
		rows = append(rows, []string{
			s.paint(bold, Count(g.Count, "letter")), g.Kind, s.paint(red, string(g.Reason)), "last " + Ago(g.LastAt, now), s.Dim(g.Fingerprint),
		})
	}
	var b strings.Builder
	for i, row := range strings.SplitAfter(Table(rows), "\n") {
		if b.WriteString(row); i < len(groups) {
			b.WriteString("    " + cut(line(groups[i].Message), s.width()-4) + "\n")
		}
	}
	return b.String()
}

// DeadLetter is all of one dead letter.
func (s Style) DeadLetter(d tasks.DeadLetter) string {
	rows := [][]string{{"group", d.Fingerprint}}
	if d.Crashes > 0 {
		rows = append(rows, []string{"crashes", Count(d.Crashes, "worker") + " died while they ran it"})
	}
	if d.Tasks > 0 {
		rows = append(rows, []string{"batch", "stands for " + Count(d.Tasks, "task") + " of a batch"})
	}
	if o := d.Options; o != nil {
		rows = append(rows, []string{"options", fmt.Sprintf("timeout %s, %s, kept for %s", o.Timeout, Count(*o.MaxRetry, "retry"), o.Retention)})
	}
	for _, r := range rows {
		r[0] = s.Dim(r[0])
	}
	return Table(append(s.statusRows(d.Task), rows...)) + s.Dim("payload") + "\n" + s.payload(d.Payload)
}

func (s Style) payload(raw json.RawMessage) string {
	var indented bytes.Buffer
	if json.Indent(&indented, raw, "", "  ") != nil {
		return s.Text(string(raw))
	}
	text := indented.String()
	if len(text) <= maxShown {
		return s.Text(text)
	}
	return s.Text(strings.ToValidUTF8(text[:maxShown], "")) + s.Dim(Bytes(int64(len(text)-maxShown))+" more; --json shows all of it") + "\n"
}

// countable is up to where parts are told one by one: more are bytes.
const countable = 9999

// Progress is how far a task is, on one line.
func (s Style) Progress(p tasks.Progress) string {
	parts := []string{}
	if p.Message != "" {
		parts = append(parts, line(p.Message))
	}
	if p.Fraction > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %%", p.Fraction*100))
	}
	switch {
	case p.Total > countable, p.Done > countable && p.Total == 0:
	case p.Total > 0:
		parts = append(parts, fmt.Sprintf("%d of %d", p.Done, p.Total))
	case p.Done > 0:
		parts = append(parts, fmt.Sprint(p.Done))
	}
	return strings.Join(parts, " · ")
}

// Following is what is shown of a task while it is waited for, within one line of
// the terminal; empty where there is nothing to tell yet.
func (s Style) Following(t tasks.Task) string {
	text := ""
	switch {
	case t.State == tasks.Active && t.Progress != nil:
		text = s.Progress(*t.Progress)
	case t.State == tasks.Active && t.Attempts > 1:
		text = fmt.Sprintf("attempt %d", t.Attempts)
	case t.State == tasks.Retry && t.Error != nil:
		text = "tried again soon, after " + line(t.Error.Error())
	}
	if text == "" {
		return ""
	}
	return s.Dim(cut(t.Kind+": "+text, s.width()-1))
}

// Ago writes how long a moment is past.
func Ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}
