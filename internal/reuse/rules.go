package reuse

import (
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

const (
	// always is for results that depend on nothing but the payload. The tiers
	// keep them for less.
	always = 30 * 24 * time.Hour
	// briefly is for what may change at any moment elsewhere: it spares a page
	// that is asked for by many at once, and nobody sees an old one for long.
	briefly = time.Minute
	// fixed is for a version that was published and cannot change, while what
	// stands beside it in the result can: newer versions, tags, deprecation.
	fixed = time.Hour
)

// rules say of each kind whether a result may serve equal tasks, and for how
// long. A version is raised whenever its job would answer the same payload in
// another way: results of before are then not found any more.
//
//   - search: never. An answer depends on how far the node's index is, and costs
//     no more than looking it up would.
//   - sdk_fetch: an exact version for an hour, a range, a tag or latest for a
//     minute; not with index, which writes; not if a source had failed.
//   - config_gen: always; it is a pure function. The order of parameters is part
//     of what is asked for: some templates keep it.
//   - document_parse: always for bytes that came with the task or as a blob, a
//     minute for an address; not with index.
var rules = map[string]rule{
	tasks.Search.Name():        {},
	tasks.SDKFetch.Name():      {version: 1, of: typed(tasks.SDKFetch, sdkFetch), keeps: allSources},
	tasks.ConfigGen.Name():     {version: 1, of: typed(tasks.ConfigGen, configGen)},
	tasks.DocumentParse.Name(): {version: 1, of: documentParse},
}

// exact matches one version of npm's and Go's, as opposed to a range or a tag.
var exact = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

func sdkFetch(p *tasks.SDKFetchPayload) time.Duration {
	if p.Index {
		return 0
	}
	if p.Version == "" {
		p.Version = "latest"
	}
	p.Include = slices.DeleteFunc(tasks.SDKParts(), func(part string) bool { return !p.Wants(part) })
	if exact.MatchString(p.Version) {
		return fixed
	}
	return briefly
}

// allSources reports whether every source of a fetch has answered.
func allSources(result []byte) bool {
	var r struct {
		Sources []struct {
			OK bool `json:"ok"`
		} `json:"sources"`
	}
	if json.Unmarshal(result, &r) != nil {
		return false
	}
	for _, s := range r.Sources {
		if !s.OK {
			return false
		}
	}
	return true
}

func configGen(*tasks.ConfigGenPayload) time.Duration { return always }

// documentParse looks at a few fields only: documents are long, and what they
// are queued as is canonical already. The collection is where index would put
// the document; without it, it changes nothing.
func documentParse(payload []byte) ([]byte, time.Duration) {
	var p struct {
		Source struct {
			URL string `json:"url"`
		} `json:"source"`
		Collection string `json:"collection"`
		Index      bool   `json:"index"`
	}
	if json.Unmarshal(payload, &p) != nil || p.Index {
		return nil, 0
	}
	use := always
	if p.Source.URL != "" {
		use = briefly
	}
	if p.Collection == "" {
		return payload, use
	}
	return typed(tasks.DocumentParse, func(d *tasks.DocumentParsePayload) time.Duration {
		d.Collection = ""
		return use
	})(payload)
}
