package library

// Document is what the library keeps of a document: enough to search it and to
// lead back to it. URI and Collection identify it; putting it again replaces it.
type Document struct {
	URI         string    `json:"uri"`
	Collection  string    `json:"collection"` // empty means DefaultCollection
	Title       string    `json:"title"`
	Language    string    `json:"language"` // ISO 639-1, empty if unknown
	ContentType string    `json:"content_type"`
	URL         string    `json:"url"` // where a reader finds it; often the URI
	SHA256      string    `json:"sha256"`
	Sections    []Section `json:"sections"`
}

// Section is one heading of a document with what stands below it.
type Section struct {
	ID      string `json:"id"` // unique in the document
	Heading string `json:"heading"`
	Anchor  string `json:"anchor"`
	Level   int    `json:"level"`
	Body    string `json:"body"` // plain text without the code
	Code    string `json:"code"` // the section's code blocks, joined
}

// DefaultCollection is where a document without a collection goes.
const DefaultCollection = "default"
