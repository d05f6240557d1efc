package results

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// afterError is the pause after a dequeue that failed.
const afterError = 250 * time.Millisecond

// Lane answers the dequeues of one asynq server. It waits in the waker while
// there is nothing to do, and while there is it takes as many tasks in one
// round trip as the lane has free slots: asynq asks for one at a time, and
// each time for every queue.
type Lane struct {
	attempts *Attempts
	kind     string
	slots    int
	waker    *broker.Waker
	gate     func(free int) int
	pause    time.Duration

	mu    sync.Mutex
	ready []taken // taken, but not yet given to asynq
	held  int     // given to asynq and not yet ended
}

// taken is a task that this node holds.
type taken struct {
	queue, id, msg string
	attempt        *attempt
}

// Lane returns the lane of the asynq server of a kind.
func (a *Attempts) Lane(kind string, slots int) *Lane {
	return &Lane{attempts: a, kind: kind, slots: slots, waker: broker.NewWaker(tasks.Queue(kind), tasks.BulkQueue(kind))}
}

// Gate asks before each take how many tasks for the free slots the node has room
// for. While there is none the tasks stay in Redis, for any node; the lane asks
// again after the pause. It is called before the server starts.
func (l *Lane) Gate(room func(free int) int, pause time.Duration) { l.gate, l.pause = room, pause }

// Waker is what announcements are passed to.
func (l *Lane) Waker() *broker.Waker { return l.waker }

// dequeue gives asynq a task of any of the lane's queues, whichever it asked
// for: the queue is in the message.
func (l *Lane) dequeue(ctx context.Context) *redis.Cmd {
	answer := redis.NewCmd(ctx)
	if msg, err := l.next(ctx); err != nil {
		answer.SetErr(err)
	} else {
		answer.SetVal(msg)
	}
	return answer
}

func (l *Lane) next(ctx context.Context) (string, error) {
	for {
		if msg, ok := l.fromReady(); ok {
			return msg, nil
		}
		looks := l.waker.Await(ctx)
		if len(looks) == 0 {
			return "", redis.Nil
		}
		free := l.free()
		if free == 0 {
			l.waker.Rest(ctx, l.pause)
			return "", redis.Nil
		}
		for _, look := range inTurn(looks) {
			got, err := l.take(ctx, look.Queue, free)
			if errors.Is(err, redis.Nil) {
				l.waker.Empty(look)
				continue
			}
			if err != nil {
				// asynq would ask again at once and keep a core busy while Redis is away.
				l.waker.Rest(ctx, afterError)
				return "", err
			}
			l.mu.Lock()
			l.ready = append(l.ready, got...)
			l.mu.Unlock()
			break
		}
	}
}

// bulkTurn is how often the bulk queue goes first: once in so many times. Not
// never, because a batch must not wait for ever either.
const bulkTurn = 7

// inTurn puts the bulk queue, which comes last, first when it is its turn.
func inTurn(looks []broker.Look) []broker.Look {
	if len(looks) > 1 && rand.IntN(bulkTurn) == 0 {
		slices.Reverse(looks)
	}
	return looks
}

func (l *Lane) fromReady() (msg string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) == 0 {
		return "", false
	}
	t := l.ready[0]
	l.ready = l.ready[1:]
	l.held++
	l.attempts.put(t.id, t.attempt)
	return t.msg, true
}

// Ended tells that a task of the lane ended, so that its slot is free.
func (l *Lane) Ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held--
}

// free is how many tasks may be taken.
func (l *Lane) free() int {
	l.mu.Lock()
	free := max(1, l.slots-l.held)
	l.mu.Unlock()
	if l.gate != nil {
		free = l.gate(free)
	}
	return free
}

// take takes tasks of a queue for the free slots.
func (l *Lane) take(ctx context.Context, queue string, free int) ([]taken, error) {
	a := l.attempts
	now := a.store.now()
	keys := []string{
		broker.QueueKey(queue, "pending"), broker.QueueKey(queue, "paused"), broker.QueueKey(queue, "active"),
		broker.QueueKey(queue, "lease"), broker.QueueKey(queue, "completed"),
	}
	list, err := takeScript.Run(ctx, a.store.broker.Client(), keys,
		now.Add(lease).Unix(), broker.TaskKeyPrefix(queue), now.UnixMilli(), a.node, free).Slice()
	if err != nil {
		return nil, err
	}
	all := make([]taken, 0, len(list))
	for _, entry := range list {
		if t, ok := readTaken(queue, entry, now); ok {
			all = append(all, t)
		}
	}
	return all, nil
}

func readTaken(queue string, entry any, now time.Time) (taken, bool) {
	f, _ := entry.([]any)
	if len(f) < 3 {
		return taken{}, false
	}
	t := taken{queue: queue, attempt: &attempt{queue: queue}}
	t.msg, _ = f[0].(string)
	t.id, _ = f[1].(string)
	t.attempt.fence, _ = f[2].(int64)
	if len(f) > 3 {
		if since, ok := f[3].(string); ok {
			ns, _ := strconv.ParseInt(since, 10, 64)
			t.attempt.waited = max(0, now.Sub(time.Unix(0, ns)))
		}
	}
	if len(f) > 7 {
		t.attempt.begun = readBegun(f[4:])
	}
	return t, true
}

// HandBack returns the tasks that asynq has not asked for. It is called once
// asynq asks no more.
func (l *Lane) HandBack(ctx context.Context) error {
	l.mu.Lock()
	ready := l.ready
	l.ready = nil
	l.mu.Unlock()
	var errs []error
	for _, t := range ready {
		args := l.attempts.settleArgs(t.queue, end{id: t.id, msg: "", score: 0}, t.attempt.fence, Outcome{Mode: Requeue})
		_, err := l.attempts.settled.do(ctx, scriptCall{settleKeys(t.queue, t.id, l.attempts.store.now()), args})
		errs = append(errs, l.attempts.store.broker.Explain(err))
	}
	return errors.Join(errs...)
}
