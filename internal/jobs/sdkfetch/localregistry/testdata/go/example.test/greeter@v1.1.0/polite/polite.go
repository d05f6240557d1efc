// Package polite greets with a title.
package polite

// Hello returns a greeting for a person with a title.
func Hello(title, name string) string {
	return "Good day, " + title + " " + name
}
