package results

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// Mode is how an attempt ends.
type Mode string

// The modes, as the settle script knows them.
const (
	Complete Mode = "complete"
	CancelIt Mode = "cancel"
	RetryIt  Mode = "retry"
	Archive  Mode = "archive"
	Requeue  Mode = "requeue" // handed back: not counted as an attempt
)

// Outcome is how an attempt ended.
type Outcome struct {
	Mode       Mode
	Result     []byte
	Error      *tasks.Error
	PeakMemory int64
	// Cached is the tier of the cache that the result is from; empty if the task
	// was run.
	Cached string
	// Settled hears whether it was written; of a late attempt it is not. Nil
	// where nobody wants to know.
	Settled func(written bool)
}

// statsDays is how long a day's counters are kept, as by asynq.
const statsDays = 90

// Attempts are the tasks that one worker holds. It answers asynq's scripts
// with ours: an end writes its outcome together with the acknowledgement, and
// asynq need not wait for that.
type Attempts struct {
	store   *Store
	node    string
	log     zerolog.Logger
	commits *committer

	progress *combiner[scriptCall, struct{}]
	gate     gate

	mu      sync.Mutex
	running map[string]*attempt
	bundles map[string]*Bundle
	lanes   []*Lane // only grows

	noting sync.WaitGroup // what follows from ends, in the background
}

type attempt struct {
	queue   string
	fence   int64
	waited  time.Duration
	outcome *Outcome
	ended   time.Time
	// settling tells that its end is on the way to Redis.
	settling bool
	cancel   context.CancelCauseFunc
	begun    begun    // of a bundle
	payload  blob.Ref // of a payload that lies in the blob store
}

// NewAttempts returns the attempts of a node.
func (s *Store) NewAttempts(node string, log zerolog.Logger) *Attempts {
	a := &Attempts{store: s, node: node, log: log, running: map[string]*attempt{}, bundles: map[string]*Bundle{}}
	a.commits = &committer{store: s, log: log, told: a.settled, change: make(chan struct{})}
	a.progress = &combiner[scriptCall, struct{}]{broker: s.broker, send: s.noteProgress, most: 100, flights: 1}
	return a
}

// Client returns the client for the asynq server of a lane.
func (a *Attempts) Client(l *Lane) redis.UniversalClient {
	return broker.Intercept(a.store.broker.Client(), func(ctx context.Context, call broker.Call) *redis.Cmd {
		switch call.Op {
		case broker.OpDequeue:
			return l.dequeue(ctx)
		case broker.OpForward:
			return a.forward(ctx, l.waker, call)
		case broker.OpDone, broker.OpComplete, broker.OpRetry, broker.OpArchive, broker.OpRequeue:
			return a.settle(context.WithoutCancel(ctx), call)
		}
		return nil
	})
}

func (a *Attempts) put(id string, t *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running[id] = t
}

// forward moves due tasks with the exact time: asynq's is rounded down to the
// second, which with our exact scores would start a task up to a second late.
// asynq asks for the scheduled tasks of a queue and then for those to be
// retried; the first call answers for both.
func (a *Attempts) forward(ctx context.Context, w *broker.Waker, call broker.Call) *redis.Cmd {
	q, none := call.Queue, redis.NewCmd(ctx)
	none.SetVal(int64(0))
	if call.Keys[0] != broker.QueueKey(q, "scheduled") {
		return none
	}
	keys := []string{broker.QueueKey(q, "scheduled"), broker.QueueKey(q, "retry"), broker.QueueKey(q, "pending")}
	// Mostly there are none, and to ask costs an idle node less than a script does.
	if n, err := a.store.broker.Client().Exists(ctx, keys[:2]...).Result(); err != nil || n == 0 {
		none.SetErr(err)
		return none
	}
	now := a.store.now()
	cmd := forwardScript.Run(ctx, a.store.broker.Client(), keys,
		strconv.FormatFloat(float64(now.UnixMilli())/1000, 'f', 3, 64), broker.TaskKeyPrefix(q), now.UnixNano(), q)
	if n, err := cmd.Int(); err == nil && n > 0 {
		w.Announce(q)
	}
	return cmd
}

// Started binds the context of a running attempt to its id, so that a cancel
// finds it, and returns how long the task was pending.
func (a *Attempts) Started(id string, cancel context.CancelCauseFunc) (waited time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.running[id]; t != nil {
		t.cancel, waited = cancel, t.waited
	}
	return waited
}

// Fence is the number of the attempt of a task that runs here, which grows with
// each; 0 if none does.
func (a *Attempts) Fence(id string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.running[id]; t != nil {
		return t.fence
	}
	return 0
}

// CancelAll ends the context of every running attempt with the cause.
func (a *Attempts) CancelAll(cause error) {
	for _, id := range a.Running() {
		a.Cancel(id, cause)
	}
}

// CancelMarked ends the attempts here whose tasks were canceled, in case the
// announcement was lost.
func (a *Attempts) CancelMarked(ctx context.Context, cause error) error {
	a.mu.Lock()
	queues := make(map[string]string, len(a.running))
	for id, t := range a.running {
		if t.ended.IsZero() {
			queues[id] = t.queue
		}
	}
	a.mu.Unlock()
	marked, err := a.store.canceled(ctx, queues)
	for _, id := range marked {
		a.Cancel(id, cause)
	}
	return err
}

// Cancel ends the attempt's context with the cause, if the task runs here.
func (a *Attempts) Cancel(id string, cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.running[id]; t != nil {
		if t.cancel != nil {
			t.cancel(cause)
		}
		return
	}
	if batch, n, ok := splitItem(id); ok {
		for _, b := range a.bundles {
			if b.batch == batch {
				b.canceled(n)
			}
		}
	}
}

// Running lists the ids of the tasks that run here.
func (a *Attempts) Running() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make([]string, 0, len(a.running))
	for id, t := range a.running {
		if t.ended.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids
}

// Ended notes how an attempt ended; asynq's acknowledgement, which comes next,
// writes it.
func (a *Attempts) Ended(id string, o Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.running[id]; t != nil {
		t.outcome, t.ended, t.cancel = &o, time.Now(), nil
	}
}

// settle answers an acknowledgement, a failure or a hand-back.
func (a *Attempts) settle(ctx context.Context, call broker.Call) *redis.Cmd {
	end := readEnd(call)
	a.mu.Lock()
	t := a.running[end.id]
	fence, o := int64(0), Outcome{Mode: Requeue}
	if t != nil {
		fence, t.settling = t.fence, true
		if t.outcome != nil {
			o = *t.outcome
		} else if call.Op != broker.OpRequeue {
			// asynq's own deadline came first: the handler does not return.
			o = overrun()
		}
	}
	a.mu.Unlock()
	if o.Mode == RetryIt && call.Op == broker.OpArchive {
		o.Mode = Archive // asynq counts the retries
	}
	switch {
	case o.Mode == Requeue:
		end.msg = "" // asynq's new message counts a retry
	case o.Mode == Complete && call.Op != broker.OpComplete:
		// Its recoverer speaks, of an end that was never acknowledged: neither the
		// retry nor its time is meant for a result.
		end.msg, end.score = "", 0
	}
	if len(o.Result) > inlineBytes {
		o.Result = a.store.packer.pack(o.Result)
	}
	// Without an attempt of ours it is asynq's recoverer that speaks, for a node
	// that is gone: the task goes back, and no retry is spent.
	answer := redis.NewCmd(ctx)
	ctx, cancel := a.store.broker.CallContext(ctx)
	defer cancel()
	err := a.commits.put(ctx, &ending{queue: call.Queue, id: end.id, fence: fence, attempt: t, outcome: o, msg: end.msg, score: end.score})
	if err != nil {
		a.mu.Lock()
		if t != nil {
			t.settling = false
		}
		a.mu.Unlock()
		answer.SetErr(err)
		return answer
	}
	answer.SetVal("OK")
	return answer
}

// settled hears what became of an end.
func (a *Attempts) settled(e *ending, code int64) {
	a.mu.Lock()
	if a.running[e.id] == e.attempt {
		delete(a.running, e.id)
	}
	var payload blob.Ref
	if e.attempt != nil {
		payload = e.attempt.payload
	}
	a.mu.Unlock()
	if e.outcome.Settled != nil {
		e.outcome.Settled(code > 0)
	}
	if payload.SHA != "" && e.outcome.Mode == Complete && code > 0 {
		a.noting.Go(func() { a.letPayloadGo(context.Background(), e.queue, e.id, payload) })
	}
	switch code {
	case 3:
		a.noteEnded(context.Background(), e.queue, e.id)
	case -1:
		a.log.Warn().Str("task_id", e.id).Int64("fence", e.fence).Msg("late attempt refused")
	}
}

// Flush waits until the ends of attempts are written, and noted in their
// batches.
func (a *Attempts) Flush(ctx context.Context) error {
	if err := a.commits.flush(ctx); err != nil {
		return err
	}
	a.noting.Wait()
	return nil
}

func overrun() Outcome {
	return Outcome{Mode: RetryIt, Error: &tasks.Error{
		Reason: tasks.ReasonTimeout, Message: "the task ran over its time limit and did not stop", Retryable: true,
	}}
}

// end is what asynq says of an attempt's end.
type end struct {
	id    string
	msg   any // its message with the new counts; "" if unchanged
	score any // when the task is due again, or no longer kept
}

func readEnd(call broker.Call) end {
	id, _ := call.Args[0].(string)
	e := end{id: id, msg: "", score: 0}
	switch call.Op {
	case broker.OpComplete:
		e.msg, e.score = call.Args[3], call.Args[2]
	case broker.OpRetry, broker.OpArchive:
		e.msg, e.score = call.Args[1], call.Args[2]
	}
	return e
}
