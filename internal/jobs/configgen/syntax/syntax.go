// Package syntax reads, writes and edits configuration files of five formats:
// json, jsonc, yaml, toml and dotenv.
//
// It promises that what Encode writes, Decode reads back as the same data;
// that strings stay strings for every reader we know of (YAML 1.1 ones too);
// and that Edit changes only what must change, keeping comments and the order
// of keys. Texts may be hostile: nesting and size are bounded.
package syntax

import (
	"fmt"
	"strings"
)

// Syntax is one format.
type Syntax struct {
	// Encode writes data as a whole file. Notes are comments by the JSON
	// pointer of what they stand above ("" is the top); formats without
	// comments leave them out.
	Encode func(data any, notes map[string]string) (string, error)
	// Decode reads a file; a fault of the text is a *ParseError.
	Decode func(text string) (any, error)
	// Edit changes a file so that it holds data, as little as it can. A remark
	// says what was lost on the way; it is empty if nothing was.
	Edit func(text string, data any) (edited, remark string, err error)
}

// Of finds a format's syntax. Formats that hold no data (js, text) have none.
func Of(format string) (Syntax, bool) {
	switch format {
	case "json", "jsonc":
		return Syntax{encodeJSON, decodeJSON, editJSON}, true
	case "yaml":
		return Syntax{encodeYAML, decodeYAML, editYAML}, true
	case "toml":
		return Syntax{encodeTOML, decodeTOML, editTOML}, true
	case "dotenv":
		return Syntax{encodeDotenv, decodeDotenv, editDotenv}, true
	}
	return Syntax{}, false
}

// ParseError is a fault of a text.
type ParseError struct {
	Line    int // counted from 1; 0 if it is not known
	Message string
}

// Error names the line.
func (e *ParseError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// lineAt is the line of a byte.
func lineAt(text string, offset int64) int {
	offset = max(0, min(offset, int64(len(text))))
	return 1 + strings.Count(text[:offset], "\n")
}

// newline is the line break that a text uses.
func newline(text string) string {
	if strings.Contains(text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// EditLines adds the lines of wanted that text lacks, at its end: for lists as
// .gitignore. Blank lines and comments of wanted are not added.
func EditLines(text, wanted string) string {
	have := map[string]bool{}
	for line := range strings.Lines(text) {
		have[strings.TrimSpace(line)] = true
	}
	end := newline(text)
	for line := range strings.Lines(wanted) {
		line = strings.TrimSpace(line)
		if line == "" || have[line] || strings.HasPrefix(line, "#") {
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += end
		}
		text += line + end
	}
	return text
}
