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

// redisAway is what is said of a Redis that does not answer.
const redisAway = "Redis is away"

// verdict sums up the alerts, or says what goes on. That Redis is away it says
// at once: the figures are old.
func verdict(o *Overview) Verdict {
	if !o.Redis.Up {
		return Verdict{Bad, sentence(redisAway + ": " + o.Redis.Error)}
	}
	if n := len(o.Alerts); n > 0 {
		worst := o.Alerts[0]
		text := worst.Text + ", and one more thing needs attention"
		switch {
		case n == 1:
			text = worst.Text + ": " + worst.Detail
		case n > 2:
			text = fmt.Sprintf("%s, and %d more things need attention", worst.Text, n-1)
		}
		return Verdict{worst.Level, sentence(text)}
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
	case d < time.Hour:
		return two(d, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "min")
	}
	return two(d, 24*time.Hour, "d", time.Hour, "h")
}

func two(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}
