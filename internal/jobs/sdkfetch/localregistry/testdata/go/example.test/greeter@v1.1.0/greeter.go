// Package greeter greets people by name, in the language of your choice.
package greeter

import "errors"

// Default is the language of Hello.
const Default = "en"

// ErrLanguage is returned for a language that has no greeting.
var ErrLanguage = errors.New("greeter: no greeting in this language")

// Greeter greets in one language. The zero value greets in Default.
type Greeter struct {
	// Language is an ISO 639-1 code.
	Language string
	words    map[string]string
}

// New returns a Greeter for a language.
func New(language string) (*Greeter, error) {
	words := map[string]string{"en": "Hello", "de": "Hallo", "fr": "Bonjour"}
	if words[language] == "" {
		return nil, ErrLanguage
	}
	return &Greeter{Language: language, words: words}, nil
}

// Greet returns a greeting for name.
func (g *Greeter) Greet(name string) string {
	if g.words == nil {
		return Hello(name)
	}
	return g.words[g.Language] + ", " + name
}

// Hello returns a greeting for name in the default language.
func Hello(name string) string {
	return "Hello, " + name
}
