package syntax

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

var (
	envPlain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]*$`)
	envLine  = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*`)
)

// encodeDotenv writes NAME=value lines from an object of strings.
func encodeDotenv(data any, notes map[string]string) (string, error) {
	object, ok := data.(*tree.Object)
	if !ok {
		return "", fmt.Errorf("a dotenv file must be an object of strings")
	}
	var b strings.Builder
	if top := comment(notes[""]); top != "" {
		b.WriteString(top + "\n")
	}
	for _, m := range object.Members() {
		line, err := envEntry(m)
		if err != nil {
			return "", err
		}
		b.WriteString(comment(notes["/"+m.Key]) + line + "\n")
	}
	return b.String(), nil
}

func envEntry(m tree.Member) (string, error) {
	value, ok := m.Value.(string)
	if !ok {
		return "", fmt.Errorf("the value of %s must be a string", m.Key)
	}
	if !envLine.MatchString(m.Key + "=") {
		return "", fmt.Errorf("%q cannot be the name of a variable", m.Key)
	}
	if strings.ContainsRune(value, 0) {
		return "", fmt.Errorf("the value of %s must not hold a NUL", m.Key)
	}
	return m.Key + "=" + quoteEnv(value), nil
}

// quoteEnv quotes only where it must. Single quotes come first: in them no
// reader expands $.
func quoteEnv(v string) string {
	switch {
	case envPlain.MatchString(v):
		return v
	case !strings.ContainsAny(v, "'\r\n\\"):
		return "'" + v + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "$", `\$`).Replace(v) + `"`
}

// decodeDotenv reads NAME=value lines; the last value of a name counts.
func decodeDotenv(text string) (any, error) {
	out := tree.New()
	text = strings.TrimPrefix(text, "\ufeff")
	for pos := 0; pos < len(text); {
		rest := text[pos:]
		line, _, _ := strings.Cut(rest, "\n")
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			pos += len(line) + 1
			continue
		}
		m := envLine.FindStringSubmatchIndex(line)
		if m == nil {
			return nil, &ParseError{lineAt(text, int64(pos)), "must be NAME=value or a # comment"}
		}
		value, n, ok := envValue(rest[m[1]:])
		if !ok {
			return nil, &ParseError{lineAt(text, int64(pos)), "a quote is not closed, or more follows it"}
		}
		if out.Len() >= tree.MaxValues {
			return nil, &ParseError{Message: tree.ErrTooBig.Error()}
		}
		out.Set(line[m[2]:m[3]], value)
		pos += m[1] + n
	}
	return out, nil
}

// envValue reads a value and returns how many bytes it took with its line's end.
func envValue(s string) (value string, n int, ok bool) {
	if s == "" || (s[0] != '"' && s[0] != '\'') {
		line, _, _ := strings.Cut(s, "\n")
		value, _, _ = strings.Cut(" "+line, " #")
		return strings.TrimSpace(value), len(line) + 1, true
	}
	quote := s[0]
	end := 1
	for ; end < len(s) && s[end] != quote; end++ {
		if s[end] == '\\' && quote == '"' {
			end++
		}
	}
	if end >= len(s) {
		return "", 0, false
	}
	value = s[1:end]
	if quote == '"' {
		value = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\$`, "$").Replace(value)
	}
	tail, _, _ := strings.Cut(s[end+1:], "\n")
	after := strings.TrimSpace(tail)
	return value, end + 1 + len(tail) + 1, after == "" || after[0] == '#'
}

// editDotenv adds the names a file lacks at its end and replaces the lines of
// values that differ.
func editDotenv(text string, want any) (string, string, error) {
	have, err := decodeDotenv(text)
	if err != nil {
		return "", "", err
	}
	object, ok := want.(*tree.Object)
	if !ok {
		return "", "", fmt.Errorf("a dotenv file must be an object of strings")
	}
	end := newline(text)
	for _, m := range object.Members() {
		old, known := have.(*tree.Object).Get(m.Key)
		if known && old == m.Value {
			continue
		}
		line, err := envEntry(m)
		if err != nil {
			return "", "", err
		}
		if known {
			text = replaceEnv(text, m.Key, line)
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += end
		}
		text += line + end
	}
	return text, "", nil
}

// replaceEnv replaces the entries of one name; the text is known to parse.
func replaceEnv(text, name, entry string) string {
	var b strings.Builder
	for pos := 0; pos < len(text); {
		rest := text[pos:]
		line, _, _ := strings.Cut(rest, "\n")
		size := min(len(line)+1, len(rest))
		m := envLine.FindStringSubmatchIndex(line)
		if m == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(rest[:size])
			pos += size
			continue
		}
		_, n, _ := envValue(rest[m[1]:])
		size = min(m[1]+n, len(rest))
		old := rest[:size]
		if line[m[2]:m[3]] == name {
			old = entry + lineEnd(old)
		}
		b.WriteString(old)
		pos += size
	}
	return b.String()
}

func lineEnd(s string) string { return s[len(strings.TrimRight(s, "\r\n")):] }
