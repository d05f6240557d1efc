// Package license tells which license a text is, as an SPDX identifier.
//
// It looks for the sentences that make a license what it is, not for likeness,
// so a changed text is unknown rather than mistaken. It promises nothing in law.
package license

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"unicode"
)

// maxText bounds what is looked at; the longest license here has 35 KB.
const maxText = 256 << 10

// maxTitle is how far into a text the name of a GNU license counts: all of them
// name each other further down.
const maxTitle = 400

// rule recognizes one license in a normalized text.
type rule struct {
	id string
	// all must be there, none must not.
	all, none []string
	// title restricts the search to the beginning.
	title bool
}

func rules() []rule {
	const (
		mit  = "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files"
		keep = "copyright notice and this permission notice shall be included in all copies"
		bsd  = "redistribution and use in source and binary forms with or without modification are permitted provided that the following conditions are met"
		name = "endorse or promote products derived from"
		ads  = "all advertising materials mentioning features"
		isc  = "software for any purpose with or without fee is hereby granted"
	)
	return []rule{
		{id: "MIT", all: []string{mit, keep}},
		{id: "MIT-0", all: []string{mit}, none: []string{keep}},
		{id: "BSD-4-Clause", all: []string{bsd, ads}},
		{id: "BSD-3-Clause", all: []string{bsd, name}, none: []string{ads}},
		{id: "BSD-2-Clause", all: []string{bsd}, none: []string{name, ads}},
		{id: "ISC", all: []string{isc, "provided that the above copyright notice"}},
		{id: "0BSD", all: []string{isc}, none: []string{"provided that the above copyright notice"}},
		{id: "Apache-2.0", all: []string{"apache license version 2 0"}},
		{id: "MPL-2.0", all: []string{"mozilla public license version 2 0"}},
		{id: "AGPL-3.0", all: []string{"gnu affero general public license version 3"}, title: true},
		{id: "LGPL-3.0", all: []string{"gnu lesser general public license version 3"}, title: true},
		{id: "LGPL-2.1", all: []string{"gnu lesser general public license version 2 1"}, title: true},
		{id: "GPL-3.0", all: []string{"gnu general public license version 3"}, title: true},
		{id: "GPL-2.0", all: []string{"gnu general public license version 2"}, title: true},
		{id: "Unlicense", all: []string{"this is free and unencumbered software released into the public domain"}},
		{id: "CC0-1.0", all: []string{"cc0 1 0 universal"}},
		{id: "BSL-1.0", all: []string{"boost software license version 1 0"}},
		{id: "Zlib", all: []string{"altered source versions must be plainly marked as such"}},
		{id: "EPL-2.0", all: []string{"eclipse public license v 2 0"}},
		{id: "BlueOak-1.0.0", all: []string{"blue oak model license"}},
	}
}

// Identify returns the SPDX identifier of a license text, several joined by AND
// if the text holds several, and nothing if it is unknown.
func Identify(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	if id, ok := tagged(text); ok {
		return id
	}
	norm := normalize(text)
	type hit struct {
		at int
		id string
	}
	var hits []hit
	for _, r := range rules() {
		if at := r.match(norm); at >= 0 {
			hits = append(hits, hit{at, r.id})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.at, b.at) })
	var ids []string
	for _, h := range hits {
		ids = append(ids, h.id)
	}
	return strings.Join(ids, " AND ")
}

func (r rule) match(norm string) int {
	if r.title {
		norm = norm[:min(len(norm), maxTitle)]
	}
	for _, s := range r.none {
		if strings.Contains(norm, s) {
			return -1
		}
	}
	at := -1
	for _, s := range r.all {
		i := strings.Index(norm, s)
		if i < 0 {
			return -1
		}
		if at < 0 {
			at = i
		}
	}
	return at
}

// tagged reads the author's own SPDX-License-Identifier.
func tagged(text string) (string, bool) {
	_, after, ok := strings.Cut(text, "SPDX-License-Identifier:")
	line, _, _ := strings.Cut(after, "\n")
	id := strings.TrimSpace(strings.Trim(line, " \t\r*/#<>-!"))
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .-+()", r))
	}
	return id, ok && id != "" && len(id) <= 100 && strings.IndexFunc(id, func(r rune) bool { return !plain(r) }) < 0
}

// normalize leaves lower-case words with one space between.
func normalize(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}

// IsFile reports whether a path in a package's root is that of its license, and
// whether its name says that it is one of several to choose from.
func IsFile(p string) (is, choice bool) {
	if strings.Contains(p, "/") {
		return false, false
	}
	name := strings.ToLower(p)
	stem := strings.TrimSuffix(name, path.Ext(name))
	switch path.Ext(name) {
	case ".md", ".txt", ".rst", ".markdown":
	default:
		stem = name
	}
	for _, base := range []string{"license", "licence", "copying", "unlicense"} { //nolint:misspell // files are named in British English too
		rest, ok := strings.CutPrefix(stem, base)
		switch {
		case ok && rest == "":
			return true, false
		case ok && (strings.HasPrefix(rest, "-mit") || strings.HasPrefix(rest, "-apache") || strings.HasPrefix(rest, "-bsd")):
			return true, true
		}
	}
	return false, false
}

// OfFiles identifies the license of a package from the files in its root.
func OfFiles(files map[string][]byte) string {
	var plain, choices []string
	for _, p := range sorted(files) {
		is, choice := IsFile(p)
		if !is {
			continue
		}
		id := Identify(string(files[p]))
		switch {
		case id == "":
		case choice && !slices.Contains(choices, id):
			choices = append(choices, id)
		case !choice:
			plain = append(plain, id)
		}
	}
	if len(plain) > 0 {
		return plain[0]
	}
	return strings.Join(choices, " OR ")
}

func sorted(files map[string][]byte) []string {
	var names []string
	for p := range files {
		names = append(names, p)
	}
	slices.Sort(names)
	return names
}
