package documentparse

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// The cost of a document in goldmark, which takes no context: what grows faster
// than the source is counted before it runs. The figures were measured with
// generated documents of each class; each bound stands for 1 to 2 seconds.
const (
	maxLineBytes  = 1 << 20
	maxLines      = 400_000
	maxNesting    = 100
	maxNestedWork = 8_000_000     // lines times open containers, about 170 ns each
	maxInlineWork = 1_500_000_000 // marks times bytes of their block, below 1 ns each
	maxDefWork    = 1_000_000_000 // square of definitions in one paragraph
	maxFootnotes  = 10_000        // compared each with each
	maxTableCells = 300_000       // short rows are filled up to the header's width
)

// tooCostly says why goldmark must not read src, or "".
func tooCostly(src []byte, blocks parser.Parser) string {
	if len(src) > maxMarkdown {
		return fmt.Sprintf("the Markdown is over %d bytes", maxMarkdown)
	}
	if why := lineCost(src); why != "" {
		return why
	}
	if bytes.Count(src, []byte("[^")) > maxFootnotes {
		return fmt.Sprintf("over %d footnotes", maxFootnotes)
	}
	// The block structure alone is linear once nesting is bounded; it tells
	// exactly which bytes the inline parser will see together.
	var c inlineCost
	root := blocks.Parse(text.NewReader(src))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || n.Type() != ast.TypeBlock {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindParagraph, ast.KindTextBlock, ast.KindHeading:
			c.add(n.Lines(), src)
		}
		return ast.WalkContinue, nil
	})
	return c.verdict()
}

// lineCost bounds lines and nesting.
func lineCost(src []byte) string {
	var open nesting
	lines, work := 0, 0
	for len(src) > 0 {
		n := bytes.IndexByte(src, '\n') + 1
		if n == 0 {
			n = len(src)
		}
		if n > maxLineBytes {
			return fmt.Sprintf("a line is over %d bytes", maxLineBytes)
		}
		depth := open.next(src[:n])
		lines++
		work += depth
		switch {
		case depth > maxNesting:
			return fmt.Sprintf("lists and quotes are nested over %d levels", maxNesting)
		case lines > maxLines:
			return fmt.Sprintf("over %d lines", maxLines)
		case work > maxNestedWork:
			return "too many lines in deep lists and quotes"
		}
		src = src[n:]
	}
	return ""
}

// nesting follows the columns at which containers are open. It never says less
// than goldmark will open: every container needs a mark of its own.
type nesting struct {
	columns []int
	blank   bool // the line before was blank
}

func (n *nesting) next(line []byte) int {
	column := 0
	for len(line) > 0 {
		switch line[0] {
		case ' ':
			column++
			line = line[1:]
			continue
		case '\t':
			column += 4 - column%4
			line = line[1:]
			continue
		case '\n':
			n.blank = true
			return len(n.columns)
		}
		width := markWidth(line)
		if width == 0 {
			break
		}
		n.closeTo(column)
		n.columns = append(n.columns, column)
		if len(n.columns) > maxNesting {
			return len(n.columns)
		}
		column += width
		line = line[width:]
	}
	if n.blank { // after a blank line nothing continues lazily
		n.closeTo(column + 1)
	}
	n.blank = false
	return len(n.columns)
}

func (n *nesting) closeTo(column int) {
	for len(n.columns) > 0 && n.columns[len(n.columns)-1] >= column {
		n.columns = n.columns[:len(n.columns)-1]
	}
}

// markWidth is the width of the container mark that line begins with.
func markWidth(line []byte) int {
	blankAt := func(i int) bool { return i >= len(line) || line[i] == ' ' || line[i] == '\t' || line[i] == '\n' }
	switch c := line[0]; {
	case c == '>':
		return 1
	case (c == '-' || c == '+' || c == '*' || c == ':') && blankAt(1):
		return 1
	case c >= '0' && c <= '9':
		i := 1
		for i < len(line) && i < 10 && line[i] >= '0' && line[i] <= '9' {
			i++
		}
		if i < len(line) && (line[i] == '.' || line[i] == ')') && blankAt(i+1) {
			return i + 1
		}
	case bytes.HasPrefix(line, []byte("[^")):
		if i := bytes.Index(line, []byte("]:")); i > 0 {
			return i + 2
		}
	}
	return 0
}

// inlineCost adds up what the inline parser and the paragraph transformers
// would do.
type inlineCost struct {
	work, defs, cells int
	columns           int
}

func (c *inlineCost) add(lines *text.Segments, src []byte) {
	size, marks, defs, columns := 0, 0, 0, 0
	for i := range lines.Len() {
		segment := lines.At(i)
		line := segment.Value(src)
		size += len(line)
		for _, b := range line {
			if strings.IndexByte("*_~`[]<!", b) >= 0 {
				marks++
			}
		}
		trimmed := bytes.TrimLeft(line, " \t")
		if len(trimmed) > 0 && trimmed[0] == '[' {
			defs++
		}
		if i > 0 && isDelimiterRow(trimmed) {
			columns = max(columns, bytes.Count(trimmed, []byte("|"))+1)
		}
	}
	c.work += marks * size
	c.defs += defs * defs
	c.columns = max(c.columns, columns)
	c.cells += columns * lines.Len()
}

// isDelimiterRow recognizes the line below a table's header.
func isDelimiterRow(line []byte) bool {
	return bytes.IndexByte(line, '-') >= 0 && len(bytes.Trim(line, " \t\r\n|:-")) == 0
}

func (c *inlineCost) verdict() string {
	switch {
	case c.work > maxInlineWork:
		return "too many marks in one block"
	case c.defs > maxDefWork:
		return "too many link definitions"
	case c.columns > maxColumns:
		return fmt.Sprintf("a table has over %d columns", maxColumns)
	case c.cells > maxTableCells:
		return fmt.Sprintf("over %d cells in tables", maxTableCells)
	}
	return ""
}
