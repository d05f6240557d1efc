package batch

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// quietEvery is how often progress is told where no terminal shows a bar.
const quietEvery = 10 * time.Second

// Progress tells how far a batch is: a bar on a terminal, else a line every ten
// seconds, and one line at the end. What cannot be written is lost: progress
// must not end a batch.
type Progress struct {
	w     io.Writer
	total int // 0 if unknown
	bar   *progressbar.ProgressBar
	start time.Time
	told  time.Time
	now   func() time.Time
}

// NewProgress tells progress on w. Total is the number of lines, 0 if unknown.
func NewProgress(w io.Writer, terminal bool, total int) *Progress {
	p := &Progress{w: w, total: total, now: time.Now}
	p.start = p.now()
	p.told = p.start
	if terminal {
		most := -1 // a spinner
		if total > 0 {
			most = total
		}
		p.bar = progressbar.NewOptions(most, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("tasks"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("tasks"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish())
	}
	return p
}

// Show tells what has been written so far.
func (p *Progress) Show(s Summary) {
	switch {
	case p.bar != nil:
		_ = p.bar.Set(s.Lines)
	case p.now().Sub(p.told) >= quietEvery:
		p.told = p.now()
		of := ""
		if p.total > 0 {
			of = fmt.Sprintf(" of %d", p.total)
		}
		p.say(fmt.Sprintf("batch: %d%s lines, %d failed", s.Lines, of, s.Failed))
	}
}

// Close tells the end.
func (p *Progress) Close(s Summary) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	took := p.now().Sub(p.start)
	lines := "lines"
	if s.Lines == 1 {
		lines = "line"
	}
	text := fmt.Sprintf("batch: %d %s, %d completed, %d failed", s.Lines, lines, s.Completed, s.Failed)
	if s.Invalid > 0 {
		text += fmt.Sprintf(" (%d not valid)", s.Invalid)
	}
	if s.Unfinished > 0 {
		text += fmt.Sprintf(", %d not done", s.Unfinished)
	}
	p.say(fmt.Sprintf("%s in %s", text, took.Round(10*time.Millisecond)))
}

func (p *Progress) say(line string) { _, _ = io.WriteString(p.w, line+"\n") }

// Count counts the lines of a file that are not blank.
func Count(r io.Reader) (int, error) {
	buf := make([]byte, 64<<10)
	n, blank := 0, true
	for {
		size, err := r.Read(buf)
		for part := range bytes.Lines(buf[:size]) {
			if blank && len(bytes.TrimSpace(part)) > 0 {
				blank = false
				n++
			}
			blank = blank || part[len(part)-1] == '\n'
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, fmt.Errorf("count lines: %w", err)
		}
	}
}
