package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of what is handed over at once.
const (
	chunkLines = 200
	chunkBytes = 4 << 20
	// fullPause is how long a full queue is left alone before the next try.
	fullPauseMin = 50 * time.Millisecond
	fullPauseMax = 2 * time.Second
)

// handOver reads lines and hands them over until the input or ctx ends.
func (b *run) handOver(ctx context.Context, in io.Reader) {
	lines := newLines(in, MaxLine)
	for {
		chunk, err := readChunk(lines)
		if !b.handOverChunk(ctx, chunk) {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			close(b.accepted)
			return
		case err != nil:
			b.stop(fmt.Errorf("read the batch: %w", err))
			return
		}
	}
}

// item is a line and what became of it.
type item struct {
	number  int
	request tasks.Request
	task    tasks.Task
	refused bool
}

// readChunk reads at least one line, and more as long as they are there.
func readChunk(l *lines) ([]*item, error) {
	var chunk []*item
	for size := 0; len(chunk) == 0 || (len(chunk) < chunkLines && size < chunkBytes && l.ready()); {
		text, err := l.next()
		if err != nil {
			return chunk, err
		}
		size += len(text.text)
		chunk = append(chunk, decode(text))
	}
	return chunk, nil
}

// decode reads a line as a request; a line that is none is refused.
func decode(l line) *item {
	i := &item{number: l.number}
	if l.text == nil {
		i.refuse(tasks.Invalid("line", fmt.Sprintf("must not be over %d bytes", MaxLine)))
		return i
	}
	var err error
	if i.request, err = tasks.DecodeRequest(l.text); err != nil {
		i.refuse(err)
		return i
	}
	if i.request.Options.Queue == "" {
		i.request.Options.Queue = "bulk"
	}
	return i
}

// refuse answers the line with a task that was never handed over. It reports
// false for errors that are not the line's fault.
func (i *item) refuse(err error) bool {
	var invalid *tasks.InvalidError
	var conflict *client.ConflictError
	switch {
	case errors.As(err, &invalid):
	case errors.As(err, &conflict):
		invalid = &tasks.InvalidError{Fields: []tasks.FieldError{{Path: "options.id", Message: conflict.Error()}}}
	default:
		return false
	}
	fields := make([]tasks.FieldError, len(invalid.Fields))
	for n, f := range invalid.Fields {
		if f.Path == "" {
			f.Path = "line"
		}
		fields[n] = f
	}
	i.refused = true
	i.task = tasks.Task{State: tasks.Archived, Error: &tasks.Error{
		Reason: tasks.ReasonInvalid, Fields: fields, Message: fmt.Sprintf("line %d: %v", i.number, &tasks.InvalidError{Fields: fields}),
	}}
	if k, err := tasks.Lookup(i.request.Kind); err == nil {
		i.task.Kind = k.Name()
	}
	return true
}

// handOverChunk hands the chunk over, waiting while queues are full, and passes
// it on in order. It reports whether there may be more.
func (b *run) handOverChunk(ctx context.Context, chunk []*item) bool {
	b.handing <- struct{}{}
	defer func() { <-b.handing }()
	if ctx.Err() != nil {
		return false
	}
	todo := make([]*item, 0, len(chunk))
	for _, i := range chunk {
		if !i.refused {
			todo = append(todo, i)
		}
	}
	b.clock.add(len(todo))
	left, err := b.push(ctx, todo)
	if err != nil {
		b.stop(err)
	}
	for _, i := range chunk {
		if slices.Contains(left, i) {
			continue
		}
		b.accepted <- &entry{task: i.task, refused: i.refused, ended: make(chan tasks.Task, 1)}
	}
	return err == nil
}

// push hands over until all are taken. On an error it returns those that are
// not, or may not be.
func (b *run) push(ctx context.Context, todo []*item) (left []*item, err error) {
	for pause := fullPauseMin; ; pause = min(2*pause, fullPauseMax) {
		left, err = b.try(ctx, todo)
		if err != nil || len(left) == 0 {
			return left, err
		}
		if len(left) < len(todo) {
			pause = fullPauseMin
		}
		todo = left
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return todo, context.Cause(ctx)
		}
	}
}

// try hands over what it can and returns what must wait for room. Once begun it
// is not broken off by ctx, or nobody would know which tasks there are; the
// client has its own deadline.
func (b *run) try(ctx context.Context, todo []*item) (left []*item, err error) {
	requests := make([]tasks.Request, len(todo))
	for n, i := range todo {
		requests[n] = i.request
	}
	answers, err := b.client.EnqueueAll(context.WithoutCancel(ctx), requests)
	if err != nil {
		return todo, err
	}
	for n, i := range todo {
		var full *client.FullError
		switch err := answers[n].Err; {
		case err == nil:
			i.task, i.request.Payload = answers[n].Task, nil
			i.task.Result = nil // of a task known from before: fetched when its turn comes
			b.clock.add(0)
		case errors.As(err, &full):
			left = append(left, i)
		case i.refuse(err):
			b.clock.done()
		default:
			return append(left, todo[n:]...), err
		}
	}
	return left, nil
}
