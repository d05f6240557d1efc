package documentparse

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

// worstMarkdown are the classes of Markdown that cost a parser more than their
// size, each by a count n.
var worstMarkdown = map[string]func(n int) string{
	"emphasis":       func(n int) string { return strings.Repeat("*a_ ", n) },
	"emphasis pairs": func(n int) string { return strings.Repeat("*a ", n) + strings.Repeat("b* ", n) },
	"stars":          func(n int) string { return strings.Repeat("*", n) + "a" + strings.Repeat("*", n) },
	"tildes":         func(n int) string { return strings.Repeat("~~a ~b ", n) },
	"backticks": func(n int) string {
		var b strings.Builder
		for i := 1; b.Len() < 8*n; i++ {
			b.WriteString("a" + strings.Repeat("`", i) + " ")
		}
		return b.String()
	},
	"brackets":         func(n int) string { return strings.Repeat("[", n) + "a" + strings.Repeat("]", n) },
	"open links":       func(n int) string { return strings.Repeat("[a](", n) },
	"open addresses":   func(n int) string { return strings.Repeat("[a](<b", n) },
	"images":           func(n int) string { return strings.Repeat("![[]()", n) },
	"footnote marks":   func(n int) string { return strings.Repeat("[^a", n) },
	"tags":             func(n int) string { return "a" + strings.Repeat("<a b='", n) },
	"cdata":            func(n int) string { return "a" + strings.Repeat("<![CDATA[", n) },
	"comments":         func(n int) string { return "a" + strings.Repeat("<!--", n) },
	"emails":           func(n int) string { return strings.Repeat("a@b.", n) },
	"addresses":        func(n int) string { return strings.Repeat("(http://a", n) },
	"www":              func(n int) string { return strings.Repeat(" www.a", n) },
	"parentheses":      func(n int) string { return "http://a.b/" + strings.Repeat("(", n) + strings.Repeat(")", n) },
	"quotes":           func(n int) string { return strings.Repeat(">", n) + "a" },
	"list on a line":   func(n int) string { return strings.Repeat("* ", n) + "a" },
	"nested list":      nestedList,
	"blanks in a list": func(n int) string { return nestedList(90) + strings.Repeat("\n", n) + "b" },
	"lazy quote":       func(n int) string { return strings.Repeat("> ", 90) + "a\n" + strings.Repeat("b\n", n) },
	"definitions": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "[a%d]: b\n", i)
		}
		return b.String()
	},
	"footnotes": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "[^a%d]: b\n\n[^a%d]\n\n", i, i)
		}
		return b.String()
	},
	"wide table": func(n int) string { return "|" + strings.Repeat("a|", n) + "\n|" + strings.Repeat("-|", n) + "\n" },
	"ragged table": func(n int) string {
		return strings.Repeat("|a", 200) + "\n" + strings.Repeat("|-", 200) + "\n" + strings.Repeat("|b\n", n)
	},
	"terms":       func(n int) string { return strings.Repeat("a\n: b\n", n) },
	"paragraphs":  func(n int) string { return strings.Repeat("a\n\n", n) },
	"lines":       func(n int) string { return strings.Repeat("a\n", n) },
	"headings":    func(n int) string { return strings.Repeat("# a\n", n) },
	"fences":      func(n int) string { return strings.Repeat("```\na\n```\n", n) },
	"html blocks": func(n int) string { return strings.Repeat("<p>a\n\n", n) },
	"many medium": func(n int) string { return strings.Repeat(strings.Repeat("*a_ ", 300)+"\n\n", n) },
	"mdx braces":  func(n int) string { return strings.Repeat("{", n) },
	"mdx tags":    func(n int) string { return strings.Repeat("<A b={", n) },
	"mdx nested":  func(n int) string { return strings.Repeat("<A>\n", n) },
	"mdx ticks":   func(n int) string { return strings.Repeat("`a``", n) },
	"mdx tables":  func(n int) string { return strings.Repeat("<table\n", n) },
	"mdx imports": func(n int) string { return strings.Repeat("import {\n\n", n) },
}

// worstHTML are the same for HTML.
var worstHTML = map[string]func(n int) string{
	"paragraphs": func(n int) string { return strings.Repeat("<p>some words here", n) },
	"links":      func(n int) string { return strings.Repeat("<a href=a>b</a> ", n) },
	"list":       func(n int) string { return strings.Repeat("<li>some words", n) },
	"formatting": func(n int) string { return strings.Repeat("<b><p>x</b>", n) },
	"deep": func(n int) string {
		return strings.Repeat(strings.Repeat("<div>", 400)+"words in it"+strings.Repeat("</div>", 400), n/400)
	},
	"deep tables": func(n int) string {
		return strings.Repeat(strings.Repeat("<table><tr><td>", 100)+"words"+strings.Repeat("</table>", 100), n/100)
	},
	"deep navs": func(n int) string {
		return "<main><pre>some code here</pre>" + strings.Repeat("<nav>", 400) + strings.Repeat("<p>x y z", n)
	},
	"table": func(n int) string { return "<table>" + strings.Repeat("<tr><td>a<td>b<td>c", n) + "</table>" },
	"ragged table": func(n int) string {
		return "<main><pre>some code here</pre><table><tr>" + strings.Repeat("<td>x", 250) + strings.Repeat("<tr><td>y", n) + "</table>"
	},
	"spans": func(n int) string {
		return "<main><pre>some code here</pre><table>" + strings.Repeat("<tr><td rowspan=9999 colspan=9999>x", n) + "</table>"
	},
	"headings":   func(n int) string { return strings.Repeat("<h2 id=a>words</h2>", n) },
	"code":       func(n int) string { return "<main>" + strings.Repeat("<pre>some code here</pre>", n) },
	"code lines": func(n int) string { return "<main><pre>" + strings.Repeat("<div>line of code</div>", n) },
	"breaks":     func(n int) string { return strings.Repeat("words<br>", n) },
	"spaces":     func(n int) string { return "<p>words" + strings.Repeat(" ", 8*n) + "more" },
	"one word":   func(n int) string { return "<article><p>" + strings.Repeat("a", 30*n) },
	"sentences":  func(n int) string { return "<article><p>" + strings.Repeat("Some words in a sentence. ", n) },
	"marks":      func(n int) string { return "<article><p>" + strings.Repeat("*_`[<&lt;#", n) },
	"scripts":    func(n int) string { return strings.Repeat("<script>x</script>", n) + "<p>words" },
	"comments":   func(n int) string { return strings.Repeat("<!--x-->", n) + "<p>words" },
	"entities":   func(n int) string { return "<p>" + strings.Repeat("&amp", 2*n) },
	"attributes": func(n int) string { return strings.Repeat("<p a=1 b=2 c=3 d=4 e=5 f=6>words", n) },
	"classes": func(n int) string {
		return strings.Repeat("<div class='comment share sidebar related'>some words</div>", n)
	},
}

func nestedList(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("  ", i) + "- a\n")
	}
	return b.String()
}

var worst = flag.Bool("worst", false, "let the worst inputs grow to the largest size that is read")

// TestWorstMarkdown and TestWorstHTML double each class, with -worst until it is
// as long as allowed, and show what the slowest size took. They are the evidence
// for the figures in cost.go and html.go; they assert results, not times.
func TestWorstMarkdown(t *testing.T) {
	for name, source := range worstMarkdown {
		file := "a.md"
		if strings.HasPrefix(name, "mdx") {
			file = "a.mdx"
		}
		measureWorst(t, name, Input{Filename: file}, maxMarkdown, source)
	}
}

func TestWorstHTML(t *testing.T) {
	for name, source := range worstHTML {
		measureWorst(t, name, Input{ContentType: "text/html"}, maxHTML, source)
	}
}

func measureWorst(t *testing.T, name string, in Input, limit int, source func(int) string) {
	t.Run(name, func(t *testing.T) {
		if !*worst {
			limit = worstSize
		}
		var slowest time.Duration
		at := 0
		for n := 500; ; n *= 2 {
			src := source(n)
			in.Data = []byte(src)
			start := time.Now()
			res, err := Parse(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > slowest {
				slowest, at = took, len(src)
			}
			if len(src) < 1<<20 {
				checkInvariants(t, res)
			}
			if len(src) > limit/2 || slowest > 10*time.Second {
				break
			}
		}
		t.Logf("%-18s slowest %8s at %d bytes", name, slowest.Round(time.Millisecond), at)
	})
}
