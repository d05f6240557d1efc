package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// HeaderTimeout carries a task's hard limit, which asynq would round to
// seconds.
const HeaderTimeout = "jobyard-timeout"

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
	// stands is how many tasks of a batch it stands for; 0 if it is of none.
	stands int
	// bundle tells that the payload is that of a bundle.
	bundle bool
}

// combinedPayload is the largest payload that shares a round trip with others.
const combinedPayload = inlineBytes

// AdmitOne queues a task, together with what other callers admit at the same
// time. Its error is that of Admit, of either kind.
func (s *Store) AdmitOne(ctx context.Context, a Admission) error {
	if len(a.Request.Payload) > combinedPayload {
		answers, err := s.Admit(ctx, a)
		if err != nil {
			return err
		}
		return answers[0]
	}
	answer, err := s.admitted.do(ctx, a)
	return errors.Join(err, answer)
}

// Admit queues the tasks in one round trip. The answers have the order of the
// admissions: nil, ErrKnown, a *FullError or a *ConflictError each. The second
// value is set if Redis failed; then nothing is known of any of them.
func (s *Store) Admit(ctx context.Context, all ...Admission) ([]error, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	if err := s.memory.room(ctx, s.broker); err != nil {
		return nil, err
	}
	answers, err := s.elsewhere(ctx, all)
	if err != nil {
		return nil, err
	}
	groups, err := s.byQueue(all, answers)
	if err != nil || len(groups) == 0 {
		return answers, err
	}
	calls := make([]scriptCall, len(groups))
	for i, g := range groups {
		calls[i] = g.scriptCall
	}
	cmds, err := runAll(ctx, s.broker.Client(), admitScript, calls)
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", s.broker.Explain(err))
	}
	for i, cmd := range cmds {
		codes, err := cmd.Int64Slice()
		if err != nil || len(codes) < 2 {
			return nil, fmt.Errorf("enqueue: %w", err)
		}
		n := len(codes) - 2
		full := s.full(all[groups[i].index[0]], codes[n], codes[n+1])
		for j, at := range groups[i].index {
			switch codes[j] {
			case 2:
				answers[at] = ErrKnown
			case -1:
				answers[at] = &ConflictError{ID: all[at].ID}
			case -2:
				answers[at] = full
			}
		}
	}
	return answers, nil
}

// full is the refusal of a queue, and notes how far it has been drained.
func (s *Store) full(a Admission, waiting, processed int64) *FullError {
	q := a.Request.Options.Queue
	return &FullError{Queue: q, Waiting: int(waiting), Limit: a.Limit, RetryAfter: s.rates.wait(q, processed, a.Limit, s.now())}
}

// elsewhere answers for the ids of callers that name a task of another queue,
// kind or batch already: the admit script sees one queue only. Two callers who hand
// over the same id for two kinds in the same instant could both succeed.
func (s *Store) elsewhere(ctx context.Context, all []Admission) ([]error, error) {
	answers := make([]error, len(all))
	var index []int
	var cmds []*redis.StringCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, a := range all {
			if batch, ok := reserved(a.ID); ok && a.Chosen {
				index, cmds = append(index, i), append(cmds, p.HGet(ctx, batchKey(batch), "sha"))
			}
			for _, q := range tasks.Queues() {
				if a.Chosen && q != a.Request.Options.Queue {
					index, cmds = append(index, i), append(cmds, p.HGet(ctx, broker.TaskKey(q, a.ID), "y_sha"))
				}
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("enqueue: %w", s.broker.Explain(err))
	}
	for j, cmd := range cmds {
		switch a := all[index[j]]; cmd.Val() {
		case "":
		case fingerprint(a.Request):
			answers[index[j]] = ErrKnown
		default:
			answers[index[j]] = &ConflictError{ID: a.ID}
		}
	}
	return answers, nil
}

// fingerprint tells tasks apart that would do other work.
func fingerprint(r tasks.Request) string {
	sum := sha256.Sum256(append([]byte(r.Kind+"\n"), r.Payload...))
	return hex.EncodeToString(sum[:])
}

// group is the call that admits the tasks of one queue; index says which they
// are.
type group struct {
	scriptCall
	index []int
}

// byQueue groups the admissions that have no answer yet.
func (s *Store) byQueue(all []Admission, answers []error) ([]*group, error) {
	var groups []*group
	of := map[string]*group{}
	now := s.now()
	for i, a := range all {
		if answers[i] != nil {
			continue
		}
		q := a.Request.Options.Queue
		g := of[q]
		if g == nil {
			g = &group{scriptCall: scriptCall{
				keys: []string{broker.QueueKey(q, "pending"), broker.QueueKey(q, "scheduled"), broker.QueueKey(q, "retry"), broker.QueueKey(q, "processed")},
				args: []any{q, a.Limit, now.UnixNano(), now.UnixMilli()},
			}}
			of[q], groups = g, append(groups, g)
		}
		args, err := s.admission(a, now)
		if err != nil {
			return nil, err
		}
		g.keys, g.args, g.index = append(g.keys, broker.TaskKey(q, a.ID)), append(g.args, args...), append(g.index, i)
	}
	return groups, nil
}

// admission is what the admit script is told of one task.
func (s *Store) admission(a Admission, now time.Time) ([]any, error) {
	sum, beside := fingerprint(a.Request), []byte(nil)
	if len(a.Request.Payload) > inlineBytes {
		beside, a.Request.Payload = s.packer.pack(a.Request.Payload), nil
	}
	msg, err := encode(a)
	if err != nil {
		return nil, err
	}
	start := ""
	if at := a.Request.Options.Start(now); !at.IsZero() {
		start = strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
	}
	stands := ""
	if a.stands > 0 {
		stands = strconv.Itoa(a.stands)
	}
	return []any{msg, a.ID, start, sum, a.Request.Kind, retentionSeconds(a.Request.Options), beside, stands}, nil
}

func retentionSeconds(o tasks.Options) int64 { return int64(time.Duration(o.Retention).Seconds()) }

// encode has asynq write its message for the task. asynq exports no encoder,
// so its client runs against a catcher that keeps the message and sends nothing.
func encode(a Admission) ([]byte, error) {
	var msg []byte
	catcher := broker.Intercept(unreachable{}, func(ctx context.Context, call broker.Call) *redis.Cmd {
		cmd := redis.NewCmd(ctx)
		cmd.SetVal(int64(1))
		msg, _ = call.Args[0].([]byte)
		return cmd
	})
	o := a.Request.Options
	headers := map[string]string{HeaderTimeout: o.Timeout.String()}
	if len(a.Request.Payload) == 0 {
		headers[HeaderPayload] = "beside"
	}
	if a.bundle {
		headers[HeaderBundle] = "1"
	}
	task := asynq.NewTaskWithHeaders(a.Request.Kind, a.Request.Payload, headers)
	limit := (time.Duration(o.Timeout) + TimeoutGrace).Round(time.Second)
	_, err := asynq.NewClientFromRedisClient(catcher).Enqueue(task, asynq.TaskID(a.ID), asynq.Queue(o.Queue),
		asynq.MaxRetry(*o.MaxRetry), asynq.Timeout(limit), asynq.Retention(time.Duration(o.Retention)))
	if err == nil && msg == nil {
		err = errors.New("asynq's enqueue script has another form than that of v0.26")
	}
	if err != nil {
		return nil, fmt.Errorf("encode task %s: %w", a.ID, err)
	}
	return msg, nil
}

// unreachable answers the one command that asynq's client sends beside its
// script: it registers the queue, which we do on our own.
type unreachable struct{ redis.UniversalClient }

// SAdd implements redis.Cmdable.
func (unreachable) SAdd(ctx context.Context, _ string, _ ...any) *redis.IntCmd {
	return redis.NewIntCmd(ctx)
}

// Register makes the queues known to asynq's tools. It is repeated after every
// reconnection, because asynq's client would not do so after a loss of data.
func (s *Store) Register(ctx context.Context) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	names := make([]any, 0, 8)
	for _, q := range tasks.Queues() {
		names = append(names, q)
	}
	return s.broker.Explain(s.broker.Client().SAdd(ctx, broker.QueuesKey, names...).Err())
}
