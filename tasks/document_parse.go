package tasks

import (
	"net/url"
	"regexp"
	"strings"
)

// DocumentParsePayload is one document to parse.
type DocumentParsePayload struct {
	Source DocumentSource `json:"source"`
	// URI names the document in the library and is the base of relative links.
	URI string `json:"uri,omitempty"`
	// ContentType is the sender's word, as "text/html; charset=utf-8".
	ContentType string `json:"content_type,omitempty"`
	// Filename helps to tell the format.
	Filename string `json:"filename,omitempty"`
	// Collection is where Index puts the document; empty means "default".
	Collection string `json:"collection,omitempty"`
	// Index puts the document into the library. It needs a URI, unless the
	// source is a URL.
	Index bool `json:"index,omitempty"`
}

// DocumentSource is where the bytes are: exactly one field is set.
type DocumentSource struct {
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty"`
	Blob   string `json:"blob,omitempty"` // a sha256 in the blob store
	URL    string `json:"url,omitempty"`
}

var (
	namePattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	tokenPattern = regexp.MustCompile(`^[0-9]{1,20}-[0-9]{1,20}$`)
	blobPattern  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkName checks the name of a collection or template; empty is allowed.
func checkName(f *faults, path, name string) {
	f.check(name == "" || namePattern.MatchString(name), path,
		"must be 1 to 64 lower-case letters, digits or . _ - and begin with a letter or digit, got %q", clip(name, 60))
}

// Validate implements Payload.
func (p DocumentParsePayload) Validate() error {
	var f faults
	set := 0
	for _, v := range []string{p.Source.Text, p.Source.Base64, p.Source.Blob, p.Source.URL} {
		if v != "" {
			set++
		}
	}
	f.check(set == 1, "source", "must have exactly one of text, base64, blob, url set and not empty, got %d", set)
	f.check(p.Source.Blob == "" || blobPattern.MatchString(p.Source.Blob), "source.blob", "must be 64 hexadecimal digits")
	if p.Source.URL != "" {
		u, err := url.Parse(p.Source.URL)
		f.check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "source.url",
			"must be an absolute http or https address, got %q", clip(p.Source.URL, 80))
		f.check(err != nil || u.User == nil, "source.url", "must not hold a user name or password")
	}
	f.check(len(p.URI) <= 2048, "uri", "must not be over 2048 bytes, got %d", len(p.URI))
	f.check(!strings.ContainsAny(p.URI, "\x00\r\n"), "uri", "must be one line")
	f.check(len(p.ContentType) <= 255, "content_type", "must not be over 255 bytes, got %d", len(p.ContentType))
	f.check(len(p.Filename) <= 255, "filename", "must not be over 255 bytes, got %d", len(p.Filename))
	checkName(&f, "collection", p.Collection)
	f.check(!p.Index || p.URI != "" || p.Source.URL != "", "uri", "must be set when index is, so that the document can be found and replaced")
	return f.err()
}

// DocumentParseResult is a parsed document. Everything in it is valid UTF-8.
type DocumentParseResult struct {
	Title       string `json:"title"`
	Language    string `json:"language"`     // ISO 639-1, empty if unknown
	ContentType string `json:"content_type"` // what it was parsed as, as text/markdown
	// Sections cover the whole text in order; level 0 is what stands before
	// the first heading.
	Sections []DocumentSection `json:"sections"`
	// Markdown is the document as Markdown, Text as plain text.
	Markdown string          `json:"markdown"`
	Text     string          `json:"text"`
	Links    []DocumentLink  `json:"links"`
	Code     []DocumentCode  `json:"code"`
	Tables   []DocumentTable `json:"tables"`
	// Metadata: author, description, published, charset, charset_source,
	// front matter and the like.
	Metadata map[string]any    `json:"metadata"`
	Words    int               `json:"words"`
	SHA256   string            `json:"sha256"` // of the input's bytes
	Chunks   []DocumentChunk   `json:"chunks"`
	Warnings []DocumentWarning `json:"warnings"`
	// Token is the place in the corpus log after which a search sees the
	// document; only set by index.
	Token string `json:"token,omitempty"`
}

// DocumentSection is a heading and the text up to the next one.
type DocumentSection struct {
	ID      string `json:"id"`
	Level   int    `json:"level"` // 1 to 6; 0 before the first heading
	Heading string `json:"heading"`
	Anchor  string `json:"anchor"`
	Text    string `json:"text"`
}

// DocumentLink is one link.
type DocumentLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// DocumentCode is one block of code.
type DocumentCode struct {
	Language string `json:"language"`
	Code     string `json:"code"`
	Section  string `json:"section"` // the id of its section
}

// DocumentTable is one table.
type DocumentTable struct {
	Header  []string   `json:"header"`
	Rows    [][]string `json:"rows"`
	Section string     `json:"section"`
}

// DocumentChunk is a piece of text of a bounded number of tokens.
type DocumentChunk struct {
	ID      string `json:"id"`
	Section string `json:"section"`
	Text    string `json:"text"`
	Tokens  int    `json:"tokens"` // an estimate
}

// DocumentWarning tells what was cut or guessed.
type DocumentWarning struct {
	Code   string `json:"code"` // truncated, charset_guess, nesting_limit, …
	Detail string `json:"detail"`
}
