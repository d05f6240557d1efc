// Package report lays tasks and their results out for people, on a terminal or
// in a file.
//
// What comes from documents and packages is a stranger's text: control
// characters, and with them every way to steer a terminal, are taken out of it.
// Colors appear only if the Style has them.
package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"

	"github.com/jobyard/jobyard/tasks"
)

// Style is how a report looks.
type Style struct {
	Color bool
	Width int // columns; 0 means 80
}

// ink is an ANSI color or weight.
type ink string

const (
	bold   ink = "1"
	dim    ink = "2"
	red    ink = "31"
	green  ink = "32"
	yellow ink = "33"
	cyan   ink = "36"
)

func (s Style) paint(i ink, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

func (s Style) width() int {
	if s.Width <= 0 {
		return 80
	}
	return min(s.Width, 120) // longer lines are hard to read
}

// Title is a heading of a report.
func (s Style) Title(text string) string { return s.paint(bold, line(text)) }

// Dim is text of less weight.
func (s Style) Dim(text string) string { return s.paint(dim, text) }

// line makes a stranger's text one printable line.
func line(text string) string { return strings.Join(strings.Fields(printable(text)), " ") }

// printable takes control characters out, except line ends and tabs.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		// Cf holds the characters that turn the direction of writing.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// cut shortens a line to n columns.
func cut(text string, n int) string {
	if uniseg.StringWidth(text) <= n {
		return text
	}
	var b strings.Builder
	width, state := 0, -1
	for rest := text; rest != ""; {
		var cluster string
		var w int
		cluster, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if width += w; width > n-1 {
			break
		}
		b.WriteString(cluster)
	}
	return strings.TrimRight(b.String(), " ") + "…"
}

// Task is a whole task: what became of it, its result by kind, and its times.
func (s Style) Task(t tasks.Task) string {
	var b strings.Builder
	switch {
	case t.Error != nil:
		b.WriteString(s.Failure(t))
	case t.State == tasks.Completed:
		b.WriteString(s.Result(t))
	default:
		fmt.Fprintf(&b, "%s %s is %s\n", t.Kind, t.ID, s.state(t.State))
	}
	b.WriteString(s.Dim(Times(t)) + "\n")
	return b.String()
}

// Result is a completed task's result, by kind.
func (s Style) Result(t tasks.Task) string {
	var text string
	var err error
	switch t.Kind {
	case tasks.Search.Name():
		var r tasks.SearchResult
		if r, err = tasks.Search.Result(t); err == nil {
			text = s.Search(r)
		}
	case tasks.SDKFetch.Name():
		var r tasks.SDKFetchResult
		if r, err = tasks.SDKFetch.Result(t); err == nil {
			text = s.SDK(r)
		}
	case tasks.ConfigGen.Name():
		var r tasks.ConfigGenResult
		if r, err = tasks.ConfigGen.Result(t); err == nil {
			text = s.Config(r, 0)
		}
	case tasks.DocumentParse.Name():
		var r tasks.DocumentParseResult
		if r, err = tasks.DocumentParse.Result(t); err == nil {
			text = s.Document(r)
		}
	default:
		err = fmt.Errorf("kind %q is not known to this version", line(t.Kind))
	}
	if err != nil {
		return s.paint(red, "the result cannot be shown: "+line(err.Error())) + "\n"
	}
	return text
}

// Failure says why a task has no result.
func (s Style) Failure(t tasks.Task) string {
	var b strings.Builder
	reason := ""
	if t.State != tasks.Canceled {
		reason = ", " + s.paint(bold, string(t.Error.Reason))
	}
	message := ": " + line(t.Error.Message)
	if fields := t.Error.Fields; len(fields) > 0 && t.Error.Message == (&tasks.InvalidError{Fields: fields}).Error() {
		message = "" // the lines below say it
	}
	fmt.Fprintf(&b, "%s%s%s\n", s.paint(red, t.Kind+" "+string(t.State)), reason, message)
	for _, f := range t.Error.Fields {
		fmt.Fprintf(&b, "  %s: %s\n", s.paint(yellow, line(f.Path)), line(f.Message))
	}
	if t.Error.Retryable {
		b.WriteString(s.Dim("  the same request may succeed later") + "\n")
	}
	return b.String()
}

// Status is where a task is in its life.
func (s Style) Status(t tasks.Task) string { return Table(s.statusRows(t)) }

func (s Style) statusRows(t tasks.Task) [][]string {
	rows := [][]string{
		{"task", t.ID}, {"kind", t.Kind}, {"queue", t.Queue}, {"state", s.state(t.State)}, {"attempts", fmt.Sprint(t.Attempts)},
		{"enqueued", moment(t.EnqueuedAt)}, {"started", moment(t.StartedAt)}, {"finished", moment(t.FinishedAt)},
		{"cached", t.Cached}, {"node", line(t.Node)},
	}
	if t.PeakMemory > 0 {
		rows = append(rows, []string{"memory", Bytes(t.PeakMemory) + " at most"})
	}
	if t.Progress != nil {
		rows = append(rows, []string{"progress", s.Progress(*t.Progress)})
	}
	if r := t.Replayed; r != nil {
		rows = append(rows, []string{"replayed", fmt.Sprintf("%s, last %s, after it had failed for %s", Count(r.Times, "time"), moment(r.At), r.Reason)})
	}
	if t.Error != nil {
		rows = append(rows, []string{"reason", s.paint(bold, string(t.Error.Reason))}, []string{"message", line(t.Error.Message)})
		for _, f := range t.Error.Fields {
			rows = append(rows, []string{"", line(f.Path) + ": " + line(f.Message)})
		}
	}
	kept := rows[:0]
	for _, r := range rows {
		if r[1] != "" {
			r[0] = s.Dim(r[0])
			kept = append(kept, r)
		}
	}
	return kept
}

func (s Style) state(state tasks.State) string {
	switch state {
	case tasks.Completed:
		return s.paint(green, string(state))
	case tasks.Archived, tasks.Canceled:
		return s.paint(red, string(state))
	case tasks.Active:
		return s.paint(cyan, string(state))
	}
	return s.paint(yellow, string(state))
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000 MST")
}

// Times is one line about how long a task took, and where.
func Times(t tasks.Task) string {
	var parts []string
	queued := t.EnqueuedAt
	if t.Replayed != nil {
		queued = t.Replayed.At
	}
	if !t.StartedAt.IsZero() && !queued.IsZero() {
		parts = append(parts, "waited "+Took(queued, t.StartedAt))
	}
	if !t.FinishedAt.IsZero() && !t.StartedAt.IsZero() {
		parts = append(parts, "ran "+Took(t.StartedAt, t.FinishedAt))
	}
	if t.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", t.Attempts))
	}
	if t.PeakMemory > 0 {
		parts = append(parts, Bytes(t.PeakMemory)+" of memory")
	}
	if t.Cached != "" {
		parts = append(parts, "from the "+t.Cached+" cache")
	}
	if t.Node != "" {
		parts = append(parts, "on "+line(t.Node))
	}
	if t.ID != "" {
		parts = append(parts, "task "+t.ID)
	}
	return strings.Join(parts, " · ")
}

// Text is a stranger's text as it is, without what steers a terminal, and with a
// line end.
func (s Style) Text(text string) string {
	return strings.TrimRight(printable(strings.ReplaceAll(text, "\r\n", "\n")), "\n") + "\n"
}

// Grade is ok, warn or fail in its color.
func (s Style) Grade(grade string) string {
	switch grade {
	case "ok":
		return s.paint(green, grade)
	case "warn":
		return s.paint(yellow, grade)
	}
	return s.paint(red, grade)
}

// List is a list of sentences.
func (s Style) List(sentences []string) string {
	var b strings.Builder
	for _, sentence := range sentences {
		text := wrap(line(sentence), "  ", s.width(), 10)
		b.WriteString("- " + strings.TrimPrefix(text, "  "))
	}
	return b.String()
}

// Heading begins a part of a longer report.
func (s Style) Heading(text string) string {
	if !s.Color {
		return "== " + line(text) + ":"
	}
	return s.paint(bold+";"+cyan, line(text)+":")
}
