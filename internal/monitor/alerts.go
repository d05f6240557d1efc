package monitor

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Level is how bad something is.
type Level int

// The levels.
const (
	OK   Level = iota
	Warn       // degraded, but working
	Bad        // work is refused or stands still
)

// String returns ok, warn or bad.
func (l Level) String() string { return [...]string{"ok", "warn", "bad"}[l] }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Alert is one thing that is wrong now: what, and the figures and the remedy.
type Alert struct {
	Rule    string    `json:"rule"`
	Subject string    `json:"subject,omitempty"`
	Level   Level     `json:"level"`
	Text    string    `json:"text"`
	Detail  string    `json:"detail"`
	Since   time.Time `json:"since"`
}

// reading is what a rule finds about its subject in one sample: a figure, the
// marks it must not pass, and how long it must do so.
type reading struct {
	rule, subject string
	value         float64
	warn, bad     float64 // 0: there is no such mark
	slack         float64
	after, clear  time.Duration
	text, detail  string
}

// level judges the figure; a level that was reached is only left by slack.
func (r reading) level(before Level) Level {
	passes := func(mark float64, level Level) bool {
		return mark > 0 && (r.value >= mark || before >= level && r.value >= mark-r.slack)
	}
	switch {
	case passes(r.bad, Bad):
		return Bad
	case passes(r.warn, Warn):
		return Warn
	}
	return OK
}

type alertKey struct{ rule, subject string }

// alertState is the memory of one rule about one subject.
type alertState struct {
	alert   Alert
	turning time.Time // since when the figure says another level
	seen    uint64    // the last round that had a reading
}

// rules judge sample after sample, each thing with its own memory. They are
// used by one goroutine.
type rules struct {
	cfg    Config
	hasty  bool // there is only one look: what must last counts at once
	states map[alertKey]*alertState
	round  uint64
	awayAt bool      // Redis was away in the last sample
	backAt time.Time // when Redis was back

	progress map[string]progress // by kind
	dead     []deadAt
	evicted  evicted
}

func newRules(cfg Config) *rules {
	return &rules{cfg: cfg, states: map[alertKey]*alertState{}, progress: map[string]progress{}}
}

// judge returns what is wrong now and logs what began or ended.
func (r *rules) judge(o *Overview, log zerolog.Logger) []Alert {
	r.round++
	r.step(r.redis(o), o.At, log)
	if r.awayAt && o.Redis.Up {
		r.backAt = o.At
	}
	r.awayAt = !o.Redis.Up
	// Without Redis nothing new is known of the rest: what was wrong still is.
	if o.Redis.Up {
		for _, reading := range r.readings(o) {
			r.step(reading, o.At, log)
		}
		r.sweep(o.At, log)
	}
	return r.list()
}

// step moves one rule's memory on by one reading.
func (r *rules) step(n reading, now time.Time, log zerolog.Logger) {
	key := alertKey{n.rule, n.subject}
	s := r.states[key]
	if s == nil {
		if n.level(OK) == OK {
			return
		}
		s = &alertState{alert: Alert{Rule: n.rule, Subject: n.subject}}
		r.states[key] = s
	}
	s.seen = r.round
	before, want := s.alert.Level, n.level(s.alert.Level)
	if want == before {
		s.turning = time.Time{}
		s.alert.Text, s.alert.Detail = n.text, n.detail
		return
	}
	if s.turning.IsZero() {
		s.turning = now
	}
	hold := n.after
	if want < before {
		hold = n.clear
	}
	if now.Sub(s.turning) < hold && !r.hasty {
		if before > OK && n.text != "" {
			s.alert.Text, s.alert.Detail = n.text, n.detail
		}
		return
	}
	s.turning, s.alert.Level = time.Time{}, want
	switch {
	case want > before:
		if before == OK {
			s.alert.Since = now
		}
		s.alert.Text, s.alert.Detail = n.text, n.detail
		log.Warn().Str("rule", n.rule).Str("subject", n.subject).Stringer("level", want).Str("what", n.text).Str("detail", n.detail).Msg("alert started")
	case want > OK:
		s.alert.Text, s.alert.Detail = n.text, n.detail
		log.Info().Str("rule", n.rule).Str("subject", n.subject).Stringer("level", want).Str("what", n.text).Str("detail", n.detail).Msg("alert eased")
	default:
		r.end(key, s, now, log)
	}
}

func (r *rules) end(key alertKey, s *alertState, now time.Time, log zerolog.Logger) {
	log.Info().Str("rule", key.rule).Str("subject", key.subject).Dur("lasted", now.Sub(s.alert.Since)).Msg("alert ended")
	delete(r.states, key)
}

// sweep ends what has no subject any more, such as nodes that are forgotten,
// and drops what never lasted long enough to be told.
func (r *rules) sweep(now time.Time, log zerolog.Logger) {
	for key, s := range r.states {
		switch {
		case key.rule == ruleRedis:
		case s.alert.Level == OK && s.turning.IsZero():
			delete(r.states, key)
		case s.seen == r.round:
		case s.alert.Level == OK:
			delete(r.states, key)
		default:
			r.end(key, s, now, log)
		}
	}
}

func (r *rules) list() []Alert {
	alerts, order := []Alert{}, Rules()
	for _, s := range r.states {
		if s.alert.Level > OK {
			alerts = append(alerts, s.alert)
		}
	}
	slices.SortFunc(alerts, func(a, b Alert) int {
		return cmp.Or(
			cmp.Compare(b.Level, a.Level),
			cmp.Compare(slices.Index(order, a.Rule), slices.Index(order, b.Rule)),
			a.Since.Compare(b.Since), strings.Compare(a.Subject, b.Subject))
	})
	return alerts
}
