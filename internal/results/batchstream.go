package results

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// streamPage is how many tasks of a batch are read at once; streamBytes
	// bounds the results of one reading, but for a single one.
	streamPage  = 100
	streamBytes = 4 << 20
)

// BatchResults streams the tasks of a batch in their order from a number on,
// each once it is final. A task that is no longer kept comes as ErrNotFound
// with its id; any other error is the last.
func (e *Events) BatchResults(ctx context.Context, id string, from int) iter.Seq2[tasks.Task, error] {
	return func(yield func(tasks.Task, error) bool) {
		for n := from; ; {
			page, err := e.store.batchPage(ctx, id, n, streamPage)
			if err != nil {
				yield(tasks.Task{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, t := range page {
				var gone error
				if t.State == "" {
					gone = fmt.Errorf("task %s: %w", t.ID, ErrNotFound)
				} else if !t.State.Final() {
					break
				}
				if n++; !yield(t, gone) {
					return
				}
				page = page[1:]
			}
			if len(page) == 0 {
				continue
			}
			// Only to learn that it ended: its result comes with the next page.
			if _, err := e.Wait(ctx, page[0].ID); err != nil && !errors.Is(err, ErrNotFound) {
				yield(tasks.Task{}, err)
				return
			}
		}
	}
}

// WaitBatch returns the batch once it is finished. If ctx ends first it
// returns how far it was, and the context's error.
func (e *Events) WaitBatch(ctx context.Context, id string) (tasks.BatchInfo, error) {
	err := e.until(ctx, id, func() (bool, error) {
		b, _, err := e.store.readBatch(ctx, id)
		return b.state == "finished", err
	})
	if errors.Is(err, ErrNoBatch) {
		return tasks.BatchInfo{}, err
	}
	info, infoErr := e.store.BatchInfo(context.WithoutCancel(ctx), id)
	return info, errors.Join(err, infoErr)
}

// pageRead is what one task of a page is read from.
type pageRead struct {
	bundle *redis.SliceCmd // its bundle's fields and its record, or
	at     int             // where its record lies among them
	own    *redis.SliceCmd // its own record, and
	bytes  *redis.IntCmd   // how long its result is
	unit   unit
}

// batchPage reads at most count tasks of a batch from the number on. A task
// that is no longer kept has no state. It may return fewer: as many as fit
// streamBytes, but one.
func (s *Store) batchPage(ctx context.Context, id string, from, count int) ([]tasks.Task, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	b, places, err := s.readPlaces(ctx, id, from, count)
	if err != nil {
		return nil, err
	}
	reads, err := s.readPage(ctx, b, from, places)
	if err != nil {
		return nil, err
	}
	page := make([]tasks.Task, len(places))
	var alone []int
	for i, r := range reads {
		found := false
		if r.own != nil {
			page[i], found = parse(r.unit.id, r.unit.queue, append(r.own.Val(), nil))
		} else {
			text, _ := r.bundle.Val()[r.at].(string)
			var left bool
			if page[i], left, found = bundledTask(r.unit, from+i, r.bundle.Val(), text); left {
				alone = append(alone, i)
			}
		}
		if !found {
			kind := plan{kinds: b.kinds}.kind(places[i])
			page[i] = missing(b, tasks.Task{ID: itemID(id, from+i), Kind: kind, Queue: tasks.BulkQueue(kind)})
		}
	}
	if err := s.readAlone(ctx, page, alone, reads); err != nil {
		return nil, err
	}
	return s.fillResults(ctx, page, reads)
}

// readPlaces reads a batch and the units of some of its tasks.
func (s *Store) readPlaces(ctx context.Context, id string, from, count int) (batch, []place, error) {
	if !tasks.ValidID(id) {
		return batch{}, nil, ErrNoBatch
	}
	var hash *redis.SliceCmd
	var text *redis.StringCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		hash = p.HMGet(ctx, batchKey(id), batchFields...)
		text = p.GetRange(ctx, mapKey(id), int64(from)*placeSize, int64(from+count)*placeSize-1)
		return nil
	})
	if err != nil {
		return batch{}, nil, fmt.Errorf("read batch %s: %w", id, s.broker.Explain(err))
	}
	b, ok := parseBatch(id, hash.Val())
	if !ok {
		return b, nil, ErrNoBatch
	}
	return b, parsePlan(b, text.Val()).places, nil
}

// readPage reads what the tasks' units know of them, in one round trip.
func (s *Store) readPage(ctx context.Context, b batch, from int, places []place) ([]pageRead, error) {
	reads := make([]pageRead, len(places))
	fields := map[uint16][]string{}
	for i, pl := range places {
		kind := plan{kinds: b.kinds}.kind(pl)
		if pl.unit == lone {
			reads[i].unit = loneUnit(b.id, from+i, kind)
			continue
		}
		reads[i].unit = bundleUnit(b.id, int(pl.unit), kind)
		if fields[pl.unit] == nil {
			fields[pl.unit] = append([]string{}, bundleFields...)
		}
		reads[i].at = len(fields[pl.unit])
		fields[pl.unit] = append(fields[pl.unit], recordField(from+i))
	}
	bundles := map[uint16]*redis.SliceCmd{}
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, pl := range places {
			r := &reads[i]
			if pl.unit == lone {
				r.own, r.bytes = readOwn(ctx, p, r.unit.queue, r.unit.id)
				continue
			}
			if bundles[pl.unit] == nil {
				bundles[pl.unit] = p.HMGet(ctx, r.unit.key(), fields[pl.unit]...)
			}
			r.bundle = bundles[pl.unit]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read batch %s: %w", b.id, s.broker.Explain(err))
	}
	return reads, nil
}

// readAlone reads those tasks of a page that left their bundle.
func (s *Store) readAlone(ctx context.Context, page []tasks.Task, alone []int, reads []pageRead) error {
	if len(alone) == 0 {
		return nil
	}
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, i := range alone {
			reads[i].own, reads[i].bytes = readOwn(ctx, p, page[i].Queue, page[i].ID)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read tasks of a batch: %w", s.broker.Explain(err))
	}
	for _, i := range alone {
		t, ok := parse(page[i].ID, page[i].Queue, append(reads[i].own.Val(), nil))
		if !ok {
			t = tasks.Task{ID: page[i].ID, Kind: page[i].Kind, Queue: page[i].Queue}
		}
		page[i] = t
	}
	return nil
}

// fillResults reads the results of completed tasks that are units of their
// own, and cuts the page where they grow too large.
func (s *Store) fillResults(ctx context.Context, page []tasks.Task, reads []pageRead) ([]tasks.Task, error) {
	results := map[int]*redis.StringCmd{}
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		size := int64(0)
		for i, t := range page {
			if reads[i].own == nil || t.State != tasks.Completed {
				continue
			}
			if size += reads[i].bytes.Val(); size > streamBytes && i > 0 {
				page = page[:i]
				break
			}
			results[i] = p.HGet(ctx, broker.TaskKey(t.Queue, t.ID), "result")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read results of a batch: %w", s.broker.Explain(err))
	}
	return s.resolvePage(ctx, page, results)
}

// resolvePage gives the tasks their results, and cuts the page where those in
// the blob store grow too large.
func (s *Store) resolvePage(ctx context.Context, page []tasks.Task, results map[int]*redis.StringCmd) ([]tasks.Task, error) {
	size := 0
	for i := range page {
		if results[i] == nil {
			continue
		}
		raw, err := results[i].Bytes()
		if err != nil || len(raw) == 0 {
			continue
		}
		if m, ok := blob.ParseMarker(raw); ok {
			if size += m.Size; size > streamBytes && i > 0 {
				return page[:i], nil
			}
		}
		page[i].Result = raw
		if err := s.resolve(ctx, &page[i]); err != nil {
			return nil, err
		}
	}
	return page, nil
}
