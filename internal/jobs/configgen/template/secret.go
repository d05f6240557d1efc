package template

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

var (
	secretWords = []string{"secret", "token", "password", "passwd", "pwd", "pas" /* pass, without its plural s */, "passphrase", "credential", "dsn", "apikey", "privatekey", "accesskey"}
	// keyOwners make a secret of the word key after them.
	keyOwners    = []string{"api", "private", "access", "secret", "auth", "encryption", "signing", "master", "session", "service", "account", "deploy", "ssh"}
	aboutSecrets = []string{
		"file", "path", "dir", "url", "uri", "name", "id", "ttl", "expiry", "expires", "in", "length", "type", "header", "issuer", "audience",
		"enabled", "count", "limit", "max", "min", "algorithm", "alg", "hint", "policy",
	}
	camel     = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	secretURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@$][^/\s@]*@`)
	// secretPair finds password=… within a longer value, as in a connection string.
	secretPair = regexp.MustCompile(`(?i)(?:^|[,;&?\s-])(?:password|passwd|pwd|secret|token|api[_-]?key)=[^,;&\s$]`)
	keyBlock   = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	reference  = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*(?::?[-?+][^}]*)?\}$|^\$[A-Za-z_][A-Za-z0-9_]*$`)
	notName    = regexp.MustCompile(`[^A-Z0-9_]+`)
)

// Secret reports whether a value must not be written: its key looks like a
// secret's, or it holds a password in an address or a private key. An empty
// value and a reference such as ${NAME} are none.
func Secret(key, value string) bool {
	if value == "" || reference.MatchString(value) {
		return false
	}
	if secretURL.MatchString(value) || secretPair.MatchString(value) || keyBlock.MatchString(value) {
		return true
	}
	return secretKey(key)
}

// secretKey judges a name by its words: DB_PASSWORD, apiKey and authtoken are
// secrets; a name that ends in _FILE, _URL, _TTL or the like says something
// about a secret, and is none.
func secretKey(key string) bool {
	parts := nameWords(key)
	if len(parts) == 0 || slices.Contains(aboutSecrets, parts[len(parts)-1]) {
		return false
	}
	for i, p := range parts {
		p = strings.TrimSuffix(p, "s")
		if slices.Contains(secretWords, p) || strings.HasSuffix(p, "password") || strings.HasSuffix(p, "secret") || strings.HasSuffix(p, "token") {
			return true
		}
		if p == "key" && i > 0 && slices.Contains(keyOwners, parts[i-1]) {
			return true
		}
	}
	return false
}

// nameWords splits snake_case, kebab-case and camelCase into lower-case words.
func nameWords(key string) []string {
	return strings.FieldsFunc(strings.ToLower(camel.ReplaceAllString(key, "${1}_${2}")), func(r rune) bool {
		return !(r >= 'a' && r <= 'z') && !(r >= '0' && r <= '9')
	})
}

// Vault gathers the secrets that were taken out of a draft and gives each the
// name of an environment variable. No file is given the values.
type Vault struct {
	names map[string]string // variable to the value it stands for, while drafting
	order []string
	notes map[string]string
}

// Take returns the variable for a secret. One value under one key shares a
// variable; the same key with another value gets a name with its owner before it.
func (v *Vault) Take(owner, key, value string) string {
	if v.names == nil {
		v.names, v.notes = map[string]string{}, map[string]string{}
	}
	name := EnvName(key)
	if old, taken := v.names[name]; taken && old != value {
		name = EnvName(owner + "_" + key)
	}
	for old, taken := v.names[name]; taken && old != value; old, taken = v.names[name] {
		name += "_"
	}
	if _, known := v.names[name]; !known {
		v.names[name] = value
		v.order = append(v.order, name)
		v.notes["/"+name] = "Secret of " + owner + "."
	}
	return name
}

// Empty reports whether nothing was taken.
func (v *Vault) Empty() bool { return len(v.order) == 0 }

// Example is the .env.example file that lists the variables without values.
func (v *Vault) Example(path string) File {
	data := tree.New()
	for _, name := range v.order {
		data.Set(name, "")
	}
	notes := map[string]string{"": "Copy to .env and fill in. Never commit .env."}
	maps.Copy(notes, v.notes)
	return File{
		Path: path, Format: "dotenv", Data: data, Notes: notes,
		Merge: Merge{Keep: [][]string{{"*"}}},
	}
}

// EnvName makes the name of an environment variable.
func EnvName(s string) string {
	name := strings.Trim(notName.ReplaceAllString(strings.ToUpper(s), "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "SECRET_" + name
	}
	return name
}
