package documentparse

import (
	"net/url"
	"strings"
)

// linkBase resolves links against the document's address.
type linkBase struct{ url *url.URL }

// newLinkBase takes a URI; only http and https addresses are a base.
func newLinkBase(uri string) linkBase {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return linkBase{}
	}
	return linkBase{u}
}

// at returns the base that a page declares of itself.
func (l linkBase) at(href string) linkBase {
	if resolved, ok := l.resolve(href); ok {
		if next := newLinkBase(resolved); next.url != nil {
			return next
		}
	}
	return l
}

// resolve makes a link absolute where it can. It refuses schemes that carry
// code or content instead of an address.
func (l linkBase) resolve(href string) (string, bool) {
	href = strings.TrimSpace(href)
	if len(href) > maxHref || unsafeScheme(href) {
		return "", false
	}
	if strings.ContainsAny(href, "\n\r\t") { // browsers drop them anywhere
		href = lineEnds.Replace(href)
	}
	if l.url == nil || href == "" {
		return href, true
	}
	ref, err := url.Parse(href)
	if err != nil {
		return href, true
	}
	return l.url.ResolveReference(ref).String(), true
}

var lineEnds = strings.NewReplacer("\n", "", "\r", "", "\t", "")

// unsafeScheme looks at the scheme as a browser does: spaces and control
// characters do not count.
func unsafeScheme(href string) bool {
	var scheme strings.Builder
	for _, r := range href {
		switch {
		case r <= ' ':
			continue
		case r == ':':
			s := strings.ToLower(scheme.String())
			return s == "javascript" || s == "data" || s == "vbscript"
		case r == '/' || r == '?' || r == '#' || scheme.Len() > 12:
			return false
		}
		scheme.WriteRune(r)
	}
	return false
}
