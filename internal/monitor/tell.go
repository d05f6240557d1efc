package monitor

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jobyard/jobyard/internal/monitor/notify"
)

// tellLease is how long the monitor that speaks for all is believed to live.
const tellLease = 15 * time.Second

// runbook is where it is written what an alert means and what to do.
const runbook = "docs/runbook.md#"

// teller tells receivers what is wrong.
type teller struct {
	to   *notify.Dispatcher
	name string
}

func newTeller(to *notify.Dispatcher) *teller { return &teller{to: to, name: rand.Text()} }

// tell hands the alerts of a sample on. Of several monitors one speaks; while
// Redis is away nobody can know which, and all do.
func (m *Monitor) tell(ctx context.Context, o *Overview) {
	if !m.teller.to.Needed() {
		return
	}
	leads := true
	if o.Redis.Up {
		var err error
		if leads, err = m.broker.Lead(ctx, "alerts", m.teller.name, tellLease); err != nil {
			leads = true
		}
	}
	now := make([]notify.Notice, 0, len(o.Alerts))
	for _, a := range o.Alerts {
		now = append(now, notify.Notice{
			ID: notify.NoticeID(a.Rule, a.Subject), Rule: a.Rule, Subject: a.Subject, Level: a.Level.String(), Text: a.Text, Detail: a.Detail,
			Since: a.Since, Runbook: runbook + a.Rule,
		})
	}
	m.teller.to.Update(now, leads)
}
