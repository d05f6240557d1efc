package documentparse

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark/parser"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/tasks"
)

func parseText(t *testing.T, in Input) tasks.DocumentParseResult {
	t.Helper()
	res, err := Parse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, res)
	return res
}

func TestDetectFormat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, contentType, file, data, want string
	}{
		{"content type wins over the name", "text/html; charset=utf-8", "a.md", "text", "text/html"},
		{"text/plain says nothing", "text/plain", "a.md", "text", "text/markdown"},
		{"a page named .md is a page", "", "a.md", "<!DOCTYPE html><p>x", "text/html"},
		{"a page named .pdf is a page", "", "a.pdf", "<html><p>x", "text/html"},
		{"Markdown by its look", "", "", "# Title\n\nText", "text/markdown"},
		{"front matter and a heading", "", "", "---\na: b\n---\n# Title\n", "text/markdown"},
		{"prose is text", "", "", "Just a line. #hash [x] (y)", "text/plain"},
		{"txt is text", "", "a.txt", "# not a heading", "text/plain"},
		{"llms.txt is Markdown", "", "llms.txt", "# A site", "text/markdown"},
		{"JSON by its look", "", "", `{"a": 1}`, "application/json"},
		{"a link is no JSON", "", "", "[a](b)\n\n# T", "text/markdown"},
		{"OpenAPI in JSON", "application/json", "", `{"openapi": "3.1.0", "info": {}}`, "application/openapi+json"},
		{"Swagger in YAML", "", "x.yaml", "swagger: '2.0'\ninfo: {title: x}\n", "application/openapi+yaml"},
		{"YAML is code", "", "x.yaml", "a: b\n", "text/plain"},
		{"MDX named .md", "", "a.md", "import X from 'y'\n\n<X>\n\ntext\n\n</X>\n", "text/mdx"},
		{"a fragment of HTML", "", "", "<div>text</div>", "text/html"},
		{"name from the URI", "", "", "# x", "text/markdown"},
		{"text that begins like a bitmap", "", "", "BM stands for a bitmap", "text/plain"},
	} {
		if got := parseText(t, Input{Data: []byte(test.data), ContentType: test.contentType, Filename: test.file}).ContentType; got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestDecodeText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data, sender string
		html               bool
		want, charset, by  string
	}{
		{"byte order mark", "\xef\xbb\xbfé", "latin1", false, "é", "utf-8", "bom"},
		{"the sender's word", "\x82\xa0", "Shift_JIS", false, "あ", "shift_jis", "sender"},
		{"an unknown word is passed over", "é", "klingon", false, "é", "utf-8", "utf-8"},
		{"seven bits of Japanese", "\x1b$B$\"\x1b(B", "", false, "あ", "iso-2022-jp", "escape"},
		{"late meta", strings.Repeat(" ", 9000) + "<meta charset=euc-jp>\xa4\xa2", "", true, strings.Repeat(" ", 9000) + "<meta charset=euc-jp>あ", "euc-jp", "meta"},
		{"meta counts in HTML only", "caf\xe9", "", false, "café", "", ""},
		{"wide without a mark", "t\x00h\x00i\x00s\x00 \x00t\x00e\x00x\x00t\x00", "", false, "this text", "utf-16le", "detected"},
		{"damaged UTF-8", strings.Repeat("é", 30) + "\xff", "", false, strings.Repeat("é", 30) + "\uFFFD", "utf-8", "detected"},
	} {
		got, d := decodeText([]byte(test.data), test.sender, test.html)
		if got != test.want || test.charset != "" && (d.charset != test.charset || d.source != test.by) {
			t.Errorf("%s: got %.40q as %s by %s, want %.40q as %s by %s", test.name, got, d.charset, d.source, test.want, test.charset, test.by)
		}
	}
}

func TestLinkBase(t *testing.T) {
	t.Parallel()
	base := newLinkBase("https://example.com/docs/a/")
	for href, want := range map[string]string{
		"b": "https://example.com/docs/a/b", "../c#d": "https://example.com/docs/c#d", "//cdn.example.com/x": "https://cdn.example.com/x",
		"mailto:a@b.c": "mailto:a@b.c", "#x": "https://example.com/docs/a/#x", "https://other.example/": "https://other.example/",
		"javascript:alert(1)": "", " JaVaScRiPt:x": "", "java\nscript:x": "", "\x01data:text/html,x": "", "vbscript:x": "",
		"data/file": "https://example.com/docs/a/data/file", "a?b=javascript:x": "https://example.com/docs/a/a?b=javascript:x",
		strings.Repeat("a", maxHref+1): "",
	} {
		if got, ok := base.resolve(href); got != want || ok != (want != "") {
			t.Errorf("resolve(%.40q): got %q, %t; want %q", href, got, ok, want)
		}
	}
	if got, _ := newLinkBase("doc:1").resolve("b"); got != "b" {
		t.Errorf("got %q without a base, want the link as it is", got)
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	a := anchorSet{}
	for _, test := range [][3]string{
		{"", "Hello, World!", "hello-world"}, {"", "Hello World", "hello-world-1"}, {"", "hello-world-1", "hello-world-1-1"},
		{"own", "x", "own"}, {"own", "y", "own-1"}, {"", "日本語 の 見出し", "日本語-の-見出し"}, {"", "`func()` & C++", "func--c"}, {"", "???", "section"},
	} {
		if got := a.take(test[0], test[1]); got != test[2] {
			t.Errorf("take(%q, %q): got %q, want %q", test[0], test[1], got, test[2])
		}
	}
}

func TestCountWords(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"": 0, "one two, three": 3, "don't snake_case": 2, "日本語です": 5, "Go言語": 3, "한국어 문장": 2, "a-b": 2, "- | -": 0, "3.14": 2,
	} {
		if got := countWords(s); got != want {
			t.Errorf("countWords(%q): got %d, want %d", s, got, want)
		}
	}
}

func TestDetectLanguage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ prose, declared, want string }{
		{"", "en-US", "en"}, {"", "nonsense", ""}, {"これは日本語の文章です。", "en", "ja"}, {"이것은 한국어 문장입니다.", "", "ko"},
		{"这是一个中文句子。", "", "zh"}, {"x", "", ""},
		{"The quick brown fox jumps over the lazy dog, and then it goes home to its family in the forest.", "", "en"},
		{"Сервис читает документ и извлекает содержимое страницы. Это новый способ.", "", "ru"},
		{"De gebruiker moet zijn gegevens bijwerken voordat hij verder kan gaan met het proces, want anders blijft de aanvraag liggen.", "", "nl"}, //nolint:misspell // Dutch
		// Equal distances to two languages: the answer must not depend on map order.
		{"ŸÓ4Á, ž½+*êjDÓUlš8Ò“Î » äÿP*g£_‰) { ¸return}", "", ""},
	} {
		for range 20 {
			if got := detectLanguage(test.prose, test.declared); got != test.want {
				t.Errorf("detectLanguage(%.30q, %q): got %q, want %q", test.prose, test.declared, got, test.want)
				break
			}
		}
	}
}

func TestChunksKeepBlocksWhole(t *testing.T) {
	t.Parallel()
	code := strings.TrimSpace(strings.Repeat("line of code\n", 60)) // about 195 tokens
	prose := strings.TrimSpace(strings.Repeat("Some words in a sentence. ", 40))
	long := strings.TrimSpace(strings.Repeat("a much longer line of code\n", 100))
	src := "# A\n\n" + prose + "\n\n```\n" + code + "\n```\n\n" + prose + "\n\n```\n" + long + "\n```\n\n## B\n\n" + strings.Repeat(prose+" ", 5)
	res := parseText(t, Input{Data: []byte(src), Filename: "a.md"})
	whole := false
	for _, c := range res.Chunks {
		whole = whole || strings.Contains(c.Text, code)
		if strings.Contains(c.Text, "longer line") && !strings.HasSuffix(c.Text, "line of code") && !strings.Contains(c.Text, "words") {
			t.Errorf("a long block was cut inside a line: %.60q", c.Text)
		}
	}
	if !whole {
		t.Error("a block of code that fits a chunk was split")
	}
	for _, c := range res.Chunks[len(res.Chunks)-3 : len(res.Chunks)-1] {
		if !strings.HasSuffix(strings.TrimSpace(c.Text), ".") {
			t.Errorf("prose was not cut behind a sentence: %q", c.Text[max(0, len(c.Text)-30):])
		}
	}
}

func TestStripMDX(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, src, want string }{
		{"import over several lines", "import {\n  a,\n\n  b,\n} from 'x'\n\ntext\n", "text\n"},
		{"export with an apostrophe in a comment", "export const x = () => {\n  // don't\n  return {a: '}'}\n}\n\ntext\n", "text\n"},
		{"prose that begins with import", "import duties are paid\n", "import duties are paid\n"},
		{"code is left alone", "```jsx\nimport x from 'y'\n<A b={c}/>\n```\n", "```jsx\nimport x from 'y'\n<A b={c}/>\n```\n"},
		{"a nested template", "a {`x ${`y ${z}`} }`} b\n", "a  b\n"},
		{"a tag over several lines", "<A\n  b=\"c > d\"\n  e={{f: '>'}}\n/>\n\ntext\n", "text\n"},
		{"a child is dedented", "<A>\n  <B>\n      - x\n        y\n  </B>\n</A>\n", "- x\n  y\n\n"},
		{"a fragment", "<>\ntext\n</>\n", "text\n\n"},
		{"an address is no tag", "[a](<b c>)\n", "[a](<b c>)\n"},
		{"less than", "1 < 2 and a<b\n", "1 \\< 2 and a\\<b\n"},
		{"a long run of backticks", "``a ` {b} `` {c}\n", "``a ` {b} `` \n"},
	} {
		if got, _, _ := stripMDX(test.src); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	if _, _, unclosed := stripMDX("{a\n\n# b\n"); !unclosed {
		t.Error("an open brace was not reported")
	}
}

// A page of MDX may export its title in place of front matter. What stands in a
// block of code is no export of the page.
func TestMarkdown_TitleFromAnExport(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, src, title, description string }{
		{"an object over several lines", "import {a} from 'b';\n\nexport const meta = {\n  title: 'Custom auth flows',\n  description:\n    'Use \"Cognito\"',\n  platforms: [\n    'swift',\n  ],\n};\n\n## Prerequisites\n\ntext\n", "Custom auth flows", `Use "Cognito"`},
		{"a typed one", "export const metadata: Metadata = { title: \"A\" }\n\n# B\n", "A", ""},
		{"front matter comes first", "---\ntitle: Front\n---\n\nexport const meta = {title: 'Back'}\n\ntext\n", "Front", ""},
		{"in a block of code", "# Real\n\n```js\nexport const metadata = {\n  title: 'Acme',\n}\n```\n\n<X/>\n", "Real", ""},
		{"an expression is left out", "export const meta = {title: 'A', description: t`b`, x: [1, f()]}\n\ntext\n", "A", ""},
		{"one that would have to be run", "export const meta = {title: name(), ...rest}\n\n# Heading\n", "Heading", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := parseText(t, Input{Data: []byte(tt.src), Filename: "a.mdx", ContentType: "text/mdx"})
			description, _ := res.Metadata["description"].(string)
			if res.Title != tt.title || description != tt.description || strings.Contains(res.Text, "export const meta =") {
				t.Errorf("got title %q, description %q, text %q", res.Title, description, res.Text)
			}
		})
	}
}

// TestOutline holds that what is too costly for the parser keeps its headings,
// code and text, and says so.
func TestOutline(t *testing.T) {
	t.Parallel()
	src := "# One\n\n" + strings.Repeat(">", 500) + " deep\n\n```go\n# no heading\n```\n\n## Two ##\n\ntext\n\n~~~\nopen"
	res := parseText(t, Input{Data: []byte(src), Filename: "a.md"})
	if len(res.Sections) != 2 || res.Sections[1].Heading != "Two" || len(res.Code) != 2 || res.Code[0].Language != "go" || res.Code[1].Code != "open" {
		t.Errorf("got sections %+v and code %+v", res.Sections, res.Code)
	}
	if len(res.Warnings) != 1 || res.Warnings[0].Code != "limit_exceeded" || !strings.Contains(res.Text, "deep") {
		t.Errorf("got warnings %v", res.Warnings)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	res := parseText(t, Input{Data: []byte(strings.Repeat("# h\n", maxSections+10)), Filename: "a.md"})
	if len(res.Sections) != maxSections || len(res.Warnings) != 1 {
		t.Errorf("got %d sections and %v", len(res.Sections), res.Warnings)
	}
	res = parseText(t, Input{Data: []byte(strings.Repeat("[a](b) ", 10) + strings.Repeat("\n\n[a](b)", maxLinks)), Filename: "a.md"})
	if len(res.Links) != maxLinks || len(res.Warnings) != 1 {
		t.Errorf("got %d links and %v", len(res.Links), res.Warnings)
	}
	res = parseText(t, Input{Data: []byte(strings.Repeat("word ", maxText/5+1000)), Filename: "a.txt"})
	if len(res.Text) > maxText || len(res.Warnings) != 1 || res.Warnings[0].Code != "truncated" {
		t.Errorf("got %d bytes of text and %v", len(res.Text), res.Warnings)
	}
}

// TestCodeBlockPriority holds the place of goldmark's indented code parser, by
// which MDX leaves it out.
func TestCodeBlockPriority(t *testing.T) {
	t.Parallel()
	for _, p := range parser.DefaultBlockParsers() {
		if name := reflect.TypeOf(p.Value).String(); (name == "*parser.codeBlockParser") != (p.Priority == codeBlockPriority) {
			t.Errorf("%s has priority %d", name, p.Priority)
		}
	}
}

func TestHTMLAnchorsAndCode(t *testing.T) {
	t.Parallel()
	const page = `<main><p>Some words that stand before all headings, to make it long enough.</p>`
	for _, test := range []struct{ name, html, anchor, language, code string }{
		{"id of the heading", `<h2 id="a">T</h2><pre class="lang-js">x = 1;</pre>`, "a", "js", "x = 1;"},
		{"section around it", `<section id="b"><h2>T</h2><pre><code class="hljs python">x = 1</code></pre></section>`, "b", "python", "x = 1"},
		{"a named anchor before it", `<a name="c"></a><h2>T</h2><pre class="sourceCode rust">let x;</pre>`, "c", "rust", "let x;"},
		{"a permalink", `<h2><a class="anchor" href="#d" id="user-content-d"></a>T</h2><div class="highlight-go notranslate"><pre>x := 1</pre></div>`, "d", "go", "x := 1"},
		{"its text", `<h2>T u</h2><pre data-lang="SQL">select 1;;</pre>`, "t-u", "sql", "select 1;;"},
		{"lines without line ends", `<h2>T</h2><pre class="brush: java"><span class="line">int a;</span><span class="line">int b;</span></pre>`, "t", "java", "int a;\nint b;"},
		{"Shiki", `<h2>T</h2><div class="language-ts"><button>Copy</button><pre class="shiki"><code><span class="line">let a</span>` + "\n" + `<span class="line">  b()</span></code></pre></div>`, "t", "ts", "let a\n  b()"},
	} {
		res := parseText(t, Input{Data: []byte(page + test.html + "</main>"), ContentType: "text/html"})
		last := res.Sections[len(res.Sections)-1]
		if last.Anchor != test.anchor || len(res.Code) != 1 || res.Code[0].Language != test.language || res.Code[0].Code != test.code {
			t.Errorf("%s: got anchor %q, code %+v", test.name, last.Anchor, res.Code)
		}
		if !strings.Contains(res.Markdown, "```"+test.language+"\n"+test.code+"\n```") {
			t.Errorf("%s: the Markdown lost the code: %q", test.name, res.Markdown)
		}
	}
}

func TestHTMLTables(t *testing.T) {
	t.Parallel()
	const src = `<main><pre>some code here</pre><table><caption>All of it</caption><tr><th>A</th><th colspan=2>B</th></tr>` +
		`<tr><td rowspan=2>1</td><td>2</td><td>3<br>4</td></tr><tr><td>5</td></tr></table>` +
		`<table role=presentation><tr><td><p>One</p></td><td><p>Two</p></td></tr></table></main>`
	res := parseText(t, Input{Data: []byte(src), ContentType: "text/html"})
	want := tasks.DocumentTable{Header: []string{"A", "B", ""}, Rows: [][]string{{"1", "2", "3 4"}, {"", "5", ""}}, Section: "s1"}
	if len(res.Tables) != 1 || !reflect.DeepEqual(res.Tables[0], want) {
		t.Errorf("got %+v, want %+v", res.Tables, want)
	}
	if !strings.Contains(res.Text, "All of it") || !strings.Contains(res.Text, "One\n\nTwo") {
		t.Errorf("got text %q", res.Text)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	const swagger = `{"swagger":"2.0","info":{"title":"Old","version":"1"},"host":"api.example.com","basePath":"/v1","paths":{"/a":{"get":{
		"parameters":[{"name":"q","in":"query","type":"string"}],"responses":{"200":{"description":"ok","schema":{"$ref":"#/definitions/A"}}}}}},
		"definitions":{"A":{"type":"object","properties":{"a~b":{"type":"integer","format":"int64"}}}}}`
	res := parseText(t, Input{Data: []byte(swagger)})
	if res.Title != "Old" || len(res.Tables) != 3 || res.Tables[1].Rows[0][2] != "A" || res.Tables[2].Rows[0][1] != "integer (int64)" {
		t.Errorf("got %q with tables %v", res.Title, res.Tables)
	}
	if broken := parseText(t, Input{Data: []byte("openapi: 3.0.0\n\t- x: [")}); len(broken.Code) != 1 || len(broken.Warnings) != 1 {
		t.Errorf("a broken description: got %+v", broken)
	}
}

func TestOpenAPI_RealFile(t *testing.T) {
	t.Parallel()
	data := readData(t, datatest.Path(t, "documents", "openapi", "trigger-openapi.yml"))
	res := parseText(t, Input{Data: data, Filename: "trigger-openapi.yml"})
	want := len(regexp.MustCompile(`(?m)^    (?:get|post|put|patch|delete):`).FindAll(data, -1))
	got := 0
	for _, s := range res.Sections {
		if s.Level == 2 && strings.Contains(s.Heading, " /") {
			got++
		}
	}
	if res.Title != "Trigger.dev API" || got != want || res.Metadata["operations"] != want || len(res.Warnings) != 0 {
		t.Errorf("got title %q, %d operations of %d, warnings %v", res.Title, got, want, res.Warnings)
	}
}
