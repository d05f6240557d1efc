package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// load hands tasks over at a steady rate, as patient callers would: what is
// refused is offered again under the same id until it is acknowledged. Every other
// single task goes without an id, and is left if it is refused. Of each
// acknowledged task it then awaits the result.
type load struct {
	settings
	client *client.Client
	ledger *ledger
	url    string
	last   int // number of the last task; of offer alone
	calls  sync.WaitGroup
	left   atomic.Int64 // tasks whose result was not seen yet
	ids    sync.Map     // number to id, of the acknowledged ones
}

// again is the pause before a refused task is offered again, or a lost wait is
// taken up.
const again = 300 * time.Millisecond

// offer hands tasks over until raging ends. Until ctx ends, each is offered
// again and awaited.
func (l *load) offer(ctx, raging context.Context) {
	const beat = 10 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	begun, batches, single := time.Now(), 0, float64(l.Rate-l.Batch)
	for singles := 0; ; {
		select {
		case <-raging.Done():
			return
		case <-tick.C:
		}
		spent := time.Since(begun).Seconds()
		for ; float64(singles) < spent*single; singles++ {
			l.last++
			n := l.last
			l.left.Add(1)
			l.calls.Go(func() { l.one(ctx, n) })
		}
		for ; l.Batch > 0 && float64(batches) < spent; batches++ {
			first := l.last + 1
			l.last += l.Batch
			l.left.Add(int64(l.Batch))
			l.calls.Go(func() { l.batch(ctx, first, l.Batch) })
		}
	}
}

func (l *load) request(n int, options ...tasks.Option) tasks.Request {
	r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{URL: fmt.Sprint(l.url, n)}}, options...)
	if err != nil {
		panic(err) // a payload of ours
	}
	return r
}

// one hands over a task and awaits it.
func (l *load) one(ctx context.Context, n int) {
	l.ledger.write(note{What: noteOffer, Task: n})
	var id string
	offer := func(options ...tasks.Option) error {
		t, err := l.client.Enqueue(ctx, l.request(n, options...))
		id = t.ID
		return err
	}
	if n%2 == 0 {
		if !l.insist(ctx, n, func() error { return offer(tasks.WithID(fmt.Sprint("chaos-", n))) }) {
			return
		}
	} else if err := offer(); err != nil {
		l.ledger.write(note{What: noteLeave, Task: n, Text: err.Error()})
		l.left.Add(-1)
		return
	}
	l.acknowledged(n, id)
	for ctx.Err() == nil {
		got, err := l.client.Wait(ctx, id)
		if err == nil {
			l.seen(n, got)
			return
		}
		l.pause(ctx)
	}
}

// batch hands over tasks as one batch and awaits them.
func (l *load) batch(ctx context.Context, first, size int) {
	id := fmt.Sprint("batch-", first)
	b := client.Batch{ID: id}
	for i := range size {
		l.ledger.write(note{What: noteOffer, Task: first + i})
		b.Requests = append(b.Requests, l.request(first+i))
	}
	if !l.insist(ctx, first, func() error { _, err := l.client.EnqueueBatch(ctx, b); return err }) {
		return
	}
	for i := range size {
		l.acknowledged(first+i, fmt.Sprintf("%s.%d", id, i))
	}
	for seen := 0; seen < size && ctx.Err() == nil; l.pause(ctx) {
		at := 0
		for got, err := range l.client.BatchResults(ctx, id) {
			if err != nil && !errors.Is(err, client.ErrNotFound) {
				break
			}
			if at == seen { // those before were seen before the stream broke
				l.seen(first+at, got)
				seen++
			}
			at++
		}
	}
}

// insist offers until it is acknowledged.
func (l *load) insist(ctx context.Context, n int, offer func() error) bool {
	for ctx.Err() == nil {
		err := offer()
		if err == nil {
			return true
		}
		l.ledger.write(note{What: noteRefuse, Task: n, Text: err.Error()})
		l.pause(ctx)
	}
	return false
}

func (l *load) pause(ctx context.Context) {
	select {
	case <-time.After(again):
	case <-ctx.Done():
	}
}

func (l *load) acknowledged(n int, id string) {
	l.ids.Store(n, id)
	l.ledger.write(note{What: noteAck, Task: n})
}

func (l *load) seen(n int, t tasks.Task) {
	l.ledger.write(outcome(noteResult, n, t))
	l.left.Add(-1)
}

// outcome notes how a task ended, and by which execution. A result that is of
// another task, or of none, is of run 0.
func outcome(what string, n int, t tasks.Task) note {
	of, run, ok := readMark(t.Result)
	if !ok || of != n {
		run = 0
	}
	o := note{What: what, Task: n, Run: run, State: string(t.State)}
	if t.Error != nil {
		o.Text = fmt.Sprintf("%s: %s", t.Error.Reason, t.Error.Message)
	}
	return o
}

// settle waits until every result was seen, but not for ever.
func (l *load) settle(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for l.left.Load() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// audit reads every acknowledged task once more.
func (l *load) audit(ctx context.Context) {
	numbers := make(chan int)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for n := range numbers {
				id, _ := l.ids.Load(n)
				got, err := l.client.Status(ctx, id.(string))
				o := outcome(noteAudit, n, got)
				if err != nil {
					o.State, o.Text = "absent", err.Error()
				}
				l.ledger.write(o)
			}
		})
	}
	for n := 1; n <= l.last; n++ {
		if _, ok := l.ids.Load(n); ok {
			numbers <- n
		}
	}
	close(numbers)
	readers.Wait()
}
