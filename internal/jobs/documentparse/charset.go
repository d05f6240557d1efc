package documentparse

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/saintfish/chardet"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

// decoding tells how bytes became text.
type decoding struct {
	charset  string
	source   string // bom, sender, utf-8, meta, detected, default
	replaced int    // bytes or characters that had no meaning
}

// record writes the decoding into the metadata and warns where it was a guess.
func (d decoding) record(b *builder) {
	b.set("charset", d.charset)
	b.set("charset_source", d.source)
	if d.source == "detected" || d.source == "default" {
		b.warn("charset_guess", fmt.Sprintf("no charset was declared; read as %s", d.charset))
	}
	if d.replaced > 0 {
		b.set("replacement_count", d.replaced)
		b.warn("charset_replacement", fmt.Sprintf("%d characters could not be decoded as %s", d.replaced, d.charset))
	}
}

// decodeText turns bytes into valid UTF-8. The ladder, best evidence first: byte
// order mark, the sender's word, an escape sequence of ISO-2022, valid UTF-8, a
// meta element in the first 16 KB, statistics, windows-1252.
func decodeText(data []byte, sender string, isHTML bool) (string, decoding) {
	if name, rest := cutBOM(data); name != "" {
		return decodeAs(rest, name, "bom")
	}
	if sender != "" {
		if enc, name := charset.Lookup(sender); enc != nil && name != "replacement" {
			return decodeAs(data, name, "sender")
		}
	}
	if bytes.Contains(data, []byte("\x1b$")) { // seven bits: it would pass for UTF-8
		return decodeAs(data, "iso-2022-jp", "escape")
	}
	if name := wideWithoutBOM(data); name != "" {
		return decodeAs(data, name, "detected")
	}
	if utf8.Valid(data) {
		return string(data), decoding{charset: "utf-8", source: "utf-8"}
	}
	if name := metaCharset(data); isHTML && name != "" {
		return decodeAs(data, name, "meta")
	}
	return decodeGuess(data, isHTML)
}

// decodeGuess stands on statistics, which beat "broken UTF-8" only when little
// of the text would survive as UTF-8.
func decodeGuess(data []byte, isHTML bool) (string, decoding) {
	if mostlyUTF8(data) {
		return decodeAs(data, "utf-8", "detected")
	}
	if name := guessCharset(data[:min(len(data), 256<<10)], isHTML); name != "" {
		return decodeAs(data, name, "detected")
	}
	return decodeAs(data, "windows-1252", "default")
}

// guessCharset asks the statistics. The detector asks in parallel and leaves equal
// answers in any order; the name decides among them, so that one input always
// has one answer.
func guessCharset(sample []byte, isHTML bool) string {
	const sure = 30
	detector := chardet.NewTextDetector()
	if isHTML {
		detector = chardet.NewHtmlDetector()
	}
	all, err := detector.DetectAll(sample)
	if err != nil {
		return ""
	}
	best := chardet.Result{Confidence: sure - 1}
	for _, r := range all {
		if r.Confidence > best.Confidence || r.Confidence == best.Confidence && best.Charset != "" && r.Charset < best.Charset {
			best = r
		}
	}
	enc, name := charset.Lookup(strings.ReplaceAll(best.Charset, "GB-", "gb"))
	if enc == nil || name == "replacement" {
		return ""
	}
	return name
}

func cutBOM(data []byte) (name string, rest []byte) {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return "utf-8", data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		return "utf-16le", data[2:]
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "utf-16be", data[2:]
	}
	return "", data
}

// wideWithoutBOM recognizes UTF-16 of mostly Latin text by its zero bytes.
func wideWithoutBOM(data []byte) string {
	head := data[:min(len(data), 4096)&^1]
	if len(head) < 16 {
		return ""
	}
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		}
	}
	half := len(head) / 2
	switch {
	case zeros[1]*10 > half*7 && zeros[0]*20 < half:
		return "utf-16le"
	case zeros[0]*10 > half*7 && zeros[1]*20 < half:
		return "utf-16be"
	}
	return ""
}

// mostlyUTF8 reports text with many multi-byte sequences of which nearly all are
// right: UTF-8 with a few damaged bytes.
func mostlyUTF8(data []byte) bool {
	good, bad := 0, 0
	for p := data; len(p) > 0; {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n > 1:
			good++
		}
		p = p[n:]
	}
	return good > 10*bad
}

var metaPattern = regexp.MustCompile(`(?i)<meta\s[^>]{0,300}?charset\s*=\s*["']?\s*([a-z0-9_:.-]{2,40})|^<\?xml[^>]{0,200}?encoding\s*=\s*["']([a-z0-9_:.-]{2,40})`)

func metaCharset(data []byte) string {
	m := metaPattern.FindSubmatch(data[:min(len(data), 16<<10)])
	if m == nil {
		return ""
	}
	enc, name := charset.Lookup(string(m[1]) + string(m[2]))
	if enc == nil || name == "replacement" || strings.HasPrefix(name, "utf-16") {
		return "" // it was readable as ASCII, so it is not UTF-16
	}
	return name
}

// decodeAs decodes data and counts what had to be replaced.
func decodeAs(data []byte, name, source string) (string, decoding) {
	d := decoding{charset: name, source: source}
	enc, _ := charset.Lookup(name)
	if name == "utf-8" || enc == nil || enc == encoding.Nop {
		before := bytes.Count(data, []byte("\uFFFD"))
		text := string(bytes.ToValidUTF8(data, []byte("\uFFFD")))
		d.replaced = strings.Count(text, "\uFFFD") - before
		return text, d
	}
	out, err := enc.NewDecoder().Bytes(data)
	if err != nil { // the table decoders replace instead of failing; be safe all the same
		out = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	text := strings.ToValidUTF8(string(out), "\uFFFD")
	d.replaced = strings.Count(text, "\uFFFD")
	return text, d
}

// cleanText drops control characters that no format uses and makes line ends
// one.
func cleanText(s string) string {
	if strings.Contains(s, "\r") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	if strings.IndexFunc(s, isJunk) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\f' || r == '\v' || r == '\u0085':
			return '\n'
		case isJunk(r):
			return -1
		}
		return r
	}, s)
}

func isJunk(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\uFEFF'
}
