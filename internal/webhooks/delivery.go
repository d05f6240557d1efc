package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/tasks"
)

// Delivery is one call that is to be made.
type Delivery struct {
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	// Object is the id of the task or batch.
	Object   string    `json:"object"`
	Created  time.Time `json:"created_at"`
	Attempts int       `json:"attempts"`
	// Next is when it is tried next; zero for a dead one.
	Next time.Time `json:"next_at,omitzero"`
	// Given up is when it became a dead letter.
	GivenUp time.Time `json:"given_up_at,omitzero"`
	// Trace is where in a trace the task was handed over, as a W3C traceparent.
	Trace string `json:"traceparent,omitempty"`
	// Status and Error are how the last attempt ended.
	Status int             `json:"status,omitempty"`
	Error  string          `json:"error,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// Event is the body of a call.
type Event struct {
	// Type is task.completed, task.failed, task.canceled or batch.finished.
	Type string    `json:"type"`
	At   time.Time `json:"timestamp"`
	// Task is the task; a large result is left out, and is at ResultPath.
	Task       *tasks.Task      `json:"task,omitempty"`
	ResultPath string           `json:"result_path,omitempty"`
	Batch      *tasks.BatchInfo `json:"batch,omitempty"`
}

// inlineResult is the largest result that an event carries.
const inlineResult = 32 << 10

func taskEvent(t tasks.Task) Event {
	e := Event{Type: "task.failed", At: t.FinishedAt, Task: &t}
	switch t.State {
	case tasks.Completed:
		e.Type, e.ResultPath = "task.completed", "/v1/tasks/"+t.ID+"/result"
	case tasks.Canceled:
		e.Type = "task.canceled"
	}
	if len(t.Result) > inlineResult {
		t.Result = nil
	}
	return e
}

// ended makes the delivery of a thing that has ended.
func (s *Store) ended(ctx context.Context, thing, endpoint string, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	endpoint, place, _ := strings.Cut(endpoint, " ")
	d := Delivery{ID: "msg_" + uuid.Must(uuid.NewV7()).String(), Endpoint: endpoint, Object: parseThing(thing).ID, Created: now, Body: body, Trace: place}
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode delivery: %w", err)
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	err = endedScript.Run(ctx, s.broker.Client(), []string{watchKey, openKey, dueKey, deliveryKey + d.ID}, thing, d.ID, raw, now.UnixMilli()).Err()
	if err != nil {
		return fmt.Errorf("write delivery: %w", s.broker.Explain(err))
	}
	return nil
}

// delivery reads one delivery.
func (s *Store) delivery(ctx context.Context, id string) (Delivery, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	raw, err := s.broker.Client().Get(ctx, deliveryKey+id).Bytes()
	if errors.Is(err, redis.Nil) {
		return Delivery{}, ErrUnknown
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", s.broker.Explain(err))
	}
	var d Delivery
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}

// forget removes a delivery that was made, or has nothing to it.
func (s *Store) forget(ctx context.Context, id string) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	_, err := s.broker.Client().TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, dueKey, id)
		p.ZRem(ctx, deadKey, id)
		p.Del(ctx, deliveryKey+id)
		return nil
	})
	return s.broker.Explain(err)
}

// put writes a delivery into the list that it belongs to.
func (s *Store) put(ctx context.Context, d Delivery) error {
	into, from, at, keep := dueKey, deadKey, d.Next, time.Duration(0)
	if !d.GivenUp.IsZero() {
		into, from, at, keep = deadKey, dueKey, d.GivenUp, deadFor
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode delivery: %w", err)
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	_, err = s.broker.Client().TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, deliveryKey+d.ID, raw, keep)
		p.ZAdd(ctx, into, redis.Z{Score: float64(at.UnixMilli()), Member: d.ID})
		p.ZRem(ctx, from, d.ID)
		return nil
	})
	return s.broker.Explain(err)
}

// trim forgets the oldest dead letters. Their bodies have a time to live that
// ends with them.
func (s *Store) trim(ctx context.Context) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	old := s.now().Add(-deadFor).UnixMilli()
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRemRangeByScore(ctx, deadKey, "-inf", fmt.Sprint(old))
		p.ZRemRangeByRank(ctx, deadKey, 0, -maxDead-1)
		return nil
	})
	return s.broker.Explain(err)
}

// Retry puts a dead letter back, or calls for a waiting one at once.
func (s *Store) Retry(ctx context.Context, id string) (Delivery, error) {
	d, err := s.delivery(ctx, id)
	if err != nil {
		return d, err
	}
	now := s.now().UTC()
	if !d.GivenUp.IsZero() {
		d.Attempts = 0
	}
	d.GivenUp, d.Next = time.Time{}, now
	return d, s.put(ctx, d)
}

// Deliveries lists calls that are to be made, or were given up, the latest
// first. Bodies are left out.
func (s *Store) Deliveries(ctx context.Context, dead bool, limit int) ([]Delivery, error) {
	list := dueKey
	if dead {
		list = deadKey
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	ids, err := s.broker.Client().ZRevRange(ctx, list, 0, int64(limit)-1).Result()
	if err != nil || len(ids) == 0 {
		return nil, s.broker.Explain(err)
	}
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Get(ctx, deliveryKey+id)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read deliveries: %w", s.broker.Explain(err))
	}
	all := make([]Delivery, 0, len(ids))
	for _, cmd := range cmds {
		var d Delivery
		if raw, err := cmd.(*redis.StringCmd).Bytes(); err == nil && json.Unmarshal(raw, &d) == nil {
			d.Body = nil
			all = append(all, d)
		}
	}
	return all, nil
}
