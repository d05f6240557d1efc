package documentparse

import (
	"context"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// readMarkdown reads Markdown (CommonMark, GFM, footnotes, definition lists) and,
// after a pass that takes its components away, MDX.
func readMarkdown(ctx context.Context, b *builder, src string, mdx bool) error {
	if front, body := cutFrontMatter(src); len(body) != len(src) && readFrontMatter(b, front) {
		src = body
	}
	if mdx && len(src) <= maxMarkdown {
		var meta string
		var unclosed bool
		if src, meta, unclosed = stripMDX(src); b.metadata["front_matter"] == nil {
			readExport(b, meta)
		}
		if unclosed {
			b.warn("mdx", "a brace or tag never closes; it was read as text")
		}
	}
	b.markdown = clip(src, maxText)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return readBlocks(ctx, b, src, mdx)
}

// readBlocks parses Markdown that stands within the bounds; what would cost too
// much is read by its outline.
func readBlocks(ctx context.Context, b *builder, src string, mdx bool) error {
	raw := []byte(src)
	if why := tooCostly(raw, blockParser(mdx)); why != "" {
		b.warn("limit_exceeded", why+"; only headings and code fences were read, all else is plain text")
		readOutline(b, src)
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	root := markdownParser(mdx).Parse(text.NewReader(raw))
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	w := markdownWalker{b: b, src: raw}
	w.children(root)
	return nil
}

// markdownParser is the full parser. MDX knows no indented code: what is
// indented there are the children of components.
func markdownParser(mdx bool) parser.Parser {
	p := parser.NewParser(
		parser.WithBlockParsers(blockParsers(mdx)...),
		parser.WithInlineParsers(parser.DefaultInlineParsers()...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
	)
	m := goldmark.New(goldmark.WithParser(p))
	for _, e := range []goldmark.Extender{extension.GFM, extension.Footnote, extension.DefinitionList} {
		e.Extend(m)
	}
	return p
}

// blockParser finds blocks only: no inline text, no tables, no definitions.
func blockParser(mdx bool) parser.Parser {
	return parser.NewParser(parser.WithBlockParsers(append(blockParsers(mdx),
		util.Prioritized(extension.NewDefinitionListParser(), 101),
		util.Prioritized(extension.NewDefinitionDescriptionParser(), 102),
		util.Prioritized(extension.NewFootnoteBlockParser(), 999),
	)...))
}

func blockParsers(mdx bool) []util.PrioritizedValue {
	all := parser.DefaultBlockParsers()
	if !mdx {
		return all
	}
	kept := all[:0]
	for _, p := range all {
		if p.Priority != codeBlockPriority {
			kept = append(kept, p)
		}
	}
	return kept
}

// codeBlockPriority is the place of the indented code parser among goldmark's
// default block parsers; a test holds it.
const codeBlockPriority = 500

// isComment reports HTML that is nothing but a comment.
func isComment(html string) bool {
	t := strings.TrimSpace(html)
	return strings.HasPrefix(t, "<!--") && strings.Index(t, "-->") == len(t)-3
}
