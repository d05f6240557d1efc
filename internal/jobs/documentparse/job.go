package documentparse

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// Collaborators are what the job cannot do alone. Any may be nil; a payload
// that needs it then fails for good and says so.
type Collaborators struct {
	// Parse reads the document, as Parse does, perhaps in another process. Nil
	// means Parse in this one.
	Parse func(context.Context, Input) (tasks.DocumentParseResult, error)
	// Fetch brings the document of a URL.
	Fetch func(ctx context.Context, url string) (Fetched, error)
	// Blob brings bytes from the blob store by their sha256.
	Blob func(ctx context.Context, sha string) ([]byte, error)
	// Index puts a document into the library and returns the token of the
	// write. Putting one again must replace it: a task may run twice.
	Index func(context.Context, library.Document) (string, error)
}

// Job handles tasks of kind document_parse.
type Job struct{ with Collaborators }

// New makes the job.
func New(with Collaborators) *Job {
	if with.Parse == nil {
		with.Parse = Parse
	}
	return &Job{with}
}

// Handle brings the document, parses it and, when asked, indexes it.
func (j *Job) Handle(ctx context.Context, p tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
	var none tasks.DocumentParseResult
	if p.Index && j.with.Index == nil {
		return none, fault.PermanentError(tasks.ReasonRejected, "this worker has no library to index into: leave payload.index out")
	}
	begun := 0.0
	if p.Source.URL != "" {
		begun = 0.4
	}
	in, at, err := j.input(progress.Part(ctx, 0, begun, "fetch the document"), p)
	if err != nil {
		return none, err
	}
	res, err := j.with.Parse(progress.Part(ctx, begun, 0.9, "parse the document"), in)
	if err != nil {
		return none, err
	}
	if at != "" && res.Metadata != nil {
		res.Metadata["final_url"] = at
	}
	if !p.Index {
		return res, nil
	}
	progress.Report(ctx, tasks.Progress{Fraction: 0.9, Message: "index the document"})
	if res.Token, err = j.with.Index(ctx, libraryDocument(p, res, at)); err != nil {
		return none, fmt.Errorf("index document: %w", err)
	}
	return res, nil
}

// input brings the document's bytes. at is the address they came from, if they
// did.
func (j *Job) input(ctx context.Context, p tasks.DocumentParsePayload) (in Input, at string, err error) {
	in = Input{URI: p.URI, ContentType: p.ContentType, Filename: p.Filename, Charset: charsetOf(p.ContentType)}
	switch src := p.Source; {
	case src.Text != "":
		in.Data, in.Charset = []byte(src.Text), "utf-8" // JSON text has no other
	case src.Base64 != "":
		in.Data, err = decodeBase64(src.Base64)
	case src.Blob != "":
		in.Data, err = j.blob(ctx, src.Blob)
	case src.URL != "":
		return j.fetch(ctx, in, src.URL)
	default:
		err = tasks.Invalid("payload.source", "must have exactly one of text, base64, blob, url set and not empty")
	}
	return in, "", err
}

func decodeBase64(s string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, tasks.Invalid("payload.source.base64", "must be standard base64 with padding: "+err.Error())
	}
	return data, nil
}

func (j *Job) blob(ctx context.Context, sha string) ([]byte, error) {
	if j.with.Blob == nil {
		return nil, fault.PermanentError(tasks.ReasonRejected, "this worker has no blob store: send payload.source.text or url instead of blob")
	}
	data, err := j.with.Blob(ctx, sha)
	if err != nil {
		return nil, fmt.Errorf("read blob %.12s: %w", sha, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != sha {
		return nil, fault.PermanentError(tasks.ReasonIntegrity, "the blob's bytes do not match its sha256: store it again")
	}
	return data, nil
}

func (j *Job) fetch(ctx context.Context, in Input, url string) (Input, string, error) {
	if j.with.Fetch == nil {
		return in, "", fault.PermanentError(tasks.ReasonRejected, "this worker does not fetch URLs: send payload.source.text or base64")
	}
	f, err := j.with.Fetch(ctx, url)
	if err != nil {
		return in, "", err
	}
	in.Data = f.Data
	if in.URI == "" {
		in.URI = f.URL
	}
	if in.ContentType == "" {
		in.ContentType = f.ContentType
	}
	if in.Charset == "" {
		in.Charset = charsetOf(f.ContentType)
	}
	return in, f.URL, nil
}

func charsetOf(contentType string) string {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return params["charset"]
}

// libraryDocument is what the library keeps of a result. Without a URI the
// document is named by the URL that was asked for, which stays the same when
// a site moves its pages.
func libraryDocument(p tasks.DocumentParsePayload, r tasks.DocumentParseResult, at string) library.Document {
	d := library.Document{
		URI: p.URI, Collection: p.Collection, Title: r.Title, Language: r.Language,
		ContentType: r.ContentType, URL: at, SHA256: r.SHA256,
	}
	if d.URI == "" {
		d.URI = p.Source.URL
	}
	if d.Collection == "" {
		d.Collection = library.DefaultCollection
	}
	if strings.HasPrefix(d.URI, "http://") || strings.HasPrefix(d.URI, "https://") {
		d.URL = d.URI
	}
	code := map[string][]string{}
	for _, c := range r.Code {
		code[c.Section] = append(code[c.Section], c.Code)
	}
	for _, s := range r.Sections {
		d.Sections = append(d.Sections, library.Section{
			ID: s.ID, Heading: s.Heading, Anchor: s.Anchor, Level: s.Level,
			Body: withoutCode(s.Text, code[s.ID]), Code: strings.Join(code[s.ID], "\n\n"),
		})
	}
	return d
}

// withoutCode takes the blocks of code out of a section's text, where each
// stands, in order, between blank lines.
func withoutCode(text string, blocks []string) string {
	var kept strings.Builder
	for _, code := range blocks {
		code = strings.Trim(code, "\n")
		if code == "" {
			continue
		}
		for from := 0; ; {
			i := strings.Index(text[from:], code)
			if i < 0 {
				break
			}
			i += from
			end := i + len(code)
			if (i == 0 || text[i-1] == '\n') && (end == len(text) || text[end] == '\n') {
				kept.WriteString(strings.TrimRight(text[:i], "\n") + "\n\n")
				text = strings.TrimLeft(text[end:], "\n")
				break
			}
			from = i + 1
		}
	}
	kept.WriteString(text)
	return strings.TrimSpace(kept.String())
}
