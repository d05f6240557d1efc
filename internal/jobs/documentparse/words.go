package documentparse

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/abadojack/whatlanggo"
)

// isIdeographic reports characters of scripts that put no spaces between words.
func isIdeographic(r rune) bool {
	return r >= 0x2E80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// countWords counts runs of letters and digits, and each Han, Hiragana or
// Katakana character as one word, as word processors do.
func countWords(s string) int {
	n := 0
	inWord := false
	for _, r := range s {
		switch {
		case isIdeographic(r):
			n++
			inWord = false
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if !inWord {
				n++
			}
			inWord = true
		case r == '\'' || r == '’' || r == '_' || unicode.Is(unicode.M, r):
			// stays in the word
		default:
			inWord = false
		}
	}
	return n
}

// detectLanguage tells the language as ISO 639-1. Kana and Hangul decide alone;
// otherwise trigrams, if they are sure or the text is long, else what the
// document declares.
func detectLanguage(prose, declared string) string {
	letters, kana, hangul, han := 0, 0, 0, 0
	for _, r := range prose {
		switch {
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			kana++
		case unicode.Is(unicode.Hangul, r):
			hangul++
		case unicode.Is(unicode.Han, r):
			han++
		case !unicode.IsLetter(r):
			continue
		}
		letters++
	}
	declared = languageCode(declared)
	switch {
	case letters == 0:
		return declared
	case kana*20 > letters:
		return "ja"
	case hangul*5 > letters:
		return "ko"
	case han*5 > letters:
		return "zh"
	}
	info := whatlanggo.DetectWithOptions(prose, whatlanggo.Options{Blacklist: impossible(prose)})
	code := info.Lang.Iso6391()
	if info.Confidence == 0 { // a tie, which map order would decide
		code = ""
	}
	if code != "" && (info.IsReliable() && letters >= 40 || letters >= 200) {
		return code
	}
	if declared != "" {
		return declared
	}
	if letters < 20 {
		return ""
	}
	return code
}

// impossible lists the languages that a text's letters rule out, where trigrams
// are known to take one neighbor for another.
func impossible(prose string) map[whatlanggo.Lang]bool {
	out := map[whatlanggo.Lang]bool{}
	if strings.ContainsAny(prose, "щъьюяйЩЪЬЮЯЙыэёЫЭЁ") {
		out[whatlanggo.Mkd], out[whatlanggo.Srp] = true, true
	}
	if strings.ContainsAny(prose, "ыэёЫЭЁ") {
		out[whatlanggo.Bul], out[whatlanggo.Ukr] = true, true
	}
	if strings.Contains(prose, "ij") { // Afrikaans writes y
		out[whatlanggo.Afr] = true
	}
	return out
}

// languageCode reduces en-US or en_US to en; what is no such tag gives "".
func languageCode(tag string) string {
	tag, _, _ = strings.Cut(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(tag)), "_", "-"), "-")
	if len(tag) != 2 || strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz") != "" {
		return ""
	}
	return tag
}

// fold makes one line of s with single spaces.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

// clip cuts s at n bytes without splitting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:max(n, 0)]
}

// trimBlankLines drops blank lines around s, but no indentation.
func trimBlankLines(s string) string {
	for {
		line, rest, ok := strings.Cut(s, "\n")
		if !ok || strings.TrimSpace(line) != "" {
			break
		}
		s = rest
	}
	return strings.TrimRight(s, " \t\n")
}
