package npm

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
)

// Manifest is what package.json, or a version in a packument, says. Old
// packages hold fields of odd types: those are read as far as they make sense.
type Manifest struct {
	Name         string     `json:"name"`
	Version      string     `json:"version"`
	Description  looseText  `json:"description"`
	Homepage     looseText  `json:"homepage"`
	License      licenses   `json:"license"`
	Licenses     licenses   `json:"licenses"`
	Repository   repository `json:"repository"`
	Engines      textMap    `json:"engines"`
	Dependencies textMap    `json:"dependencies"`
	Optional     textMap    `json:"optionalDependencies"`
	Peers        textMap    `json:"peerDependencies"`
}

// Bounds of a manifest's texts and maps.
const (
	maxText    = 2000
	maxEntries = 5000
)

// ParseManifest reads package.json.
func ParseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	err := json.Unmarshal(raw, &m)
	return m, err
}

// Requires joins the dependencies and the optional ones.
func (m Manifest) Requires() map[string]string {
	out := map[string]string{}
	for _, from := range []textMap{m.Dependencies, m.Optional} {
		maps.Copy(out, from)
	}
	return out
}

// SPDX is the license's identifier or expression.
func (m Manifest) SPDX() string {
	if m.License != "" {
		return string(m.License)
	}
	return string(m.Licenses)
}

// looseText is a string; other types read as empty.
type looseText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *looseText) UnmarshalJSON(raw []byte) error {
	var s string
	// A packument holds tens of thousands of texts, nearly all without escapes.
	if len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		s = string(raw[1 : len(raw)-1])
	} else if json.Unmarshal(raw, &s) != nil {
		return nil //nolint:nilerr // another type reads as empty
	}
	*t = looseText(fault.Clean(s, maxText))
	return nil
}

// textMap maps names to strings; entries of other types are left out.
type textMap map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (m *textMap) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] != '{' {
		return nil
	}
	var loose map[string]looseText
	if json.Unmarshal(raw, &loose) != nil {
		return nil //nolint:nilerr // another type reads as empty
	}
	*m = make(textMap, len(loose))
	for k, v := range loose {
		if v != "" && len(k) <= 300 && len(*m) < maxEntries {
			(*m)[k] = string(v)
		}
	}
	return nil
}

// licenses reads "MIT", {"type": "MIT"} and lists of those.
type licenses string

// UnmarshalJSON implements json.Unmarshaler.
func (l *licenses) UnmarshalJSON(raw []byte) error {
	var list []json.RawMessage
	if len(raw) > 0 && raw[0] == '[' && json.Unmarshal(raw, &list) == nil {
		var ids []string
		for _, one := range list {
			var id licenses
			if len(one) > 0 && one[0] != '[' && id.UnmarshalJSON(one) == nil && id != "" && len(ids) < 10 {
				ids = append(ids, string(id))
			}
		}
		*l = licenses(strings.Join(ids, " OR "))
		return nil
	}
	*l = licenses(textOrMember(raw, "type"))
	return nil
}

// repository reads "owner/name", an address, and {"url": …}, as an https
// address where that can be told.
type repository string

// UnmarshalJSON implements json.Unmarshaler.
func (r *repository) UnmarshalJSON(raw []byte) error {
	*r = repository(address(textOrMember(raw, "url")))
	return nil
}

// textOrMember reads a text, or that of an object's member.
func textOrMember(raw []byte, member string) string {
	var text looseText
	if len(raw) > 0 && raw[0] == '{' {
		var object textMap
		_ = object.UnmarshalJSON(raw)
		return object[member]
	}
	_ = text.UnmarshalJSON(raw)
	return string(text)
}

// address turns npm's ways to name a repository into an address for a browser.
func address(s string) string {
	s = strings.TrimSpace(s)
	for prefix, host := range map[string]string{"github:": "github.com/", "gitlab:": "gitlab.com/", "bitbucket:": "bitbucket.org/"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return "https://" + host + rest
		}
	}
	if strings.Count(s, "/") == 1 && !strings.ContainsAny(s, ":@ ") {
		return "https://github.com/" + s // npm's shorthand
	}
	rest, known := s, false
	for _, prefix := range []string{"git+https://", "git+http://", "git+ssh://", "git://", "ssh://", "https://", "http://"} {
		if after, ok := strings.CutPrefix(s, prefix); ok {
			rest, known = after, true
			break
		}
	}
	if after, ok := strings.CutPrefix(rest, "git@"); ok {
		rest, known = strings.Replace(after, ":", "/", 1), true
	}
	if !known || strings.Contains(rest, "@") {
		return "" // not an address, or one with a password
	}
	rest, _, _ = strings.Cut(rest, "#")
	return "https://" + strings.TrimSuffix(rest, ".git")
}
