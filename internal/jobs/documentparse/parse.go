package documentparse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Input is one document as Parse takes it. It crosses a process border as JSON.
type Input struct {
	Data []byte `json:"data"`
	// URI is the base of relative links, if it is a URL.
	URI string `json:"uri,omitempty"`
	// ContentType and Filename are the sender's word about the format.
	ContentType string `json:"content_type,omitempty"`
	Filename    string `json:"filename,omitempty"`
	// Charset is the sender's word about the encoding, as "shift_jis".
	Charset string `json:"charset,omitempty"`
}

// Parse reads one document. It is deterministic and touches nothing but its
// input. Errors are faults: too_large, invalid (binary input), rejected (a
// format that is known but not supported), or the end of ctx.
func Parse(ctx context.Context, in Input) (tasks.DocumentParseResult, error) {
	var none tasks.DocumentParseResult
	if len(in.Data) > maxInput {
		return none, fault.PermanentError(tasks.ReasonTooLarge,
			"the document has %d bytes; the limit is %d: send it in parts", len(in.Data), maxInput)
	}
	progress.Report(ctx, tasks.Progress{}) // from here on it counts as begun
	f, err := detectFormat(in)
	if err != nil {
		return none, err
	}
	text, cs := decodeText(in.Data, in.Charset, f == formatHTML)
	if err := checkText(text); err != nil {
		return none, err
	}
	f = refineFormat(f, in, text)
	sum := sha256.Sum256(in.Data)
	b := newBuilder(hex.EncodeToString(sum[:]), newLinkBase(in.URI))
	cs.record(b)
	b.filename = in.baseName()
	text = cleanText(text)
	b.report, b.source = progress.Of(ctx), len(text)
	reading, step := trace.Start(ctx, trace.Within, "read", string(f))
	err = read(reading, b, f, text, in)
	step.End()
	if err != nil {
		return none, fmt.Errorf("parse %s: %w", f, err)
	}
	if err := ctx.Err(); err != nil {
		return none, context.Cause(ctx)
	}
	_, step = trace.Start(ctx, trace.Within, "lay out", "")
	defer step.End()
	return b.result(f), nil
}

// read fills b from a decoded text.
func read(ctx context.Context, b *builder, f format, text string, in Input) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	switch f {
	case formatMarkdown, formatMDX:
		return readMarkdown(ctx, b, text, f == formatMDX)
	case formatHTML:
		return readHTML(ctx, b, text)
	case formatOpenAPI:
		return readOpenAPI(ctx, b, text)
	case formatJSON:
		readCode(b, text, "json")
	case formatCode:
		readCode(b, text, codeLanguage(in.name()))
	default:
		readPlain(b, text)
	}
	return nil
}
