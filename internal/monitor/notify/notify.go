// Package notify tells others what is wrong: a webhook, and Alertmanager.
//
// A Dispatcher is told with every sample what is wrong now, and brings each of
// its receivers up to date. There is no queue: what could not be delivered is
// tried again, in the state that it has by then, so that a receiver that was
// away hears what is true and not what was. It promises at least one delivery
// of each change that lasts. It owns no key; Run ends with its context.
package notify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Notice is one thing that is wrong, or that is over.
type Notice struct {
	// ID is the same for the same thing on the same subject, for receivers that
	// put several monitors' words together.
	ID      string `json:"id"`
	Rule    string `json:"rule"`
	Subject string `json:"subject,omitempty"`
	// Level is warn or bad.
	Level  string    `json:"level"`
	Text   string    `json:"text"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
	// Resolved tells that it is over.
	Resolved bool `json:"resolved"`
	// Runbook says where to read what to do.
	Runbook string `json:"runbook,omitempty"`
}

// NoticeID makes a Notice's ID.
func NoticeID(rule, subject string) string {
	sum := sha256.Sum256([]byte(rule + "\n" + subject))
	return hex.EncodeToString(sum[:8])
}

const (
	// sendTime bounds one delivery.
	sendTime = 10 * time.Second
	// firstPause and lastPause bound the pause after a delivery that failed.
	firstPause, lastPause = time.Second, time.Minute
)

// receiver is one place that is told.
type receiver struct {
	name string
	// send delivers what has changed, and all that is wrong now.
	send func(ctx context.Context, changes, all []Notice) error
	// again is how often all is sent although nothing has changed; 0 for never.
	again time.Duration
	// always tells that every monitor speaks to it, not only the one that leads.
	always bool

	mu   sync.Mutex
	want map[string]Notice
	told map[string]Notice
	wake chan struct{}
}

// Dispatcher keeps receivers up to date.
type Dispatcher struct {
	receivers []*receiver
	log       zerolog.Logger
	led       bool
}

// New returns a dispatcher to what cfg names, which may be nothing.
func New(cfg Config, log zerolog.Logger) *Dispatcher {
	d := &Dispatcher{log: log}
	if cfg.Webhook != "" {
		d.receivers = append(d.receivers, newReceiver("webhook", newWebhook(cfg).send))
	}
	if cfg.Alertmanager != "" {
		r := newReceiver("alertmanager", newAlertmanager(cfg).send)
		r.again, r.always = resendEvery, true
		d.receivers = append(d.receivers, r)
	}
	return d
}

func newReceiver(name string, send func(ctx context.Context, changes, all []Notice) error) *receiver {
	return &receiver{name: name, send: send, want: map[string]Notice{}, told: map[string]Notice{}, wake: make(chan struct{}, 1)}
}

// Needed reports whether anybody is told.
func (d *Dispatcher) Needed() bool { return len(d.receivers) > 0 }

// Update says what is wrong now. Of several monitors only the one that leads
// speaks, but to receivers that put the same words together themselves. It is
// called by one goroutine.
func (d *Dispatcher) Update(now []Notice, leads bool) {
	took := leads && !d.led
	d.led = leads
	for _, r := range d.receivers {
		r.update(now, leads || r.always, took && !r.always)
	}
}

func (r *receiver) update(now []Notice, speaks, took bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.want = make(map[string]Notice, len(now))
	for _, n := range now {
		r.want[n.ID] = n
	}
	if !speaks {
		r.told = r.want // by the one that leads
		return
	}
	if took {
		// Nobody knows what the one before still said: say what is wrong again.
		for id := range r.told {
			if _, still := r.want[id]; still {
				delete(r.told, id)
			}
		}
	}
	if len(r.changes()) > 0 {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// changes are what the receiver does not know yet; r.mu is held.
func (r *receiver) changes() []Notice {
	var all []Notice
	for id, n := range r.want {
		if before, known := r.told[id]; !known || before.Level != n.Level {
			all = append(all, n)
		}
	}
	for id, n := range r.told {
		if _, still := r.want[id]; !still {
			n.Resolved = true
			all = append(all, n)
		}
	}
	slices.SortFunc(all, byAge)
	return all
}

func byAge(a, b Notice) int {
	return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Subject, b.Subject))
}

// Run delivers until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, r := range d.receivers {
		running.Go(func() { r.run(ctx, d.log.With().Str("receiver", r.name).Logger()) })
	}
	running.Wait()
}

func (r *receiver) run(ctx context.Context, log zerolog.Logger) {
	pause, failing := time.Duration(0), false
	for {
		again := make(<-chan time.Time)
		switch {
		case pause > 0:
			again = time.After(pause)
		case r.again > 0:
			again = time.After(r.again)
		}
		wake := r.wake
		if pause > 0 {
			wake = nil // a receiver that is away is not asked more often for more that is wrong
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-again:
		}
		err := r.deliver(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				log.Warn().Err(err).Msg("alerts are not delivered; trying on")
			} else {
				log.Info().Msg("alerts are delivered again")
			}
		}
		if err == nil {
			pause = 0
			continue
		}
		pause = min(lastPause, max(firstPause, 2*pause))
	}
}

// deliver brings the receiver up to date once.
func (r *receiver) deliver(ctx context.Context) error {
	r.mu.Lock()
	changes, want := r.changes(), r.want
	all := make([]Notice, 0, len(want))
	for _, n := range want {
		all = append(all, n)
	}
	slices.SortFunc(all, byAge)
	r.mu.Unlock()
	if len(changes) == 0 && (r.again == 0 || len(all) == 0) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := r.send(ctx, changes, all); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = want
	if len(r.changes()) > 0 { // more came meanwhile
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return nil
}
