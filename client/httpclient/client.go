// Package httpclient hands tasks to a yard by its HTTP API, for Go services
// that do not reach its Redis. Its methods have the names of package client's.
//
// It promises that an enqueue that is repeated, because an answer was lost or
// the yard was away for a moment, makes one task: each has an id before it is
// sent. It links nothing but package tasks and the standard library. A Client
// is safe for concurrent use and needs no closing.
package httpclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// Config says where the API is.
type Config struct {
	// URL is the API's address, as https://yard.example:8080.
	URL string
	// Key is sent with every request; empty where the yard has no keys.
	Key string
	// HTTP makes the requests; nil means a client of its own.
	HTTP *http.Client
	// Patience is how long a call goes on while the yard refuses for a moment
	// (full, away): 0 means not at all.
	Patience time.Duration
}

// Client hands tasks over.
type Client struct {
	cfg  Config
	base *url.URL
}

// New returns a client. Nothing is sent yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("url must be an address as https://yard.example:8080, got %q", cfg.URL)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		}}
	}
	return &Client{cfg: cfg, base: base}, nil
}

const (
	// waitEach is how long one request waits for a task.
	waitEach = 30 * time.Second
	// maxAnswer is more than the largest result, written as JSON, takes.
	maxAnswer = 3 * tasks.MaxResultBytes
	// waitPause is how long to wait where the server says nothing of it.
	waitPause = time.Second
)

// Enqueue hands over one task and returns it as queued. With an id that is
// known, the task of that id comes back. Errors are *ProblemError.
func (c *Client) Enqueue(ctx context.Context, r tasks.Request) (tasks.Task, error) {
	if r.Options.ID == "" {
		r.Options.ID = rand.Text()
	}
	var t tasks.Task
	err := c.send(ctx, request{http.MethodPost, "/v1/tasks", nil}, r, &t)
	return t, err
}

// Status returns a task as it is now, with its result or error if it has one.
func (c *Client) Status(ctx context.Context, id string) (tasks.Task, error) {
	var t tasks.Task
	err := c.send(ctx, request{http.MethodGet, "/v1/tasks/" + url.PathEscape(id), nil}, nil, &t)
	return t, err
}

// Wait returns the task once it is final. If ctx ends first it returns the task
// as it was last seen, and the context's error.
func (c *Client) Wait(ctx context.Context, id string) (tasks.Task, error) {
	var t tasks.Task
	err := c.until(ctx, "/v1/tasks/"+url.PathEscape(id), &t, func() bool { return t.State.Final() })
	return t, err
}

// Do enqueues a task and waits for its end.
func (c *Client) Do(ctx context.Context, r tasks.Request) (tasks.Task, error) {
	t, err := c.Enqueue(ctx, r)
	if err != nil {
		return t, err
	}
	return c.Wait(ctx, t.ID)
}

// Cancel withdraws a task and returns it as it then is. ErrFinal tells that it
// had ended.
func (c *Client) Cancel(ctx context.Context, id string) (tasks.Task, error) {
	var t tasks.Task
	err := c.send(ctx, request{http.MethodDelete, "/v1/tasks/" + url.PathEscape(id), nil}, nil, &t)
	return t, err
}

// EnqueueBatch hands over a whole batch, or nothing of it.
func (c *Client) EnqueueBatch(ctx context.Context, b tasks.Batch) (tasks.BatchInfo, error) {
	if b.ID == "" {
		b.ID = rand.Text()
	}
	var info tasks.BatchInfo
	err := c.send(ctx, request{http.MethodPost, "/v1/batches", nil}, b, &info)
	return info, err
}

// Batch tells how far a batch is.
func (c *Client) Batch(ctx context.Context, id string) (tasks.BatchInfo, error) {
	var info tasks.BatchInfo
	err := c.send(ctx, request{http.MethodGet, "/v1/batches/" + url.PathEscape(id), nil}, nil, &info)
	return info, err
}

// WaitBatch returns the batch once every task of it is final. If ctx ends first
// it returns how far it was, and the context's error.
func (c *Client) WaitBatch(ctx context.Context, id string) (tasks.BatchInfo, error) {
	var info tasks.BatchInfo
	err := c.until(ctx, "/v1/batches/"+url.PathEscape(id), &info, func() bool { return !info.FinishedAt.IsZero() })
	return info, err
}

// CancelBatch withdraws a batch. ErrFinal tells that it had ended.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	return c.send(ctx, request{http.MethodDelete, "/v1/batches/" + url.PathEscape(id), nil}, nil, &tasks.BatchInfo{})
}

// BatchResults streams the tasks of a batch in their order, each once it is
// final. A task that is no longer kept comes with ErrNotFound; any other error
// ends the stream.
func (c *Client) BatchResults(ctx context.Context, id string) iter.Seq2[tasks.Task, error] {
	return func(yield func(tasks.Task, error) bool) {
		next, fruitless := 0, 0
		for fruitless < 5 {
			from := next
			over, err := c.stream(ctx, id, &next, yield)
			switch {
			case over:
				return
			case err != nil:
				if p, ok := errors.AsType[*ProblemError](err); ok || ctx.Err() != nil || fruitless == 4 {
					if !ok || p.Status < 500 || fruitless == 4 {
						yield(tasks.Task{}, err)
						return
					}
				}
			}
			if fruitless++; next > from {
				fruitless = 0
			}
			if err := pause(ctx, waitPause); err != nil {
				yield(tasks.Task{}, err)
				return
			}
		}
	}
}

// line is a task of a stream, or its early end.
type line struct {
	tasks.Task
	Next *int `json:"next"`
}

// stream reads one answer; over tells that the batch's end was reached, or that
// nobody listens any more.
func (c *Client) stream(ctx context.Context, id string, next *int, yield func(tasks.Task, error) bool) (over bool, err error) {
	answer, err := c.ask(ctx, request{http.MethodGet, "/v1/batches/" + url.PathEscape(id) + "/results", url.Values{"from": {strconv.Itoa(*next)}}}, nil)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	lines := bufio.NewReaderSize(io.LimitReader(answer.Body, 1<<40), 64<<10)
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(text)) == 0 {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read results of batch %s: %w", id, err)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return false, fmt.Errorf("read results of batch %s: %w", id, err)
		}
		if l.Next != nil { // the server stops, or its stream has a limit
			return false, nil
		}
		*next++
		var gone error
		if l.State == "" {
			gone = fmt.Errorf("task %s: %w", l.ID, ErrNotFound)
		}
		if !yield(l.Task, gone) {
			return true, nil
		}
	}
}

// until asks, and waits, until there is what it waits for.
func (c *Client) until(ctx context.Context, path string, into any, there func() bool) error {
	for {
		wait := waitEach
		if end, ok := ctx.Deadline(); ok {
			wait = max(time.Millisecond, min(wait, time.Until(end)).Round(time.Millisecond))
		}
		started := time.Now()
		err := c.send(ctx, request{http.MethodGet, path, url.Values{"wait": {wait.String()}}}, nil, into)
		if err != nil || there() {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(started) < wait/2 { // the server stops: its successor needs a moment
			if err := pause(ctx, waitPause); err != nil {
				return err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
