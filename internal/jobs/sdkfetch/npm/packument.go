package npm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxVersions bounds a packument; the largest that were seen have some 5,000.
const maxVersions = 30_000

// Packument is what a registry says about a package, without what is not used.
type Packument struct {
	Name     string
	Tags     map[string]string
	Versions map[string]*Version
	Times    map[string]time.Time
	// Tells reports that the registry passes notices of deprecation on. Some
	// strip such fields; then their absence says nothing.
	Tells bool
}

// Version is one version in a packument.
type Version struct {
	Manifest
	Deprecated deprecation `json:"deprecated"`
	Dist       struct {
		Tarball   looseText       `json:"tarball"`
		Integrity looseText       `json:"integrity"`
		Shasum    looseText       `json:"shasum"`
		Signed    json.RawMessage `json:"signatures"`
		Attested  json.RawMessage `json:"attestations"`
	} `json:"dist"`
}

// deprecation is the notice: a text, or true without one.
type deprecation struct {
	set  bool
	text string
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *deprecation) UnmarshalJSON(raw []byte) error {
	var flag bool
	var text looseText
	if json.Unmarshal(raw, &flag) == nil {
		d.set = true
		if flag {
			d.text = "deprecated"
		}
		return nil
	}
	_ = text.UnmarshalJSON(raw)
	d.set, d.text = string(raw) != "null", string(text)
	return nil
}

// Notice is the author's notice, empty if there is none, nil if the registry
// does not tell.
func (p *Packument) Notice(version string) *string {
	v := p.Versions[version]
	if v == nil || !p.Tells && !v.Deprecated.set {
		return nil
	}
	return &v.Deprecated.text
}

// Integrity is what the version's tarball must hash to.
func (v *Version) Integrity() Integrity {
	return parseIntegrity(string(v.Dist.Integrity), string(v.Dist.Shasum))
}

// errNotPackument says that an answer is JSON, but of something else.
var errNotPackument = errors.New("not a packument")

// Decode reads a packument while it arrives. One version is in memory in full
// at a time; of the others only what is needed is kept.
func Decode(r io.Reader) (*Packument, error) {
	dec := json.NewDecoder(r)
	p := &Packument{Tags: map[string]string{}, Versions: map[string]*Version{}, Times: map[string]time.Time{}}
	err := object(dec, func(key string) error {
		switch key {
		case "name":
			return dec.Decode((*looseText)(&p.Name))
		case "dist-tags":
			return dec.Decode((*textMap)(&p.Tags))
		case "time":
			return p.times(dec)
		case "versions":
			return object(dec, func(version string) error { return p.version(dec, version) })
		}
		return skip(dec)
	})
	if err != nil {
		return nil, err
	}
	if p.Name == "" || len(p.Versions) == 0 {
		return nil, fmt.Errorf("%w: it names no package or no version", errNotPackument)
	}
	return p, nil
}

func (p *Packument) version(dec *json.Decoder, number string) error {
	if len(p.Versions) == maxVersions || len(number) > 256 {
		return fmt.Errorf("%w: over %d versions", errNotPackument, maxVersions)
	}
	var v Version
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("version %.60q: %w", number, err)
	}
	p.Tells = p.Tells || v.Deprecated.set || v.Dist.Signed != nil || v.Dist.Attested != nil
	v.Dist.Signed, v.Dist.Attested = nil, nil
	p.Versions[number] = &v
	return nil
}

// times reads when each version was published.
func (p *Packument) times(dec *json.Decoder) error {
	var loose textMap
	if err := dec.Decode(&loose); err != nil {
		return err
	}
	for v, text := range loose {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			p.Times[v] = at.UTC()
		}
	}
	return nil
}

// object walks an object's members; each must consume its value.
func object(dec *json.Decoder, member func(key string) error) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%w: expected an object", errNotPackument)
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if err := member(key); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// skip passes over a value without keeping it.
func skip(dec *json.Decoder) error {
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
