package monitor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	// maskedText stands where a secret was.
	maskedText = "••••••"
	// maxString bounds one text of a payload, maxDocument a whole one.
	maxString, maxDocument = 2000, 32 << 10
)

var (
	// secretName matches names of fields whose value is not shown: DB_PASSWORD,
	// apiKey, authorization. One that only says something about a secret
	// (token_url, password_file) is shown.
	secretName = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|pwd|secrets?|tokens?|credentials?|authorization|cookie|dsn|bearer|signature|(api|private|access|secret|auth|encryption|signing|master|session|ssh|deploy)[_-]?keys?)$`)
	countName  = regexp.MustCompile(`(?i)(max|min|num|count|total)[_-]?tokens?$`)
	// secretValue matches secrets within a text, whatever its field is named.
	secretValue = regexp.MustCompile(strings.Join([]string{
		`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`,
		`(?i)\b(?:bearer|basic)\s+[a-z0-9+/._~-]{12,}=*`,
		`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|npm_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16})\b`,
		`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`,
		`(?i)\b(?:password|passwd|pwd|secret|token|api[_-]?key)\s*[=:]\s*[^\s,;&"']{4,}`,
	}, "|"))
	// secretPart matches a password in an address; the address itself is shown.
	secretPart = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:)[^/\s@]+@`)
)

// masked writes JSON for people, indented, without what looks like a secret and
// without the rest of what is long. What is no JSON is shown as a text. It also
// returns how many secrets were left out.
func masked(raw []byte) (text string, hidden int) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.Decode(new(any)) != io.EOF {
		m := masker{}
		return m.text(string(raw), maxDocument), m.hidden
	}
	m := masker{}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m.value(v, false)); err != nil {
		return "", m.hidden
	}
	return clip(strings.TrimSuffix(out.String(), "\n"), maxDocument), m.hidden
}

type masker struct{ hidden int }

// value masks a JSON value; secret tells that its field's name is that of one.
func (m *masker) value(v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, field := range v {
			out[name] = m.value(field, secret || secretName.MatchString(name) && !countName.MatchString(name))
		}
		return out
	case []any:
		for i := range v {
			v[i] = m.value(v[i], secret)
		}
		return v
	case string:
		if secret && v != "" {
			m.hidden++
			return maskedText
		}
		return m.text(v, maxString)
	case json.Number:
		if secret {
			m.hidden++
			return maskedText
		}
	}
	return v
}

// text masks the secrets within a text, and then cuts it.
func (m *masker) text(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = secretValue.ReplaceAllStringFunc(s, func(string) string { m.hidden++; return maskedText })
	s = secretPart.ReplaceAllStringFunc(s, func(found string) string {
		m.hidden++
		return secretPart.ReplaceAllString(found, "${1}"+maskedText+"@")
	})
	return clip(s, most)
}

// clip cuts a text after most bytes and says how long it was.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + fmt.Sprintf("… (the first %d of %d bytes)", end, len(s))
}
