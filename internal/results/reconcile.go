package results

import (
	"context"
	"strconv"
	"time"
)

const (
	// unknownFor is how long ago a task must have been taken in this node's name
	// before it counts as never heard of: longer than a take may be under way.
	unknownFor = 6 * time.Second
	// unsettledFor is how long asynq has for acknowledging by itself.
	unsettledFor = 15 * time.Second
)

// Reconciled counts what a reconciliation did.
type Reconciled struct {
	HandedBack int // tasks that this node never heard of
	Settled    int // ends whose acknowledgement asynq gave up
}

// Reconcile mends what this node and Redis disagree about once answers or
// acknowledgements were lost: a task that was taken in its name but never
// arrived goes back to its queue, and an end that asynq could not write is
// written. The fence refuses either if something else came of the task.
func (a *Attempts) Reconcile(ctx context.Context) (Reconciled, error) {
	var did Reconciled
	ready := a.ready() // first: from there a task only goes to the running ones
	all, err := a.store.active(ctx)
	if err != nil {
		return did, err
	}
	now := a.store.now()
	for _, h := range all {
		if h.node != a.node || ready[h.id] {
			continue
		}
		o, fence, lost := a.unheard(h, now)
		if !lost {
			continue
		}
		// A score that only a dead letter needs: settle reckons how long a result is kept.
		e := &ending{queue: h.queue, id: h.id, fence: fence, outcome: o, msg: "", score: 0}
		if o.Mode == Archive {
			e.score = now.Unix()
		}
		code, err := a.store.settle(ctx, e)
		if err != nil {
			return did, err
		}
		a.forget(h.id, fence)
		switch {
		case code == 3:
			a.noteEnded(ctx, h.queue, h.id)
			did.Settled++
		case code == 1 && o.Mode == Requeue:
			did.HandedBack++
		case code == 1:
			did.Settled++
		}
	}
	return did, nil
}

// unheard says how an active task of this node is to end, if nobody else is
// about to end it.
func (a *Attempts) unheard(h held, now time.Time) (o Outcome, fence int64, lost bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fence, _ = strconv.ParseInt(h.fence, 10, 64)
	t := a.running[h.id]
	if t == nil || t.fence != fence {
		return Outcome{Mode: Requeue}, fence, now.Sub(h.started) > unknownFor
	}
	if t.outcome == nil || t.settling || now.Sub(t.ended) < unsettledFor {
		return o, fence, false
	}
	o = *t.outcome
	if o.Mode == RetryIt {
		// Only asynq knows how many retries are left: this attempt does not count.
		o.Mode = Requeue
	}
	return o, fence, true
}

// ready are the tasks that were taken, but not yet given to asynq.
func (a *Attempts) ready() map[string]bool {
	ids := map[string]bool{}
	a.eachLane(func(l *Lane) {
		for _, t := range l.ready {
			ids[t.id] = true
		}
	})
	return ids
}

// forget drops an attempt that was settled.
func (a *Attempts) forget(id string, fence int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.running[id]; t != nil && t.fence == fence {
		delete(a.running, id)
	}
}
