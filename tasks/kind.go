// Package tasks is Jobyard's public contract: the kinds of work, their
// payloads and results, the options of one call, and the task as every door
// (Go, command line, HTTP) shows it.
//
// It promises to stay light (standard library only) and stable: names of
// kinds, fields, states and reasons are added, never changed. It holds no
// connection; package client hands the requests over.
package tasks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Payload is what every payload type can do: check itself. Validate returns
// nil or an *InvalidError whose paths are relative to the payload.
type Payload interface {
	Validate() error
}

// Kind ties the name of a kind of work to its payload type P and its result
// type R, so that the compiler checks both ends.
type Kind[P Payload, R any] struct{ name string }

// The four kinds of work.
var (
	// Search answers a query over the library of indexed documents.
	Search = Kind[SearchPayload, SearchResult]{"search"}
	// SDKFetch resolves, verifies and describes one version of a package.
	SDKFetch = Kind[SDKFetchPayload, SDKFetchResult]{"sdk_fetch"}
	// ConfigGen writes configuration files from a template and checks them.
	ConfigGen = Kind[ConfigGenPayload, ConfigGenResult]{"config_gen"}
	// DocumentParse turns a document into sections, code, tables and chunks.
	DocumentParse = Kind[DocumentParsePayload, DocumentParseResult]{"document_parse"}
)

// AnyKind is a Kind whose types are only known at run time: what the doors
// that receive JSON work with.
type AnyKind interface {
	// Name is the kind's name, which is also its queue's.
	Name() string
	// Check decodes raw strictly, validates it, and returns it in the
	// canonical form in which it is queued. Errors are *InvalidError with
	// paths below "payload".
	Check(raw []byte) (json.RawMessage, error)
}

var kinds = [...]AnyKind{Search, SDKFetch, ConfigGen, DocumentParse}

// Kinds lists the kinds in the order they are shown.
func Kinds() []AnyKind { return slices.Clone(kinds[:]) }

// KindNames lists the names of Kinds.
func KindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name())
	}
	return names
}

// Lookup finds a kind by name; the error is an *InvalidError at "kind".
func Lookup(name string) (AnyKind, error) {
	for _, k := range kinds {
		if k.Name() == name {
			return k, nil
		}
	}
	return nil, Invalid("kind", fmt.Sprintf("must be one of %s, got %q", strings.Join(KindNames(), ", "), clip(name, 60)))
}

// Name returns the kind's name.
func (k Kind[P, R]) Name() string { return k.name }

// New makes a request from a typed payload. The payload is validated when the
// request is handed over.
func (k Kind[P, R]) New(payload P, opts ...Option) (Request, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return Request{}, fmt.Errorf("encode %s payload: %w", k.name, err)
	}
	r := Request{Kind: k.name, Payload: raw, typed: typed{k.name, payload, raw}}
	for _, o := range opts {
		o(&r.Options)
	}
	return r, nil
}

// Decode reads a payload strictly: unknown fields, wrong types and anything
// after the value are refused, and the payload is validated.
func (k Kind[P, R]) Decode(raw []byte) (P, error) {
	var p P
	if err := decodeStrict(raw, &p); err != nil {
		return p, prefix("payload", err)
	}
	return p, prefix("payload", p.Validate())
}

// Check implements AnyKind.
func (k Kind[P, R]) Check(raw []byte) (json.RawMessage, error) {
	if err := checkSize(raw); err != nil {
		return nil, err
	}
	p, err := k.Decode(raw)
	if err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

func checkSize(payload []byte) error {
	if len(payload) > MaxPayloadBytes {
		return Invalid("payload", fmt.Sprintf("must not be over %d bytes, got %d", MaxPayloadBytes, len(payload)))
	}
	return nil
}

// Result decodes the result of a completed task. A task that did not complete
// gives its *Error.
func (k Kind[P, R]) Result(t Task) (R, error) {
	var r R
	if t.Error != nil {
		return r, t.Error
	}
	if t.Kind != k.name {
		return r, fmt.Errorf("task %s is of kind %s, not %s", t.ID, t.Kind, k.name)
	}
	if len(t.Result) == 0 {
		return r, fmt.Errorf("task %s is %s and has no result yet", t.ID, t.State)
	}
	if err := json.Unmarshal(t.Result, &r); err != nil {
		return r, fmt.Errorf("decode %s result: %w", k.name, err)
	}
	return r, nil
}

// Queue is the queue of tasks of a kind that somebody waits for.
func Queue(kind string) string { return kind }

// BulkQueue is the queue of a kind's batches.
func BulkQueue(kind string) string { return kind + ":bulk" }

// KindOf is the kind whose tasks a queue holds.
func KindOf(queue string) string { return strings.TrimSuffix(queue, ":bulk") }

// Queues lists every queue of the yard, interactive ones first.
func Queues() []string {
	names := KindNames()
	for _, k := range slices.Clone(names) {
		names = append(names, BulkQueue(k))
	}
	return names
}
