package results

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/jobyard/jobyard/internal/reuse"
	"github.com/jobyard/jobyard/internal/trace"
)

// encode writes the message that asynq keeps of a task. asynq exports no
// encoder; its client, run against a catcher, gives the same bytes at 30 times
// the cost. TestEncode_WritesWhatAsynqWrites fails if asynq's form changes.
func encode(a *Admission) []byte {
	r, o := &a.Request, &a.Request.Options
	limit := (time.Duration(o.Timeout) + TimeoutGrace).Round(time.Second)
	b := make([]byte, 0, len(a.ID)+len(r.Kind)+len(r.Payload)+len(o.Queue)+96)
	b = appendText(b, 1, r.Kind)
	if len(r.Payload) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), r.Payload)
	}
	b = appendText(b, 3, a.ID)
	b = appendText(b, 4, o.Queue)
	b = appendNumber(b, 5, int64(*o.MaxRetry))
	b = appendNumber(b, 8, int64(limit.Seconds()))
	b = appendNumber(b, 12, retentionSeconds(o))
	if a.bundle {
		b = appendHeader(b, HeaderBundle, "1")
	}
	if len(r.Payload) == 0 {
		b = appendHeader(b, HeaderPayload, "beside")
	}
	if o.NoCache && !a.bundle && reuse.Ever(r.Kind) {
		b = appendHeader(b, HeaderNoCache, "1")
	}
	return appendTrace(appendHeader(b, HeaderTimeout, o.Timeout.String()), a)
}

// HeaderLink carries the traceparent of a task that was handed over with
// others; one that was handed over alone has the W3C headers.
const HeaderLink = "jobyard-link"

// appendTrace writes where in a trace the task was handed over, if anywhere.
func appendTrace(b []byte, a *Admission) []byte {
	switch {
	case a.Trace.Parent == "":
		return b
	case a.Linked:
		return appendHeader(b, HeaderLink, a.Trace.Parent)
	}
	b = appendHeader(b, trace.ParentHeader, a.Trace.Parent)
	if a.Trace.State != "" {
		b = appendHeader(b, trace.StateHeader, a.Trace.State)
	}
	return b
}

// TraceOf reads from a task's headers the place that its attempts are below, or
// the one that they are linked to.
func TraceOf(headers map[string]string) (above, link trace.Carried) {
	if parent := headers[trace.ParentHeader]; parent != "" {
		above = trace.Read(parent, headers[trace.StateHeader])
	}
	if parent := headers[HeaderLink]; parent != "" {
		link = trace.Read(parent, "")
	}
	return above, link
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

// appendNumber leaves zero out, as protobuf does.
func appendNumber(b []byte, field protowire.Number, n int64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(n))
}

// appendHeader writes an entry of the headers: a message of a key and a value.
func appendHeader(b []byte, key, value string) []byte {
	const tags = 2 // one byte each
	size := tags + protowire.SizeBytes(len(key)) + protowire.SizeBytes(len(value))
	b = protowire.AppendVarint(protowire.AppendTag(b, 15, protowire.BytesType), uint64(size))
	return appendText(appendText(b, 1, key), 2, value)
}
