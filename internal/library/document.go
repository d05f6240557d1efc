package library

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Document is what the library keeps of a document: enough to search it and to
// lead back to it. URI and Collection identify it; putting it again replaces it.
type Document struct {
	URI         string    `json:"uri"`
	Collection  string    `json:"collection"` // empty means DefaultCollection
	Title       string    `json:"title"`
	Language    string    `json:"language"` // ISO 639-1, empty if unknown
	ContentType string    `json:"content_type"`
	URL         string    `json:"url"` // where a reader finds it; often the URI
	SHA256      string    `json:"sha256"`
	Sections    []Section `json:"sections"`
}

// Section is one heading of a document with what stands below it.
type Section struct {
	ID      string `json:"id"` // unique in the document
	Heading string `json:"heading"`
	Anchor  string `json:"anchor"`
	Level   int    `json:"level"`
	Body    string `json:"body"` // plain text without the code
	Code    string `json:"code"` // the section's code blocks, joined
}

// DefaultCollection is where a document without a collection goes.
const DefaultCollection = "default"

// Bounds of a document.
const (
	MaxDocumentBytes = 8 << 20 // encoded as JSON
	MaxSectionBytes  = 1 << 20 // heading, body and code together
	MaxSections      = 10_000
	maxURIBytes      = 2048
	maxTitleBytes    = 4096
	maxLabelBytes    = 255
)

var collectionPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// check reports what keeps the document out of the library: a permanent fault
// that names the field.
func (d *Document) check() error {
	if err := checkID(d.Collection, d.URI); err != nil {
		return err
	}
	if len(d.Sections) > MaxSections {
		return fault.PermanentError(tasks.ReasonTooLarge,
			"the document has %d sections and %d are allowed; split it", len(d.Sections), MaxSections)
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{
		{"title", d.Title, maxTitleBytes}, {"url", d.URL, maxURIBytes}, {"language", d.Language, maxLabelBytes},
		{"content_type", d.ContentType, maxLabelBytes}, {"sha256", d.SHA256, maxLabelBytes},
	} {
		if len(f.value) > f.limit {
			return fault.PermanentError(tasks.ReasonTooLarge,
				"the document's %s has %d bytes and %d are allowed", f.name, len(f.value), f.limit)
		}
	}
	for i, s := range d.Sections {
		if n := len(s.Heading) + len(s.Body) + len(s.Code); n > MaxSectionBytes {
			return fault.PermanentError(tasks.ReasonTooLarge,
				"section %d (%s) has %d bytes and %d are allowed; divide it by headings", i, fault.Clean(s.ID, 60), n, MaxSectionBytes)
		}
		if len(s.ID) > maxURIBytes || len(s.Anchor) > maxURIBytes {
			return fault.PermanentError(tasks.ReasonTooLarge,
				"the id or anchor of section %d is longer than %d bytes", i, maxURIBytes)
		}
	}
	return nil
}

func checkID(collection, uri string) error {
	switch {
	case !collectionPattern.MatchString(collection):
		return tasks.Invalid("collection", fmt.Sprintf(
			"must be 1 to 64 lower-case letters, digits or . _ - and begin with a letter or digit, got %.60q", collection))
	case uri == "" || len(uri) > maxURIBytes:
		return tasks.Invalid("uri", fmt.Sprintf("must have 1 to %d bytes, got %d", maxURIBytes, len(uri)))
	case !utf8.ValidString(uri) || strings.ContainsAny(uri, "\x00\r\n"):
		return tasks.Invalid("uri", "must be one line of valid UTF-8")
	}
	return nil
}

// documentID joins what identifies a document; no collection holds a slash.
func documentID(collection, uri string) string { return collection + "/" + uri }

func inCollection(name string) string {
	if name == "" {
		return DefaultCollection
	}
	return name
}
