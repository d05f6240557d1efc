package report

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// Bytes writes a size for people.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u == 0 || v >= 100 {
		return fmt.Sprintf("%.0f %s", v, units[u])
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

// Span writes a duration for people: three digits are enough.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// Took writes the time between two moments of a task, which are kept in whole
// milliseconds.
func Took(from, to time.Time) string {
	switch d := to.Sub(from).Round(time.Millisecond); {
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return Span(d)
	}
}

// Count writes a number with its noun: "1 hit", "1,234 hits".
func Count(n int, noun string) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return digits + " " + noun
}

// colors match what paint puts around a text.
var colors = regexp.MustCompile("\x1b\\[[0-9]+m")

// Table aligns columns by what is seen of them.
func Table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], seen(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-seen(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func seen(cell string) int { return uniseg.StringWidth(colors.ReplaceAllString(cell, "")) }

// wrap breaks text into lines of at most n columns, each behind indent, and
// cuts after most lines.
func wrap(text, indent string, n, most int) string {
	var lines []string
	current, width := "", 0
	for word := range strings.FieldsSeq(text) {
		w := uniseg.StringWidth(word)
		if width > 0 && width+1+w > n-len(indent) {
			lines = append(lines, current)
			current, width = "", 0
		}
		if width > 0 {
			current, width = current+" ", width+1
		}
		current, width = current+word, width+w
	}
	if current != "" {
		lines = append(lines, current)
	}
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] += " …"
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(indent + cut(l, max(n-len(indent), 10)) + "\n")
	}
	return b.String()
}
