package results

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// HeaderTimeout carries a task's hard limit, which asynq would round to
// seconds.
const HeaderTimeout = "jobyard-timeout"

// HeaderNoCache tells that the task is to run even if an equal one has left a
// result.
const HeaderNoCache = "jobyard-no-cache"

// TimeoutGrace is how much later than ours asynq's own deadline is, so that
// our verdict decides.
const TimeoutGrace = 15 * time.Second

// ErrKnown tells that the same task was admitted before.
var ErrKnown = errors.New("the task is known")

// FullError tells that a queue has reached its limit.
type FullError struct {
	Queue          string
	Waiting, Limit int
	// RetryAfter is when there should be room again, by the rate at which the
	// queue has been drained lately.
	RetryAfter time.Duration
}

// Error says which queue and what to do.
func (e *FullError) Error() string {
	return fmt.Sprintf("queue %s is full: %d of %d tasks wait; try again in %s or add workers", e.Queue, e.Waiting, e.Limit, e.RetryAfter)
}

// ConflictError tells that the id belongs to a task with another payload.
type ConflictError struct{ ID string }

// Error says which id and what to do.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("task id %s belongs to a task with another payload; use another id", e.ID)
}

// Admission is one task to admit: a checked request under an id.
type Admission struct {
	ID string
	// Chosen tells that the id is the caller's, so that it may be known.
	Chosen  bool
	Request tasks.Request // as Request.Check returned it
	Limit   int           // of its queue
	// Reuse is the result of an equal task, where one may serve.
	Reuse Reuse
	// Trace is where in a trace it is handed over. Of one that is handed over
	// with others, Linked tells that its attempts are not below that place.
	Trace  trace.Carried
	Linked bool
	// stands is how many tasks of a batch it stands for; 0 if it is of none.
	stands int
	// bundle tells that the payload is that of a bundle.
	bundle bool
	// args are what the admit script is told of it, once it is prepared.
	args []any
	// beside is what stands in y_payload, if the payload lies in the blob store.
	beside []byte
}

// AdmitOne queues a task, together with what other callers admit at the same
// time. Its error is that of Admit, of either kind.
func (s *Store) AdmitOne(ctx context.Context, a Admission) error {
	if a.holds() {
		answers, err := s.Admit(ctx, a)
		if err != nil {
			return err
		}
		return answers[0]
	}
	s.Prepare(&a) // here, while another round trip is on its way
	answer, err := s.admitted.do(ctx, &a)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("enqueue: %w", s.broker.Explain(err))
	}
	if err != nil {
		return err
	}
	return answer
}

// admit queues the tasks in one round trip. Its answers are those of Admit.
func (s *Store) admit(ctx context.Context, all []*Admission) ([]error, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	if n := payloads(all); n > 0 { // else all were let through as they were stored
		if err := s.memory.room(ctx, s.broker, n); err != nil {
			return nil, err
		}
	}
	answers, err := s.elsewhere(ctx, all)
	if err != nil {
		return nil, err
	}
	if err := s.lookUp(ctx, all); err != nil {
		return nil, err
	}
	calls, index := s.byQueue(all, answers)
	if len(calls) == 0 {
		return answers, nil
	}
	cmds, err := runAll(ctx, s.broker.Client(), admitScript, calls)
	if err != nil {
		return nil, s.memory.refused(s.broker, err)
	}
	for i, cmd := range cmds {
		if _, smooth := cmd.Val().(int64); smooth {
			continue // all are admitted
		}
		codes, err := cmd.Int64Slice()
		if err != nil || len(codes) != len(index[i])+2 {
			return nil, fmt.Errorf("enqueue: unexpected answer of the script: %w", err)
		}
		if err := s.refuse(ctx, all, index[i], codes, answers); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// payloads counts the bytes of those that are not stored yet.
func payloads(all []*Admission) int {
	n := 0
	for _, a := range all {
		if a.beside == nil {
			n += len(a.Request.Payload)
		}
	}
	return n
}

// refuse reads the script's answers for the admissions at index. A task that was
// handed over under an id of the client's own is compared here.
func (s *Store) refuse(ctx context.Context, all []*Admission, index []int, codes []int64, answers []error) error {
	n := len(index)
	full := s.full(all[index[0]], codes[n], codes[n+1])
	for j, at := range index {
		switch codes[j] {
		case 2:
			answers[at] = ErrKnown
		case 3:
			answers[at] = ErrAnswered
		case 4:
			a := all[at]
			msg, err := s.broker.Client().HGet(ctx, broker.TaskKey(a.Request.Options.Queue, a.ID), "msg").Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return fmt.Errorf("enqueue: %w", s.broker.Explain(err))
			}
			answers[at] = a.compare("", msg)
		case -1:
			answers[at] = &ConflictError{ID: all[at].ID}
		case -2:
			answers[at] = full
			s.rates.refuse(full.Queue, s.now())
		}
	}
	return nil
}

// full is the refusal of a queue, and notes how far it has been drained.
func (s *Store) full(a *Admission, waiting, processed int64) *FullError {
	q := a.Request.Options.Queue
	return &FullError{Queue: q, Waiting: int(waiting), Limit: a.Limit, RetryAfter: s.rates.wait(q, processed, a.Limit, s.now())}
}

// elsewhere answers for the ids of callers that name a task of another queue,
// kind or batch already: the admit script sees one queue only. Two callers who hand
// over the same id for two kinds in the same instant could both succeed.
func (s *Store) elsewhere(ctx context.Context, all []*Admission) ([]error, error) {
	answers := make([]error, len(all))
	if !slices.ContainsFunc(all, func(a *Admission) bool { return a.Chosen }) {
		return answers, nil
	}
	var index []int
	var cmds []*redis.SliceCmd
	sent, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, a := range all {
			if batch, ok := reserved(a.ID); ok && a.Chosen {
				index, cmds = append(index, i), append(cmds, p.HMGet(ctx, batchKey(batch), "sha"))
			}
			for _, q := range tasks.Queues() {
				if a.Chosen && q != a.Request.Options.Queue {
					index, cmds = append(index, i), append(cmds, p.HMGet(ctx, broker.TaskKey(q, a.ID), "y_in", "msg"))
				}
			}
		}
		return nil
	})
	if err = broker.Trouble(sent, err); err != nil {
		return nil, fmt.Errorf("enqueue: %w", s.broker.Explain(err))
	}
	for j, cmd := range cmds {
		text := texts(cmd.Val())
		if mark, msg := text(0), text(1); mark != "" || msg != "" {
			answers[index[j]] = all[index[j]].compare(mark, msg)
		}
	}
	return answers, nil
}

// compare is the answer for an id whose task has the mark or, if it has none, the
// message.
func (a *Admission) compare(mark, msg string) error {
	if mark == "" {
		if m, err := readMessage([]byte(msg)); err == nil {
			mark = fingerprint(tasks.Request{Kind: m.kind, Payload: m.payload})
		}
	}
	if strings.HasPrefix(mark, fingerprint(a.Request)) {
		return ErrKnown
	}
	return &ConflictError{ID: a.ID}
}

// fingerprintSize is the length of a fingerprint; the scripts know it too.
const fingerprintSize = 22

// fingerprint tells tasks apart that would do other work: 128 bits
// of a SHA-256.
func fingerprint(r tasks.Request) string {
	var small [1024]byte // most are, and need no memory of their own
	sum := sha256.Sum256(append(append(append(small[:0], r.Kind...), '\n'), r.Payload...))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// byQueue makes the calls that admit those that have no answer yet, one for each
// queue and form; index says which they admit.
func (s *Store) byQueue(all []*Admission, answers []error) (calls []scriptCall, index [][]int) {
	now := s.now().UnixNano()
	for i, a := range all {
		if answers[i] != nil {
			continue
		}
		if a.args == nil {
			s.prepare(a)
		}
		at := slices.IndexFunc(index, func(of []int) bool {
			first := all[of[0]]
			return first.Request.Options.Queue == a.Request.Options.Queue && len(first.args) == len(a.args)
		})
		if at < 0 {
			at = len(calls)
			args := make([]any, 0, 4+len(a.args)*(len(all)-i))
			calls = append(calls, scriptCall{
				keys: []string{broker.QueueKey(a.Request.Options.Queue, "pending")},
				args: append(args, &a.Request.Options.Queue, &a.Limit, now, len(a.args)),
			})
			index = append(index, make([]int, 0, len(all)-i))
		}
		calls[at].args, index[at] = append(calls[at].args, a.args...), append(index[at], i)
	}
	return calls, index
}

// Prepare does the work of an admission that needs no Redis. Admit does it for
// those that are not prepared.
func (s *Store) Prepare(a *Admission) {
	if !a.holds() { // else it is told once it is stored
		s.prepare(a)
	}
}

func (s *Store) prepare(a *Admission) {
	now := s.now()
	inside, beside := a, a.beside
	if beside == nil && len(a.Request.Payload) > inlineBytes {
		beside = s.packer.pack(a.Request.Payload)
	}
	if beside != nil {
		without := *a
		without.Request.Payload = nil
		inside = &without
	}
	o := &a.Request.Options
	start := o.Start(now)
	reuse := start.IsZero() && a.Reuse.usable()
	if start.IsZero() && !reuse && beside == nil && a.stands == 0 && !a.Chosen && ownID(a.ID, now) &&
		o.Retention == tasks.Duration(tasks.DefaultRetention) && !s.rates.fullAt(o.Queue, now) {
		a.args = []any{&a.ID, encode(a)} // as most: the script takes the rest for granted
		return
	}
	mark := fingerprint(a.Request) + strconv.FormatInt(now.UnixMilli(), 10)
	at, stands := "", ""
	if !start.IsZero() {
		at = strconv.FormatFloat(float64(start.UnixMilli())/1000, 'f', 3, 64)
	}
	if a.stands > 0 {
		stands = strconv.Itoa(a.stands)
	}
	a.args = []any{&a.ID, encode(inside), mark, at, retentionSeconds(o), beside, stands}
	if reuse {
		a.args = append(a.args, a.Reuse.args(s.packer, now)...)
	}
}

// ownID reports whether the id is one that was made just now, as a client makes
// them for tasks: nobody else has it yet.
func ownID(id string, now time.Time) bool {
	made := idTime(id)
	return !made.IsZero() && now.Sub(made).Abs() < time.Second
}

// idTime is when an id was made that tells it, as UUIDs of version 7 do; else zero.
func idTime(id string) time.Time {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}
	}
	return time.Unix(u.Time().UnixTime()).UTC()
}

func retentionSeconds(o *tasks.Options) int64 { return int64(time.Duration(o.Retention).Seconds()) }

// registerScript adds to a set even if Redis is full, as broker.Spare.
var registerScript = redis.NewScript(`redis.call("SREM", KEYS[1], ""); return redis.call("SADD", KEYS[1], unpack(ARGV))`)

// Register makes the queues known to asynq's tools. It is repeated after every
// reconnection, because asynq's client would not do so after a loss of data.
func (s *Store) Register(ctx context.Context) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	names := make([]any, 0, 8)
	for _, q := range tasks.Queues() {
		names = append(names, q)
	}
	return s.broker.Explain(registerScript.Run(ctx, s.broker.Client(), []string{broker.QueuesKey}, names...).Err())
}
