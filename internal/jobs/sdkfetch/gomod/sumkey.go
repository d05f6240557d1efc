package gomod

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// NeedsKey reports whether GOSUMDB names its database without the key that the
// database's answers are checked with, as its default does.
func NeedsKey(setting string) bool {
	fields := strings.Fields(setting)
	return len(fields) > 0 && fields[0] != "off" && !strings.Contains(fields[0], "+")
}

// CompleteSumDB writes GOSUMDB out in full: with the key of the database that it
// names, and with the address where the name is short for another database's.
// Both are the go command's knowledge, so they are read from its source. A
// setting about which the source says nothing is returned as it is.
func CompleteSumDB(setting string, source []byte) string {
	if !NeedsKey(setting) {
		return setting
	}
	fields := strings.Fields(setting)
	if full := alias(strings.Join(fields, " "), source); len(full) > 0 {
		fields = full
	}
	if key := verifierKey(fields[0], source); key != "" {
		fields[0] = key
		return strings.Join(fields, " ")
	}
	return setting
}

// verifierKey finds the literal "name+hash+key" that is a key of that name.
func verifierKey(name string, source []byte) string {
	prefix := []byte(`"` + name + "+")
	for {
		at := bytes.Index(source, prefix)
		if at < 0 {
			return ""
		}
		source = source[at+1:]
		end := bytes.IndexAny(source, "\"\\\n")
		if end < 0 {
			return ""
		}
		if v, err := note.NewVerifier(string(source[:end])); err == nil && v.Name() == name {
			return string(source[:end])
		}
	}
}

// alias finds what the go command reads in the place of a setting: it says so
// as if gosumdb == "name" { gosumdb = "other address" }.
func alias(setting string, source []byte) []string {
	says := regexp.MustCompile(`gosumdb == "([^"\\\n]{1,300})" \{\s+gosumdb = "([^"\\\n]{1,300})"`)
	for _, found := range says.FindAllSubmatch(source, 20) {
		if string(found[1]) == setting {
			return strings.Fields(string(found[2]))
		}
	}
	return nil
}

// ownAddress is the address that a database's name stands for, nil if the name
// is no host and path.
func ownAddress(name string) *url.URL {
	u, err := url.Parse("https://" + name)
	if err != nil || u.Host == "" || u.RawPath != "" || strings.HasSuffix(name, "/") ||
		*u != (url.URL{Scheme: "https", Host: u.Host, Path: u.Path}) {
		return nil
	}
	return u
}
