package tasks

import (
	"strings"
	"time"
	"unicode"
)

// MaxProgressMessage bounds the message of a Progress, in bytes.
const MaxProgressMessage = 200

// Progress is how far the newest attempt of a task is, as its job last told.
type Progress struct {
	// Fraction is how much is done, from 0 to 1; 0 also where that is not known.
	Fraction float64 `json:"fraction,omitempty"`
	// Done of Total parts of the step at hand are done, if it has parts.
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Message says in a few words what is being done.
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// Bounded returns p within its bounds: numbers that make sense, and a message
// that is short, valid UTF-8 and on one line.
func (p Progress) Bounded() Progress {
	p.Done, p.Total = max(0, p.Done), max(0, p.Total)
	if p.Total > 0 {
		p.Done = min(p.Done, p.Total)
	}
	if !(p.Fraction > 0) { // also not a number
		p.Fraction = 0
		if p.Total > 0 {
			p.Fraction = float64(p.Done) / float64(p.Total)
		}
	}
	p.Fraction = float64(int(min(p.Fraction, 1)*1000)) / 1000
	p.Message = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(p.Message, "\uFFFD"))
	p.Message = clip(strings.TrimSpace(p.Message), MaxProgressMessage-len("…"))
	return p
}
