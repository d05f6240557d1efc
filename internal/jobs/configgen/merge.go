package configgen

import (
	"slices"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// merger joins a file's wanted data with the existing ones, by the template's
// rules. Keys that the template does not know stay.
type merger struct {
	draft *template.Draft
	file  template.File
}

func newMerger(d *template.Draft, f template.File) merger { return merger{d, f} }

// merge returns the data that the file shall hold. It changes neither input.
func (m merger) merge(have, want any) any {
	existing, isObject := have.(*tree.Object)
	wanted, wantsObject := tree.Clone(want).(*tree.Object)
	if isObject && wantsObject && m.file.Merge.Prepare != nil {
		m.file.Merge.Prepare(existing, wanted, m.draft)
		want = wanted
	}
	return m.value(have, want, nil)
}

func (m merger) value(have, want any, at []string) any {
	if tree.Equal(have, want) {
		return have
	}
	if matchAny(m.file.Merge.Keep, at) {
		m.draft.Info(m.file.Path, at, "has another value than the template's, and was kept")
		return have
	}
	switch want := want.(type) {
	case *tree.Object:
		if have, ok := have.(*tree.Object); ok {
			return m.object(have, want, at)
		}
	case []any:
		if have, ok := have.([]any); ok {
			return m.list(have, want, at)
		}
	}
	return want
}

func (m merger) object(have, want *tree.Object, at []string) any {
	out := tree.New()
	for _, member := range have.Members() {
		value := member.Value
		if wanted, ok := want.Get(member.Key); ok {
			value = m.value(value, wanted, child(at, member.Key))
		}
		out.Set(member.Key, value)
	}
	for _, member := range want.Members() {
		if _, ok := have.Get(member.Key); !ok {
			out.Set(member.Key, member.Value)
		}
	}
	return out
}

func (m merger) list(have, want []any, at []string) any {
	if matchAny(m.file.Merge.Union, at) {
		out := slices.Clone(have)
		for _, w := range want {
			if !slices.ContainsFunc(out, func(h any) bool { return tree.Equal(h, w) }) {
				out = append(out, w)
			}
		}
		return out
	}
	for _, k := range m.file.Merge.ByKey {
		if match(k.Place, at) {
			return m.byKey(have, want, k.Key, at)
		}
	}
	return want
}

// byKey merges lists of objects that have a name each.
func (m merger) byKey(have, want []any, key string, at []string) any {
	out := slices.Clone(have)
	for _, w := range want {
		name := memberOf(w, key)
		i := slices.IndexFunc(out, func(h any) bool { return name != nil && tree.Equal(memberOf(h, key), name) })
		if i < 0 {
			out = append(out, w)
			continue
		}
		out[i] = m.value(out[i], w, child(at, "*"))
	}
	return out
}

// memberOf is the value of a key, nil in what is no object.
func memberOf(v any, key string) any {
	object, ok := v.(*tree.Object)
	if !ok {
		return nil
	}
	inner, _ := object.Get(key)
	return inner
}

func child(at []string, key string) []string { return append(slices.Clone(at), key) }

func matchAny(patterns [][]string, at []string) bool {
	return slices.ContainsFunc(patterns, func(p []string) bool { return match(p, at) })
}

func match(pattern, at []string) bool {
	return slices.EqualFunc(pattern, at, func(p, key string) bool { return p == "*" || p == key })
}
