package results

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// HeaderBundle marks the asynq task of a bundle.
const HeaderBundle = "jobyard-bundle"

const (
	// bundleRetry is asynq's count for a bundle, which never fails by itself.
	bundleRetry = 25
	// expandMost and expandBytes bound one round trip of an expansion.
	expandMost, expandBytes = 200, 2 << 20
)

//go:embed lua/batchadvance.lua
var batchAdvanceSource string

var batchAdvanceScript = redis.NewScript(broker.Spare + batchAdvanceSource)

// BundleTask is one task in a bundle's payload.
type BundleTask struct {
	Number   int             `json:"n"`
	Timeout  tasks.Duration  `json:"t"`
	MaxRetry int             `json:"r"`
	NoCache  bool            `json:"c,omitempty"`
	Payload  json.RawMessage `json:"p"`
}

// expandBatch queues the units of a batch that is being created, from where it
// was left. Any number of processes may do so at once. The requests are read
// if the caller does not have them.
func (s *Store) expandBatch(ctx context.Context, id string, requests []tasks.Request) error {
	b, p, err := s.readBatch(ctx, id)
	if err != nil || b.state != "creating" {
		return err
	}
	if requests == nil {
		requests, err = s.readRequests(ctx, id)
		if errors.Is(err, redis.Nil) {
			return nil // somebody else has opened it since
		}
		if err != nil {
			return err
		}
	}
	if len(requests) != len(p.places) {
		return fmt.Errorf("batch %s is damaged: it has %d requests and a map of %d", id, len(requests), len(p.places))
	}
	units := p.units(b)
	for at := min(b.at, len(units)); ; {
		next, err := s.queueUnits(ctx, b, requests, units[at:])
		if err != nil {
			return err
		}
		at += next
		code, err := s.advanceBatch(ctx, id, at, at == len(units))
		switch {
		case err != nil:
			return err
		case code == 2:
			return s.finishBatch(ctx, id)
		case code == 3:
			return s.withdrawBatch(ctx, id)
		case code != 0:
			return nil
		}
	}
}

// readRequests reads what a batch was created with; once it is open, that is
// redis.Nil.
func (s *Store) readRequests(ctx context.Context, id string) ([]tasks.Request, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	var spec batchSpec
	packed, err := s.broker.Client().HGet(ctx, batchKey(id), "spec").Bytes()
	if err != nil {
		return nil, fmt.Errorf("read the requests of batch %s: %w", id, s.broker.Explain(err))
	}
	raw, err := unpack(packed)
	if err == nil {
		err = json.Unmarshal(raw, &spec)
	}
	if err != nil {
		return nil, fmt.Errorf("read the requests of batch %s: %w", id, err)
	}
	return spec.Requests, nil
}

// queueUnits queues as many of the units as go into one round trip, and
// returns how many those are.
func (s *Store) queueUnits(ctx context.Context, b batch, requests []tasks.Request, units []unit) (int, error) {
	if !b.canceled.IsZero() || len(units) == 0 {
		return 0, nil
	}
	all := make([]Admission, 0, min(len(units), expandMost))
	for bytes := 0; len(all) < cap(all) && bytes < expandBytes; {
		a, err := admissionOf(b, requests, units[len(all)])
		if err != nil {
			return 0, err
		}
		bytes += len(a.Request.Payload)
		all = append(all, a)
	}
	// What is known was queued before; a stranger's task of that id stands in
	// for ours, and nothing is full.
	_, err := s.Admit(ctx, all...)
	return len(all), err
}

// admissionOf makes a unit from the batch's requests.
func admissionOf(b batch, requests []tasks.Request, u unit) (Admission, error) {
	first := requests[u.tasks[0]]
	if !u.bundled() {
		// The delay counts from the batch's creation.
		if start := first.Options.Start(b.created); !start.IsZero() {
			first.Options.In, first.Options.At = 0, start
		}
		return Admission{ID: u.id, Request: first, Limit: noLimit, stands: 1, Trace: b.place(), Linked: true}, nil
	}
	list := make([]BundleTask, len(u.tasks))
	longest := time.Duration(0)
	for i, n := range u.tasks {
		r := requests[n]
		list[i] = BundleTask{Number: n, Timeout: r.Options.Timeout, MaxRetry: *r.Options.MaxRetry, NoCache: r.Options.NoCache, Payload: r.Payload}
		longest = max(longest, time.Duration(r.Options.Timeout))
	}
	payload, err := json.Marshal(list)
	if err != nil {
		return Admission{}, fmt.Errorf("encode bundle %s: %w", u.id, err)
	}
	retries := bundleRetry
	r := tasks.Request{Kind: first.Kind, Payload: payload, Options: tasks.Options{
		Queue: u.queue, MaxRetry: &retries, Retention: first.Options.Retention,
		// One task at most runs on after BundleTime, to its own limit.
		Timeout: tasks.Duration(longest + 2*BundleTime),
	}}
	return Admission{ID: u.id, Request: r, Limit: noLimit, stands: len(u.tasks), bundle: true, Trace: b.place(), Linked: true}, nil
}

func (s *Store) advanceBatch(ctx context.Context, id string, at int, last bool) (int, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	code, err := batchAdvanceScript.Run(ctx, s.broker.Client(), []string{batchKey(id)}, at, last, s.now().UnixMilli()).Int()
	if err != nil {
		return 0, fmt.Errorf("open batch %s: %w", id, s.broker.Explain(err))
	}
	return code, nil
}
