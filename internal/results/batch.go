package results

import (
	"context"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// A batch is a hash of its own, and its tasks travel in units: a bundle is one
// asynq task that holds many small tasks, "<batch>.b<k>"; every other task is a
// unit by itself, "<batch>.<n>". The batch is written whole, in one step, before
// the first unit is queued:
//
//	creating ─every unit is queued─▶ open ─every task is final─▶ finished
//
// Whoever finds it half done goes on where it was left: the ids of the units
// are fixed by the batch's map, units that are queued are known, and units that
// are final are marked by one bit each. A task of a bundle that fails becomes a
// task of its own in the same step in which the bundle notes it ("alone"), so
// it is never both.

// ErrNoBatch tells that no batch has the id, or that it is no longer kept.
var ErrNoBatch = errors.New("no such batch")

const (
	batchesKey = "jobyard:batches" // sorted set: unfinished batches by creation in ms
	// noLimit admits what its batch's own check has let in.
	noLimit = math.MaxInt32
	// lostAfter is when a batch that was listed but never written is forgotten.
	lostAfter = time.Hour
)

//go:embed lua/batchcreate.lua
var batchCreateSource string

var batchCreateScript = redis.NewScript(batchCreateSource)

// batchKey is the key of a batch's hash; all keys of a batch share its slot.
func batchKey(id string) string { return "jobyard:batch:{" + id + "}" }
func mapKey(id string) string   { return batchKey(id) + ":map" }
func doneKey(id string) string  { return batchKey(id) + ":done" }
func aloneKey(id string) string { return batchKey(id) + ":alone" }

// CallbackID is the id of a batch's callback.
func CallbackID(batch string) string { return batch + ".done" }

// batch is a batch's hash.
type batch struct {
	id, state                 string
	kinds                     []string
	total, done, at           int
	completed, archived, gone int // gone: canceled
	created, finished         time.Time
	touched                   time.Time // by whom it was last taken further
	canceled                  time.Time // by a caller
	retention                 time.Duration
	callback                  string
	trace                     string // traceparent of its handing over, or ""
}

// batchFields are read in this order by parseBatch.
var batchFields = []string{
	"state", "kinds", "total", "done", "at", "completed", "archived", "canceled",
	"created", "fin", "touched", "cancel", "ret", "callback", "trace",
}

func parseBatch(id string, values []any) (batch, bool) {
	text := texts(values)
	number := func(i int) int { n, _ := strconv.Atoi(text(i)); return n }
	moment := func(i int) time.Time {
		if ms := number(i); ms > 0 {
			return time.UnixMilli(int64(ms)).UTC()
		}
		return time.Time{}
	}
	return batch{
		id: id, state: text(0), kinds: strings.Split(text(1), ","), total: number(2), done: number(3), at: number(4),
		completed: number(5), archived: number(6), gone: number(7), created: moment(8), finished: moment(9),
		touched: moment(10), canceled: moment(11), retention: time.Duration(number(12)) * time.Second, callback: text(13),
		trace: text(14),
	}, text(0) != ""
}

// readBatch reads a batch's hash and its map.
func (s *Store) readBatch(ctx context.Context, id string) (batch, plan, error) {
	if !tasks.ValidID(id) {
		return batch{}, plan{}, ErrNoBatch
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	var hash *redis.SliceCmd
	var places *redis.StringCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		hash, places = p.HMGet(ctx, batchKey(id), batchFields...), p.Get(ctx, mapKey(id))
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return batch{}, plan{}, fmt.Errorf("read batch %s: %w", id, s.broker.Explain(err))
	}
	b, ok := parseBatch(id, hash.Val())
	if !ok {
		return b, plan{}, ErrNoBatch
	}
	return b, parsePlan(b, places.Val()), nil
}

// place is where in a trace the batch was handed over.
func (b batch) place() trace.Carried { return trace.Read(b.trace, "") }

// CreateBatch hands a whole checked batch over, or nothing of it. ErrKnown
// tells that the same batch was handed over before, a *ConflictError that the
// id belongs to another, a *FullError that a bulk queue has no room for all of
// its tasks; concurrent callers may overshoot by a batch each. Once queued, a
// bundle counts as one task, and what leaves it is never refused.
//
// Once the batch is written it runs, even if queuing its units is cut short
// here: any worker's recovery goes on with it.
func (s *Store) CreateBatch(ctx context.Context, b tasks.Batch, limit func(queue string) int) error {
	raw, sum, err := encodeBatch(b)
	if err != nil {
		return err
	}
	if err := s.batchFits(ctx, b, sum, limit); err != nil {
		return err
	}
	refs, err := s.holdBatch(ctx, b)
	if err != nil {
		return err
	}
	code, err := s.writeBatch(ctx, b, sum, raw)
	if err == nil && code != 1 {
		s.letGo(ctx, refs)
	}
	switch {
	case err != nil:
		return err
	case code == 2:
		return ErrKnown
	case code == -1:
		return &ConflictError{ID: b.ID}
	}
	// The recovery would do it too, only later; so this error is nobody's loss.
	_ = s.expandBatch(ctx, b.ID, b.Requests)
	return nil
}

// batchSpec is what a batch's units are made from.
type batchSpec struct {
	Requests []tasks.Request `json:"tasks"`
	Callback *tasks.Request  `json:"callback,omitempty"`
}

// encodeBatch writes the batch's content, and a hash of it.
func encodeBatch(b tasks.Batch) (raw []byte, sum string, err error) {
	raw, err = json.Marshal(batchSpec{Requests: b.Requests, Callback: b.Callback})
	if err != nil {
		return nil, "", fmt.Errorf("encode batch %s: %w", b.ID, err)
	}
	hash := sha256.Sum256(raw)
	return raw, hex.EncodeToString(hash[:]), nil
}

// batchFits checks the memory and the limits of the queues. A batch that is
// known needs no room.
func (s *Store) batchFits(ctx context.Context, b tasks.Batch, sum string, limit func(string) int) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	count, bytes := map[string]int{}, 0
	for _, r := range b.Requests {
		count[r.Options.Queue]++
		bytes += len(r.Payload)
	}
	if err := s.memory.room(ctx, s.broker, bytes); err != nil {
		return err
	}
	reads := map[string]queueReads{}
	var known *redis.StringCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		known = p.HGet(ctx, batchKey(b.ID), "sha")
		for q := range count {
			reads[q] = readQueue(ctx, p, q)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("enqueue batch: %w", s.broker.Explain(err))
	}
	if known.Val() == sum {
		return ErrKnown
	}
	if known.Val() != "" {
		return &ConflictError{ID: b.ID}
	}
	for q, n := range count {
		queue := reads[q].queue(q)
		if waiting, most := queue.Waiting(), limit(q); int(waiting)+n > most {
			return &FullError{Queue: q, Waiting: int(waiting), Limit: most, RetryAfter: s.rates.wait(q, queue.Processed, most, s.now())}
		}
	}
	return nil
}

// writeBatch lists the batch as unfinished and then writes it, so that none is
// written that is not listed.
func (s *Store) writeBatch(ctx context.Context, b tasks.Batch, sum string, raw []byte) (int, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	now := s.now()
	p := newPlan(b.Requests, now)
	spec, err := pack(raw)
	if err != nil {
		return 0, err
	}
	var kept time.Duration
	for _, r := range b.Requests {
		kept = max(kept, time.Duration(r.Options.Retention))
	}
	callback := []byte{}
	if b.Callback != nil {
		if callback, err = json.Marshal(b.Callback); err != nil {
			return 0, fmt.Errorf("encode callback: %w", err)
		}
	}
	listed := s.broker.Client().ZAddNX(ctx, batchesKey, redis.Z{Score: float64(now.UnixMilli()), Member: b.ID})
	if err := listed.Err(); err != nil {
		return 0, s.memory.refused(s.broker, err)
	}
	code, err := batchCreateScript.Run(ctx, s.broker.Client(), []string{batchKey(b.ID), mapKey(b.ID)}, sum, spec, p.bytes(),
		len(b.Requests), strings.Join(p.kinds, ","), now.UnixMilli(), int64(kept.Seconds()), callback, trace.Here(ctx).Parent).Int()
	if err != nil {
		return 0, s.memory.refused(s.broker, err)
	}
	return code, nil
}

// pack compresses a batch's requests, unpack reverses it.
func pack(raw []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress batch: %w", err)
	}
	defer w.Close() //nolint:errcheck // nothing is written through it
	return w.EncodeAll(raw, nil), nil
}

// maxSpec is more than the requests of a batch take with their options.
const maxSpec = tasks.MaxBatchBytes + tasks.MaxBatchTasks*1024 + tasks.MaxPayloadBytes

func unpack(packed []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSpec))
	if err != nil {
		return nil, fmt.Errorf("decompress batch: %w", err)
	}
	defer r.Close()
	return r.DecodeAll(packed, nil)
}
