package documentparse

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// format is how a document is read; its string is metadata.format.
type format string

const (
	formatMarkdown format = "markdown"
	formatMDX      format = "mdx"
	formatHTML     format = "html"
	formatText     format = "text"
	formatJSON     format = "json"
	formatYAML     format = "yaml" // becomes openapi or code
	formatOpenAPI  format = "openapi"
	formatCode     format = "code"
	formatUnknown  format = "" // text whose content must tell
)

const worksWith = "send Markdown, MDX, HTML, plain text, source code, JSON or OpenAPI"

// contentType is the media type of the result.
func (f format) contentType() string {
	switch f {
	case formatMarkdown:
		return "text/markdown"
	case formatMDX:
		return "text/mdx"
	case formatHTML:
		return "text/html"
	case formatJSON:
		return "application/json"
	case formatOpenAPI:
		return "application/openapi"
	}
	return "text/plain"
}

// baseName is the best file name that in knows, possibly of its URI.
func (in Input) baseName() string {
	if in.Filename != "" {
		return path.Base(strings.ReplaceAll(in.Filename, `\`, "/"))
	}
	if u, err := url.Parse(in.URI); err == nil {
		if base := path.Base(u.Path); base != "/" && base != "." {
			return base
		}
	}
	return ""
}

// name is baseName for comparisons.
func (in Input) name() string { return strings.ToLower(in.baseName()) }

// detectFormat chooses the format from the bytes' signature, the sender's
// content type and the name, in this order. It refuses binary formats.
func detectFormat(in Input) (format, error) {
	if err := refuseBinary(in.Data); err != nil {
		return "", err
	}
	if startsLikeHTML(in.Data) {
		return formatHTML, nil
	}
	if f := formatOfType(in.ContentType); f != formatUnknown {
		return f, nil
	}
	return formatOfName(in.name()), nil
}

// refuseBinary tells apart formats that are known but not read here
// (rejected) and bytes that are no document at all (invalid). Signatures of a
// few letters, as "BM", also begin texts: whatever is clean UTF-8 passes.
func refuseBinary(data []byte) error {
	m := mimetype.Detect(data)
	for p := m; p != nil; p = p.Parent() {
		if p.Is("text/plain") && !m.Is("text/rtf") {
			return nil
		}
		for mediaType, name := range unsupported {
			if p.Is(mediaType) {
				return fault.PermanentError(tasks.ReasonRejected, "%s documents are not supported: convert it, or %s", name, worksWith)
			}
		}
	}
	head := data[:min(len(data), 64<<10)]
	if m.Is("application/octet-stream") || looksTextual(head) {
		return nil // checkText looks at the decoded text
	}
	return binaryInput(m.String())
}

// unsupported names formats that users rightly take for documents.
var unsupported = map[string]string{
	"application/pdf": "PDF", "text/rtf": "RTF", "application/epub+zip": "EPUB", "application/postscript": "PostScript",
	"application/msword": "Word", "application/vnd.ms-excel": "Excel", "application/vnd.ms-powerpoint": "PowerPoint",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   "DOCX",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         "XLSX",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": "PPTX",
	"application/vnd.oasis.opendocument.text":                                   "OpenDocument",
}

func binaryInput(what string) error {
	return tasks.Invalid("payload.source", fmt.Sprintf("must be a text document, got %s: %s", what, worksWith))
}

func looksTextual(head []byte) bool {
	for len(head) > 0 && !utf8.RuneStart(head[len(head)-1]) {
		head = head[:len(head)-1]
	}
	if n := len(head); n > 0 && head[n-1] >= utf8.RuneSelf {
		head = head[:n-1]
	}
	return utf8.Valid(head) && bytes.IndexByte(head, 0) < 0
}

// checkText refuses decoded bytes that are mostly no text.
func checkText(text string) error {
	bad, n := 0, 0
	for _, r := range text[:min(len(text), 256<<10)] {
		n++
		if r == utf8.RuneError || r < ' ' && !strings.ContainsRune("\t\n\r\f\x1b", r) {
			bad++
		}
	}
	if bad > 16 && bad*4 > n {
		return binaryInput("binary data")
	}
	return nil
}

var htmlStart = regexp.MustCompile(`(?i)^(?:<\?xml[^>]*\?>|<!--(?s:.*?)-->|\s)*<(?:!doctype\s+html|html|head|body)[\s>]`)

func startsLikeHTML(data []byte) bool {
	head := bytes.TrimPrefix(data[:min(len(data), 4<<10)], []byte("\xef\xbb\xbf"))
	return htmlStart.Match(head)
}

// formatOfType reads a content type. Types that servers give to everything
// (text/plain, octet-stream) say nothing.
func formatOfType(contentType string) format {
	mt, _, err := mime.ParseMediaType(contentType)
	if err != nil && mt == "" {
		mt, _, _ = strings.Cut(contentType, ";")
	}
	switch mt = strings.ToLower(strings.TrimSpace(mt)); {
	case mt == "text/html", mt == "application/xhtml+xml":
		return formatHTML
	case mt == "text/markdown", mt == "text/x-markdown":
		return formatMarkdown
	case mt == "text/mdx":
		return formatMDX
	case mt == "application/json", strings.HasSuffix(mt, "+json"):
		return formatJSON
	case mt == "application/yaml", mt == "text/yaml", mt == "application/x-yaml", mt == "text/x-yaml",
		strings.HasSuffix(mt, "+yaml"), mt == "application/vnd.oai.openapi":
		return formatYAML
	}
	return formatUnknown
}

func formatOfName(name string) format {
	switch strings.TrimPrefix(path.Ext(name), ".") {
	case "md", "markdown", "mdown", "mkd":
		return formatMarkdown
	case "mdx":
		return formatMDX
	case "html", "htm", "xhtml":
		return formatHTML
	case "json":
		return formatJSON
	case "yaml", "yml":
		return formatYAML
	case "txt":
		// llms.txt, the index that sites write for language models, is Markdown.
		if strings.HasPrefix(name, "llms") {
			return formatMarkdown
		}
		return formatText
	}
	if codeLanguage(name) != "" {
		return formatCode
	}
	return formatUnknown
}

var (
	openAPIKey  = regexp.MustCompile(`(?m)^["']?(?:openapi|swagger)["']?\s*:\s*["']?[23]\.\d`)
	openAPIJSON = regexp.MustCompile(`"(?:openapi|swagger)"\s*:\s*"[23]\.\d`)
	esmImport   = regexp.MustCompile(`(?m)^import\s[^\n]{0,300}\sfrom\s+['"][^'"\n]+['"]`)
	component   = regexp.MustCompile(`(?m)^\s{0,8}</?[A-Z][A-Za-z.]*[\s/>]`)
	fenceLine   = regexp.MustCompile("(?m)^ {0,3}(?:```|~~~)")
	atxLine     = regexp.MustCompile(`(?m)^#{1,6} +\S`)
	inlineLink  = regexp.MustCompile(`\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)`)
	htmlTags    = regexp.MustCompile(`(?i)<(?:p|div|h[1-6]|table|ul|article|section|span)[\s>]`)
)

// refineFormat settles what needs the decoded text: OpenAPI, MDX that is named
// .md, and documents nobody has named.
func refineFormat(f format, in Input, text string) format {
	head := text[:min(len(text), 64<<10)]
	switch f {
	case formatJSON, formatYAML:
		return refineData(f, in, head)
	case formatMarkdown:
		if esmImport.MatchString(head) && component.MatchString(text) {
			return formatMDX
		}
	case formatUnknown:
		return guessFormat(in, head)
	}
	return f
}

func refineData(f format, in Input, head string) format {
	isObject := strings.HasPrefix(strings.TrimSpace(head), "{")
	if isObject && openAPIJSON.MatchString(head) || !isObject && openAPIKey.MatchString(head) {
		return formatOpenAPI
	}
	if f == formatJSON || codeLanguage(in.name()) == "json" {
		return formatJSON
	}
	return formatCode
}

func guessFormat(in Input, head string) format {
	trimmed := strings.TrimSpace(head)
	if trimmed == "" {
		return formatText
	}
	switch first := trimmed[0]; {
	case first == '{', first == '[' && !inlineLink.MatchString(trimmed[:min(len(trimmed), 600)]):
		if startsJSON.MatchString(trimmed) {
			return refineData(formatJSON, in, head)
		}
	case openAPIKey.MatchString(head):
		return formatOpenAPI
	}
	signs := 0
	for _, sign := range []*regexp.Regexp{fenceLine, atxLine, inlineLink} {
		if sign.MatchString(head) {
			signs++
		}
	}
	if signs >= 2 || strings.HasPrefix(trimmed, "# ") || strings.HasPrefix(trimmed, "---\n") && signs == 1 {
		return formatMarkdown
	}
	if trimmed[0] == '<' && htmlTags.MatchString(trimmed) {
		return formatHTML
	}
	return formatText
}

var startsJSON = regexp.MustCompile(`^(?:\{\s*(?:"|\})|\[\s*(?:[\["{\]0-9-]|true|false|null))`)
