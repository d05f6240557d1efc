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

	mu    sync.Mutex
	asked int     // room was given for so many, and they may be on their way
	ready []taken // taken, but not yet given to asynq
	held  int     // given to asynq and not yet ended
	// service is how long a slot lately took for a task, as a moving average;
	// 0 until one was measured.
	service time.Duration
}

// taken is a task that this node holds.
type taken struct {
	queue, id, msg string
	at             time.Time
	attempt        *attempt
}

// Lane returns the lane of the asynq server of a kind.
func (a *Attempts) Lane(kind string, slots int) *Lane {
	l := &Lane{attempts: a, kind: kind, slots: slots, waker: broker.NewWaker(tasks.Queue(kind), tasks.BulkQueue(kind))}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lanes = append(a.lanes, l)
	return l
}

// Gate asks before each take how many of the tasks of a kind that are wanted the
// node has room for; held counts by kind what the node holds already. While there
// is none they stay in Redis, for any node; the lane asks again after the pause.
// It is called before the servers start.
func (a *Attempts) Gate(room func(kind string, want int, held func() map[string]int) int, pause time.Duration) {
	a.gate.room, a.gate.pause = room, pause
}

// gate lets one lane ask at a time: what it was given room for is held.
type gate struct {
	mu    sync.Mutex
	room  func(kind string, want int, held func() map[string]int) int
	pause time.Duration
}

// held is how many tasks the node holds, by kind.
func (a *Attempts) held() map[string]int {
	held := map[string]int{}
	a.eachLane(func(l *Lane) { held[l.kind] += l.asked + len(l.ready) + l.held })
	return held
}

// eachLane calls a function with the lock of each lane held.
func (a *Attempts) eachLane(do func(l *Lane)) {
	a.mu.Lock()
	lanes := a.lanes
	a.mu.Unlock()
	for _, l := range lanes {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}

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

// askAgain is how long asynq is held back before it is told that there is
// nothing. It reckons a task's lease from when it asked: given a task half a
// minute later, it would take the lease for expired, and acknowledge nothing.
const askAgain = 5 * time.Second

func (l *Lane) next(ctx context.Context) (string, error) {
	asked := time.Now()
	for {
		if msg, ok := l.fromReady(); ok {
			return msg, nil
		}
		if time.Since(asked) > askAgain {
			return "", redis.Nil
		}
		looks := l.waker.Await(ctx)
		if len(looks) == 0 {
			return "", redis.Nil
		}
		for _, look := range inTurn(looks) {
			most := l.ask()
			if most == 0 {
				l.waker.Rest(ctx, l.attempts.gate.pause)
				return "", redis.Nil
			}
			got, err := l.take(ctx, look.Queue, most)
			l.keep(got)
			if errors.Is(err, redis.Nil) {
				l.waker.Empty(look)
				continue
			}
			if err != nil {
				// asynq would ask again at once and keep a core busy while Redis is away.
				l.waker.Rest(ctx, afterError)
				return "", err
			}
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

// Ended tells that a task of the lane ended after so long, so that its slot is
// free.
func (l *Lane) Ended(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held--
	if l.service == 0 {
		l.service = took
	}
	l.service += (took - l.service) / 8
}

const (
	// aheadBelow is how short a lane's tasks must be for more to be taken than
	// there are free slots, aheadFor for how long those may last, and aheadMost
	// how many they may be: what one node holds ready no other can start.
	aheadBelow = time.Millisecond
	aheadFor   = 2 * time.Millisecond
	aheadMost  = 64
	// overhead is what a slot needs for a task beside its work.
	overhead = 50 * time.Microsecond
	// staleAfter is when a task that was taken ahead goes back, because the
	// slots turned out to be busy for longer.
	staleAfter = 250 * time.Millisecond
)

// ask is how many tasks to take. They count as held until they were.
func (l *Lane) ask() int {
	g, want := &l.attempts.gate, l.want()
	if g.room == nil {
		return want
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.room(l.kind, want, l.attempts.held)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = n
	return n
}

// keep has the tasks that were taken, of those that were asked for.
func (l *Lane) keep(got []taken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = 0
	l.ready = append(l.ready, got...)
}

// want is how many tasks the slots could do with.
func (l *Lane) want() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := max(1, l.slots-l.held)
	if l.service == 0 || l.service > aheadBelow {
		return free
	}
	return free + min(aheadMost, l.slots*int(aheadFor/(l.service+overhead)))
}

// take takes at most so many tasks of a queue.
func (l *Lane) take(ctx context.Context, queue string, most int) ([]taken, error) {
	a := l.attempts
	ctx, cancel := a.store.broker.CallContext(ctx)
	defer cancel()
	now := a.store.now()
	keys := []string{
		broker.QueueKey(queue, "pending"), broker.QueueKey(queue, "paused"), broker.QueueKey(queue, "active"),
		broker.QueueKey(queue, "completed"),
	}
	list, err := takeScript.Run(ctx, a.store.broker.Client(), keys, broker.TaskKeyPrefix(queue), now.UnixMilli(), a.node, most).Slice()
	if err != nil {
		return nil, err
	}
	all := make([]taken, 0, len(list))
	for _, entry := range list {
		t, ok := readTaken(queue, entry, now)
		if !ok {
			continue
		}
		if legible([]byte(t.msg), t.id, queue) {
			all = append(all, t)
			continue
		}
		a.log.Error().Str("task_id", t.id).Str("queue", queue).Msg("the task's message in Redis cannot be read: put aside as a dead letter")
		e := &ending{queue: queue, id: t.id, fence: t.attempt.fence, outcome: illegible(), msg: "", score: now.Unix()}
		if err := a.commits.put(ctx, e); err != nil {
			return all, err // the recovery will bring it again
		}
	}
	return all, nil
}

// illegible is the end of a task that nobody can read. The message stays as it
// is, for who wants to look.
func illegible() Outcome {
	return Outcome{Mode: Archive, Error: &tasks.Error{
		Reason: tasks.ReasonInvalid, Message: "the task's message in Redis is damaged or of another task; hand the task over anew",
	}}
}

func readTaken(queue string, entry any, now time.Time) (taken, bool) {
	f, _ := entry.([]any)
	if len(f) < 3 {
		return taken{}, false
	}
	t := taken{queue: queue, at: time.Now(), attempt: &attempt{queue: queue}}
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
func (l *Lane) HandBack(ctx context.Context) error { return l.handBack(ctx, time.Now()) }

// HandBackStale returns the tasks that were taken ahead and have to wait for
// longer than was reckoned with.
func (l *Lane) HandBackStale(ctx context.Context) error {
	return l.handBack(ctx, time.Now().Add(-staleAfter))
}

// handBack returns the tasks that were taken until then, latest first, so that
// they come back in their order.
func (l *Lane) handBack(ctx context.Context, until time.Time) error {
	l.mu.Lock()
	n := 0
	for n < len(l.ready) && !l.ready[n].at.After(until) {
		n++
	}
	back := l.ready[:n:n]
	l.ready = l.ready[n:]
	l.mu.Unlock()
	for _, t := range slices.Backward(back) {
		e := &ending{queue: t.queue, id: t.id, fence: t.attempt.fence, outcome: Outcome{Mode: Requeue}, msg: "", score: 0}
		if err := l.attempts.commits.put(ctx, e); err != nil {
			return err // the recovery will find them
		}
	}
	return nil
}
