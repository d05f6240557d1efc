package tasks

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// Bounds of a request. The limits are the contract of DESIGN sections 6 and 8.
const (
	MaxPayloadBytes  = 16 << 20
	MaxResultBytes   = 32 << 20
	DefaultTimeout   = 30 * time.Second
	MaxTimeout       = 120 * time.Second
	DefaultRetention = 24 * time.Hour
	MaxRetention     = 30 * 24 * time.Hour
	DefaultMaxRetry  = 3
	MaxRetryLimit    = 25
	MaxDelay         = 365 * 24 * time.Hour
	maxWebhook       = 63 // bytes of an endpoint's name
)

// Request is one task to hand over: what a line of a batch file and the body
// of POST /v1/tasks hold.
type Request struct {
	Kind    string          `json:"kind"`
	Payload json.RawMessage `json:"payload"`
	Options Options         `json:"options,omitzero"`

	typed typed
}

// typed is what Kind.New made a payload from: it need not be decoded again to
// be validated.
type typed struct {
	kind    string
	payload Payload
	raw     json.RawMessage
}

// isOf reports whether the request's payload is still the very one.
func (t typed) isOf(r Request) bool {
	return t.kind == r.Kind && len(t.raw) > 0 && len(t.raw) == len(r.Payload) && &t.raw[0] == &r.Payload[0]
}

// DecodeRequest reads a Request strictly; errors are *InvalidError. What it
// returns has not been checked yet.
func DecodeRequest(raw []byte) (Request, error) {
	var r Request
	err := decodeStrict(raw, &r)
	return r, err
}

// Check validates the whole request and returns it with the payload in
// canonical form and every default filled in. Errors are *InvalidError.
func (r Request) Check(now time.Time) (Request, error) {
	k, err := Lookup(r.Kind)
	if err != nil {
		return r, err
	}
	if r.typed.isOf(r) {
		if err = checkSize(r.Payload); err == nil {
			err = prefix("payload", r.typed.payload.Validate())
		}
	} else {
		r.Payload, err = k.Check(r.Payload)
	}
	if err != nil {
		return r, err
	}
	r.Options, err = r.Options.check(r.Kind, now)
	return r, err
}

// blobPrefix begins the canonical payload of a document that lies in a blob.
const blobPrefix = `{"source":{"blob":"`

// Blob is the SHA-256 of the uploaded blob that a checked request needs; empty
// if it needs none. It looks at a few bytes only.
func (r Request) Blob() string {
	if r.Kind != DocumentParse.name || !bytes.HasPrefix(r.Payload, []byte(blobPrefix)) {
		return ""
	}
	sha, _, _ := bytes.Cut(r.Payload[len(blobPrefix):], []byte{'"'})
	if !blobPattern.Match(sha) {
		return ""
	}
	return string(sha)
}

// Options are the choices of one call; zero values mean the defaults.
type Options struct {
	// Queue is the kind's own queue or its ":bulk" one; "bulk" is short for it.
	Queue string `json:"queue,omitempty"`
	// Timeout is the hard limit of one attempt, exact to the millisecond.
	Timeout Duration `json:"timeout,omitzero"`
	// MaxRetry is how often a failed attempt is repeated; nil is the default.
	MaxRetry *int `json:"max_retry,omitempty"`
	// In delays the start; At names it. At most one of them may be set.
	In Duration  `json:"in,omitzero"`
	At time.Time `json:"at,omitzero"`
	// ID makes the call idempotent: the same id with the same payload gives the
	// first task, with another payload it is refused.
	ID string `json:"id,omitempty"`
	// Retention is how long the finished task and its result are kept.
	Retention Duration `json:"retention,omitzero"`
	// NoCache runs the task even if an equal one has a stored result.
	NoCache bool `json:"no_cache,omitempty"`
	// Webhook names the endpoint that is called when the task has ended; an
	// operator sets it up.
	Webhook string `json:"webhook,omitempty"`
}

// Option changes one choice of a call.
type Option func(*Options)

// WithQueue chooses the queue ("bulk" for the kind's bulk queue).
func WithQueue(q string) Option { return func(o *Options) { o.Queue = q } }

// WithTimeout sets the hard limit of one attempt.
func WithTimeout(d time.Duration) Option { return func(o *Options) { o.Timeout = Duration(d) } }

// WithMaxRetry sets how often a failed attempt is repeated.
func WithMaxRetry(n int) Option { return func(o *Options) { o.MaxRetry = &n } }

// WithDelay starts the task no earlier than d from now.
func WithDelay(d time.Duration) Option { return func(o *Options) { o.In = Duration(d) } }

// WithStart starts the task no earlier than t.
func WithStart(t time.Time) Option { return func(o *Options) { o.At = t } }

// WithID makes the call idempotent under an id of the caller's.
func WithID(id string) Option { return func(o *Options) { o.ID = id } }

// WithRetention keeps the finished task for d.
func WithRetention(d time.Duration) Option { return func(o *Options) { o.Retention = Duration(d) } }

// WithWebhook has an endpoint called when the task has ended.
func WithWebhook(endpoint string) Option { return func(o *Options) { o.Webhook = endpoint } }

// WithoutCache runs the task even if an equal one has a stored result.
func WithoutCache() Option { return func(o *Options) { o.NoCache = true } }

// ValidID reports whether id can be a task's id: 1 to 128 letters, digits or
// . _ : - of which the first is a letter or digit.
func ValidID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("._:-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func (o Options) check(kind string, now time.Time) (Options, error) {
	var f faults
	switch o.Queue {
	case "", kind:
		o.Queue = Queue(kind)
	case "bulk", BulkQueue(kind):
		o.Queue = BulkQueue(kind)
	default:
		f.add("options.queue", "must be %q or %q, got %q", Queue(kind), BulkQueue(kind), clip(o.Queue, 60))
	}
	if o.Timeout == 0 {
		o.Timeout = Duration(DefaultTimeout)
	}
	if o.Timeout < Duration(time.Millisecond) || o.Timeout > Duration(MaxTimeout) {
		f.add("options.timeout", "must be from 1ms to %s, got %s", MaxTimeout, o.Timeout)
	}
	if o.MaxRetry == nil {
		n := DefaultMaxRetry
		o.MaxRetry = &n
	}
	if *o.MaxRetry < 0 || *o.MaxRetry > MaxRetryLimit {
		f.add("options.max_retry", "must be from 0 to %d, got %d", MaxRetryLimit, *o.MaxRetry)
	}
	if o.Retention == 0 {
		o.Retention = Duration(DefaultRetention)
	}
	if o.Retention < Duration(time.Second) || o.Retention > Duration(MaxRetention) {
		f.add("options.retention", "must be from 1s to %s, got %s", MaxRetention, o.Retention)
	}
	if o.ID != "" && !ValidID(o.ID) {
		f.add("options.id", "must be 1 to 128 letters, digits or . _ : - and begin with a letter or digit, got %q", clip(o.ID, 60))
	}
	if len(o.Webhook) > maxWebhook {
		f.add("options.webhook", "must be the name of an endpoint, at most %d bytes", maxWebhook)
	}
	o.checkStart(&f, now)
	return o, f.err()
}

func (o Options) checkStart(f *faults, now time.Time) {
	if o.In < 0 || o.In > Duration(MaxDelay) {
		f.add("options.in", "must be from 0s to %s, got %s", MaxDelay, o.In)
	}
	if o.At.IsZero() {
		return
	}
	if o.In != 0 {
		f.add("options.at", "must not be set together with options.in")
	}
	if !o.At.Before(now.Add(MaxDelay)) {
		f.add("options.at", "must be within a year, got %s", o.At.Format(time.RFC3339))
	}
}

// Start is when the task may start; zero means at once.
func (o Options) Start(now time.Time) time.Time {
	if o.In > 0 {
		return now.Add(time.Duration(o.In))
	}
	if o.At.After(now) {
		return o.At
	}
	return time.Time{}
}

// Duration is a time.Duration written in JSON as Go writes it ("1.5s").
type Duration time.Duration

// String formats d as Go does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

var durationType = reflect.TypeFor[Duration]()

// UnmarshalJSON reads "1.5s"; a bare number is refused, because its unit
// would be a guess.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	s := strings.TrimSpace(string(raw))
	if s == "null" {
		return nil
	}
	v, err := time.ParseDuration(strings.Trim(s, `"`))
	if err != nil || !strings.HasPrefix(s, `"`) {
		// The decoder adds the field to an error of this type, and to no other.
		return &json.UnmarshalTypeError{Value: s, Type: durationType}
	}
	*d = Duration(v)
	return nil
}
