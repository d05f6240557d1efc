package httpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: no task or batch has the id, or it is no longer kept.
	ErrNotFound = errors.New("no such task or batch")
	// ErrFinal: it has ended and cannot be canceled.
	ErrFinal = errors.New("it has ended already")
)

// ProblemError is a refusal of the API (RFC 9457).
type ProblemError struct {
	Status    int     `json:"status"`
	Title     string  `json:"title"`
	Detail    string  `json:"detail"`
	Fields    []Field `json:"errors"`
	RequestID string  `json:"request_id"`
	// RetryAfter is when the server says that it makes sense to come again.
	RetryAfter time.Duration `json:"-"`
}

// Field is a field at fault.
type Field struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error says what is wrong, and in which field first.
func (p *ProblemError) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, p.Detail)
	if len(p.Fields) > 0 {
		text += ": " + p.Fields[0].Location + ": " + p.Fields[0].Message
	}
	return text
}

// Is makes a ProblemError one of the errors of this package.
func (p *ProblemError) Is(target error) bool {
	return target == ErrNotFound && p.Status == http.StatusNotFound || target == ErrFinal && p.Status == http.StatusConflict
}

// As makes a ProblemError the *tasks.InvalidError that package client would give.
func (p *ProblemError) As(target any) bool {
	in, ok := target.(**tasks.InvalidError)
	if !ok || p.Status != http.StatusUnprocessableEntity {
		return false
	}
	*in = &tasks.InvalidError{}
	for _, f := range p.Fields {
		(*in).Fields = append((*in).Fields, tasks.FieldError{Path: f.Location, Message: f.Message})
	}
	return true
}

// passing tells of refusals that end by themselves.
func (p *ProblemError) passing() bool {
	return p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
}

// request is what is asked for.
type request struct {
	method, path string
	query        url.Values
}

// send asks and reads the answer. While it has patience it asks again where the
// refusal, or the failure of the network, may pass: every request can be
// repeated.
func (c *Client) send(ctx context.Context, to request, body, into any) error {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	deadline := time.Now().Add(c.cfg.Patience)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := c.sendOnce(ctx, to, raw, into)
		problem, refused := errors.AsType[*ProblemError](err)
		if err == nil || ctx.Err() != nil || refused && !problem.passing() {
			return err
		}
		after := wait
		if refused {
			after = max(wait, problem.RetryAfter)
		}
		if time.Now().Add(after).After(deadline) {
			return err
		}
		if pause(ctx, after) != nil {
			return err
		}
	}
}

func (c *Client) sendOnce(ctx context.Context, to request, body []byte, into any) error {
	answer, err := c.ask(ctx, to, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", to.path, err)
	}
	return nil
}

// ask sends one request. What is no 2xx is a *ProblemError.
func (c *Client) ask(ctx context.Context, to request, body []byte) (*http.Response, error) {
	address := c.base.String() + to.path
	if len(to.query) > 0 {
		address += "?" + to.query.Encode()
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, to.method, address, in)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	}
	trace.ToHTTP(ctx, r.Header)
	answer, err := c.cfg.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the yard: %w", err)
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	p := &ProblemError{}
	// What is no problem document is a proxy's; its status says enough.
	_ = json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(p)
	p.Status = answer.StatusCode
	if p.Detail == "" {
		p.Detail = http.StatusText(p.Status)
	}
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(min(s, 3600)) * time.Second
	}
	return nil, p
}
