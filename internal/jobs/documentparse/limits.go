package documentparse

// The bounds of the room. They keep a parse far below ten seconds and a result
// below the 32 MiB that the result store takes.
const (
	// maxInput is the largest document, in bytes.
	maxInput = 20 << 20
	// maxText bounds the plain text of a result. A result holds it up to five
	// times: text, sections, chunks, Markdown, code.
	maxText = 5 << 20
	// maxMarkdown is the largest Markdown source given to goldmark.
	maxMarkdown = 4 << 20
	// maxHTML is the largest HTML source that gets a tree.
	maxHTML = 8 << 20
	// maxJSON and maxYAML are the largest sources that are decoded into a tree;
	// a YAML tree takes more memory for each byte.
	maxJSON = 12 << 20
	maxYAML = 2 << 20
	// maxFrontMatter is the largest front matter that is decoded.
	maxFrontMatter = 64 << 10

	maxSections = 5_000
	maxLinks    = 10_000
	// maxPieces bounds code blocks and tables, each.
	maxPieces = 20_000
	maxHref   = 2_048
	// maxColumns is the widest table.
	maxColumns = 256
	// chunkTokens is the estimated size that a chunk stays within.
	chunkTokens = 400
)
