package npm

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// Settings are where npm's own configuration leads.
type Settings struct {
	// Registry is the address for all names without a scope of their own.
	Registry string
	// Scopes maps "@scope" to a registry's address.
	Scopes map[string]string
	// Credentials are sent to the addresses that they belong to.
	Credentials []Credential
}

// Credential is what a registry wants to see. Neither fmt nor JSON shows it.
type Credential struct {
	// Prefix is the part of an address behind the scheme, as //host/path/.
	Prefix string
	header string
}

// String shows where the credential belongs, and hides it.
func (c Credential) String() string { return c.Prefix + " [hidden]" }

// GoString hides the credential too.
func (c Credential) GoString() string { return c.String() }

// maxRC bounds a configuration file.
const maxRC = 1 << 20

// variable is ${NAME}, as npm fills it in from the environment.
var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(\?)?\}`)

// ParseRC reads an .npmrc. Lines that it does not know are skipped.
func ParseRC(text string, getenv func(string) string) Settings {
	s := Settings{Scopes: map[string]string{}}
	if len(text) > maxRC {
		return s
	}
	logins := map[string]*login{}
	var order []string
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), expand(unquoted(strings.TrimSpace(value)), getenv)
		if !ok || value == "" || key == "" || strings.ContainsAny(key[:1], "#;[") {
			continue
		}
		key = expand(key, getenv)
		if strings.HasPrefix(key, "//") {
			i := strings.LastIndexByte(key, ':')
			if i < 0 {
				continue
			}
			if logins[key[:i]] == nil {
				logins[key[:i]] = &login{}
				order = append(order, key[:i])
			}
			logins[key[:i]].set(key[i+1:], value)
			continue
		}
		if scope, isScope := strings.CutSuffix(key, ":registry"); isScope && strings.HasPrefix(scope, "@") {
			s.Scopes[scope] = value
		} else if key == "registry" {
			s.Registry = value
		}
	}
	for _, prefix := range order {
		if h := logins[prefix].header(); h != "" {
			s.Credentials = append(s.Credentials, Credential{prefix, h})
		}
	}
	return s
}

// login gathers the settings of one address.
type login struct{ token, auth, user, password string }

func (l *login) set(key, value string) {
	switch key {
	case "_authToken":
		l.token = value
	case "_auth":
		l.auth = value
	case "username":
		l.user = value
	case "_password":
		l.password = value
	}
}

func (l *login) header() string {
	switch {
	case l.token != "":
		return "Bearer " + l.token
	case l.auth != "":
		return "Basic " + l.auth
	case l.user != "" && l.password != "":
		plain, err := base64.StdEncoding.DecodeString(l.password)
		if err != nil {
			return ""
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.user+":"+string(plain)))
	}
	return ""
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// expand fills in the environment. An unset variable stays as it is written,
// or becomes nothing if it ends in a question mark.
func expand(s string, getenv func(string) string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		if v := getenv(parts[1]); v != "" || parts[2] != "" {
			return v
		}
		return m
	})
}
