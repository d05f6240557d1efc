// Package mcp offers the yard to assistants: each kind of work is a tool of the
// Model Context Protocol, over standard input and output or over HTTP.
//
// It promises that a call ends: with a result that fits the caller's budget of
// tokens, with an error that says what to change, or by cancellation, which
// cancels the task too. Nothing that a call began goes on behind its back.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jobyard/jobyard/internal/schema"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds.
const (
	// DefaultTokens is how much of a result a call gives if it does not say.
	DefaultTokens = 8000
	minTokens     = 200
	maxTokens     = 100_000
	// bytesPerToken is a rule of thumb for English and code.
	bytesPerToken = 4
	// waitLimit is more than the longest task takes once it runs.
	waitLimit     = tasks.MaxTimeout + 30*time.Second
	progressEvery = time.Second
	// MaxBody is the largest request over HTTP.
	MaxBody = 4 << 20
)

// Yard is what the tools do their work with.
type Yard struct {
	Enqueue func(context.Context, tasks.Request) (tasks.Task, error)
	// Wait returns a task of that queue once it has ended.
	Wait   func(ctx context.Context, id string, queue ...string) (tasks.Task, error)
	Cancel func(ctx context.Context, id string) (tasks.Task, error)
	Status func(ctx context.Context, id string) (tasks.Task, error)
	// Allows says which kinds are offered; nil means all of them.
	Allows func(kind string) bool
	// Explain says what an error is in words for the caller.
	Explain func(error) string
}

// Tools are the descriptions of the tools, made once.
type Tools struct {
	all     []*mcp.Tool
	version string
}

// NewTools describes the kinds as tools.
func NewTools(version string) (*Tools, error) {
	about := map[string][2]string{
		"search":         {"Search documentation", "Full-text search over the documents that were indexed: hits with title, anchor and snippet."},
		"sdk_fetch":      {"Look up a package", "One version of an npm package or Go module: readme, dependencies, exported API, license, deprecation."},
		"config_gen":     {"Generate configuration", "Configuration files from a template, checked against schemas; changes existing files as little as needed."},
		"document_parse": {"Parse a document", "Markdown, MDX, HTML, JSON, OpenAPI or text (given, or at a public url) into sections, code, tables and links."},
	}
	t := &Tools{version: version}
	for _, k := range schema.Kinds() {
		in, err := inputSchema(k)
		if err != nil {
			return nil, err
		}
		open := k.Name == "sdk_fetch" || k.Name == "document_parse"
		harmless := false
		t.all = append(t.all, &mcp.Tool{
			Name: k.Name, Title: about[k.Name][0], Description: about[k.Name][1], InputSchema: in,
			Annotations: &mcp.ToolAnnotations{DestructiveHint: &harmless, IdempotentHint: true, OpenWorldHint: &open, ReadOnlyHint: k.Name != "document_parse"},
		})
	}
	return t, nil
}

// inputSchema is a payload's, with the budget beside it.
func inputSchema(k schema.Kind) (json.RawMessage, error) {
	raw, err := schema.Of(k.Payload)
	if err != nil {
		return nil, err
	}
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", k.Name, err)
	}
	properties, ok := s["properties"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the schema of %s has no properties", k.Name)
	}
	properties["max_tokens"] = map[string]any{
		"type": "integer", "minimum": minTokens, "maximum": maxTokens, "default": DefaultTokens,
		"description": "About how many tokens the answer may have; what is longer is cut, and the answer says so.",
	}
	return json.Marshal(s)
}

// Server returns a server of the tools for one caller. Calls end when over
// does.
func (t *Tools) Server(y Yard, over context.Context) *mcp.Server { //nolint:revive // over is no context of this call
	s := mcp.NewServer(&mcp.Implementation{Name: "jobyard", Title: "Jobyard", Version: t.version}, &mcp.ServerOptions{
		Instructions: "Tools of an SDK-documentation service. A fault of an input names the field and the rule.",
		Capabilities: &mcp.ServerCapabilities{},
	})
	for _, tool := range t.all {
		if y.Allows == nil || y.Allows(tool.Name) {
			s.AddTool(tool, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(over, cancel)()
				return y.call(ctx, tool.Name, r)
			})
		}
	}
	return s
}

// Serve answers on standard input and output until ctx ends or the input does.
func (t *Tools) Serve(ctx context.Context, y Yard, transport mcp.Transport) error {
	err := t.Server(y, ctx).Run(ctx, transport)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve the tools: %w", err)
	}
	return nil
}

// Handler answers over HTTP. No session is kept: any producer may answer any
// request. Yard makes what a request's caller may do.
func (t *Tools) Handler(yard func(*http.Request) Yard) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server { return t.Server(yard(r), r.Context()) }, &mcp.StreamableHTTPOptions{
		Stateless: true, MaxRequestBodyBytes: MaxBody, PropagateRequestCancellation: true,
		// Who may ask is decided before.
		DisableLocalhostProtection: true,
	})
}

// call runs one task and gives its result.
func (y Yard) call(ctx context.Context, kind string, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	payload, budget, err := arguments(r.Params.Arguments)
	if err != nil {
		return y.failed(err), nil
	}
	// Not to be broken off: a worker may have the task before this answers, and
	// then nobody would know its id. It has a limit of its own.
	t, err := y.Enqueue(context.WithoutCancel(ctx), tasks.Request{Kind: kind, Payload: payload})
	if err != nil {
		return y.failed(err), nil
	}
	id := t.ID // of the task, also if the wait comes back with nothing
	timed, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	told := make(chan struct{})
	go func() {
		defer close(told)
		y.tell(timed, r, id)
	}()
	t, err = y.Wait(timed, id, t.Queue)
	ended := timed.Err() != nil
	cancel()
	<-told
	if err != nil && ended {
		return y.abandon(ctx, id)
	}
	if err != nil {
		return y.failed(err), nil
	}
	if t.State != tasks.Completed {
		return refusal("The task ended as " + string(t.State) + ": " + reason(t)), nil
	}
	text, err := Trim(kind, t.Result, budget*bytesPerToken)
	if err != nil {
		return nil, err
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
}

// abandon cancels the task of a call that is over.
func (y Yard) abandon(ctx context.Context, id string) (*mcp.CallToolResult, error) {
	// It may have ended in this moment, which is as good.
	_, _ = y.Cancel(context.WithoutCancel(ctx), id)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return refusal(fmt.Sprintf("The task was not done within %s and is canceled: the yard is busy. Try again later.", waitLimit)), nil
}

func reason(t tasks.Task) string {
	if t.Error == nil {
		return "no reason is known"
	}
	parts := []string{t.Error.Error()}
	for _, f := range t.Error.Fields {
		parts = append(parts, f.Path+": "+f.Message)
	}
	return strings.Join(parts, "; ")
}

// arguments takes the budget out of a call's arguments.
func arguments(raw json.RawMessage) (payload json.RawMessage, budget int, err error) {
	args := map[string]json.RawMessage{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, 0, tasks.Invalid("arguments", "must be an object")
		}
	}
	budget = DefaultTokens
	if text, ok := args["max_tokens"]; ok {
		if err := json.Unmarshal(text, &budget); err != nil || budget < minTokens || budget > maxTokens {
			return nil, 0, tasks.Invalid("max_tokens", fmt.Sprintf("must be a whole number from %d to %d", minTokens, maxTokens))
		}
		delete(args, "max_tokens")
	}
	payload, err = json.Marshal(args)
	return payload, budget, err
}

// failed is an answer that the assistant can learn from.
func (y Yard) failed(err error) *mcp.CallToolResult {
	if in, ok := errors.AsType[*tasks.InvalidError](err); ok {
		lines := make([]string, len(in.Fields))
		for i, f := range in.Fields {
			lines[i] = strings.TrimPrefix(f.Path, "payload.") + ": " + f.Message
		}
		return refusal("The input is not valid.\n" + strings.Join(lines, "\n"))
	}
	return refusal(y.Explain(err))
}

func refusal(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

// tell reports how far a task is to whoever asked for that.
func (y Yard) tell(ctx context.Context, r *mcp.CallToolRequest, id string) {
	token := r.Params.GetProgressToken()
	if token == nil {
		return
	}
	started := time.Now()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	say := func(state tasks.State) {
		// A caller that has gone ends the call itself.
		_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: max(0.001, time.Since(started).Seconds()), Message: "task " + id + " is " + string(state),
		})
	}
	say(tasks.Pending)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if t, err := y.Status(ctx, id); err == nil && !t.State.Final() {
				say(t.State)
			}
		}
	}
}
