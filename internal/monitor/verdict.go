package monitor

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Verdict is the yard's health in one sentence, what is wrong first.
type Verdict struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// verdict sums up the alerts, or says what goes on.
func verdict(o *Overview) Verdict {
	switch n := len(o.Alerts); {
	case n == 1:
		return Verdict{o.Alerts[0].Level, sentence(o.Alerts[0].Text)}
	case n == 2:
		return Verdict{o.Alerts[0].Level, sentence(o.Alerts[0].Text + "; and one more thing needs attention")}
	case n > 2:
		return Verdict{o.Alerts[0].Level, sentence(fmt.Sprintf("%s; and %d more things need attention", o.Alerts[0].Text, n-1))}
	}
	t := o.Total
	if t.NodesUp == 0 {
		return Verdict{OK, "Redis answers and nothing waits, but no worker is up yet."}
	}
	up := "1 node is up"
	if t.NodesUp > 1 {
		up = fmt.Sprintf("%d nodes are up", t.NodesUp)
	}
	work := waits(t.Waiting)
	if t.Waiting == 0 {
		work = "nothing waits"
	}
	return Verdict{OK, fmt.Sprintf("All is well: %s, %s, %s tasks/s.", up, work, perSecond(t.PerSecond))}
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimRight(s[n:], ".") + "."
}

func waits(n int64) string {
	if n == 1 {
		return "1 task waits"
	}
	return fmt.Sprintf("%d tasks wait", n)
}

// perSecond writes a rate with two digits' worth of detail.
func perSecond(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// size writes bytes for people.
func size(n int64) string {
	v, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, next
	}
	if v >= 100 || unit == "B" {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

// span writes a duration for people, in its two largest units.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
