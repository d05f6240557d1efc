package documentparse

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/tasks"
)

// readData reads a file of the shared data, unpacked.
func readData(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	if data, err = io.ReadAll(z); err != nil {
		tb.Fatal(err)
	}
	return data
}

func readTruth(tb testing.TB, into any, elem ...string) string {
	tb.Helper()
	dir := datatest.Path(tb, elem...)
	if err := json.Unmarshal(readData(tb, filepath.Join(dir, "ground-truth.json")), into); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// tally counts how many of the wanted strings were found, each as often as it is
// wanted.
type tally struct{ found, wanted, extra int }

func (t *tally) add(got, want []string) (missing []string) {
	have := map[string]int{}
	for _, g := range got {
		have[g]++
	}
	for _, w := range want {
		t.wanted++
		if have[w] > 0 {
			have[w]--
			t.found++
			continue
		}
		missing = append(missing, w)
	}
	for _, n := range have {
		t.extra += n
	}
	return missing
}

func (t tally) share() float64 { return datatest.Share(t.found, t.wanted) }

type markdownTruth struct {
	Format   string
	Headings []struct {
		Level int
		Text  string
	}
	Code []struct {
		Lang   string
		SHA256 string
	}
	Links  []string
	Tables int
	JSX    []string
}

var (
	truthTag = regexp.MustCompile(`<[^>]*>`)
	truthID  = regexp.MustCompile(`\{/.*/\}$`)
)

// plainHeading takes out of the oracle's heading what it has as raw source:
// tags, and the anchors of the form {/*id*/}, whose stars it read as emphasis.
func plainHeading(s string) string {
	return fold(truthID.ReplaceAllString(truthTag.ReplaceAllString(s, ""), ""))
}

func TestQuality_MarkdownStructure(t *testing.T) {
	t.Parallel()
	truth := map[string]markdownTruth{}
	dir := readTruth(t, &truth, "documents", "markdown")
	type score struct{ headings, code, links, tables tally }
	scores := map[string]*score{"md": {}, "mdx": {}}
	for name, want := range truth {
		res, err := Parse(t.Context(), Input{Data: readData(t, filepath.Join(dir, name)), Filename: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := scores[want.Format]
		var got, wanted []string
		for _, h := range res.Sections {
			if h.Level > 0 {
				got = append(got, strings.Repeat("#", h.Level)+" "+h.Heading)
			}
		}
		for _, h := range want.Headings {
			wanted = append(wanted, strings.Repeat("#", h.Level)+" "+plainHeading(h.Text))
		}
		report(t, name, "heading", s.headings.add(got, wanted))
		got, wanted = nil, nil
		for _, c := range res.Code {
			sum := sha256.Sum256([]byte(c.Code))
			got = append(got, c.Language+" "+hex.EncodeToString(sum[:]))
		}
		for _, c := range want.Code {
			wanted = append(wanted, fenceLanguage(c.Lang)+" "+c.SHA256)
		}
		report(t, name, "code", s.code.add(got, wanted))
		got = nil
		for _, l := range res.Links {
			got = append(got, l.Href)
		}
		report(t, name, "link", s.links.add(got, want.Links))
		s.tables.add(make([]string, len(res.Tables)), make([]string, want.Tables))
		if want.Format == "mdx" {
			checkNoJSX(t, name, res, want.JSX)
		}
	}
	for format, gate := range map[string]float64{"md": 0.995, "mdx": 0.98} {
		s := scores[format]
		t.Logf("%s: headings %.4f of %d (extra %d), code %.4f of %d (extra %d), links %.4f of %d (extra %d), tables %.4f of %d (extra %d)", format,
			s.headings.share(), s.headings.wanted, s.headings.extra, s.code.share(), s.code.wanted, s.code.extra,
			s.links.share(), s.links.wanted, s.links.extra, s.tables.share(), s.tables.wanted, s.tables.extra)
		datatest.Quality(t, "document_parse_"+format+"_headings", s.headings.share(), gate)
		datatest.Quality(t, "document_parse_"+format+"_code", s.code.share(), gate)
		datatest.Quality(t, "document_parse_"+format+"_links", s.links.share(), 0.98)
		datatest.Quality(t, "document_parse_"+format+"_tables", s.tables.share(), 1)
	}
}

func report(t *testing.T, name, what string, missing []string) {
	for _, m := range missing {
		t.Logf("%s: missing %s %q", name, what, m)
	}
}

// checkNoJSX holds that no tag or import line is left in the prose.
func checkNoJSX(t *testing.T, name string, res tasks.DocumentParseResult, tags []string) {
	t.Helper()
	prose := res.Text
	for _, c := range res.Code {
		prose = strings.ReplaceAll(prose, c.Code, "")
	}
	for _, tag := range tags {
		if strings.Contains(prose, "<"+tag+"\n") || strings.Contains(prose, "</"+tag+">") || strings.Contains(prose, "<"+tag+" ") && tag != "b" {
			t.Logf("%s: tag %s is left in the text", name, tag)
		}
	}
	if m := esmImport.FindString(prose); m != "" {
		t.Errorf("%s: import is left in the text: %s", name, m)
	}
}

var word = regexp.MustCompile(`[\p{L}\p{N}_]+`)

// shingles are the 4-grams of a text's words, as in the benchmark's own
// evaluate.py.
func shingles(s string) map[string]int {
	words := word.FindAllString(s, -1)
	out := map[string]int{}
	for i := 0; i <= max(len(words)-4, 0); i++ {
		out[strings.Join(words[i:min(i+4, len(words))], " ")]++
	}
	return out
}

func shingleScore(got, want string) (precision, recall float64) {
	a, b := shingles(got), shingles(want)
	both, na, nb := 0, 0, 0
	for k, n := range a {
		both += min(n, b[k])
		na += n
	}
	for _, n := range b {
		nb += n
	}
	if both == 0 {
		return 0, 0
	}
	return float64(both) / float64(na), float64(both) / float64(nb)
}

func harmonic(p, r float64) float64 {
	if p+r == 0 {
		return 0
	}
	return 2 * p * r / (p + r)
}

func TestQuality_Articles(t *testing.T) {
	t.Parallel()
	truth := map[string]struct{ ArticleBody string }{}
	dir := readTruth(t, &truth, "documents", "html", "aeb")
	var ps, rs float64
	for name, want := range truth {
		res, err := Parse(t.Context(), Input{Data: readData(t, filepath.Join(dir, name+".html.gz")), Charset: "utf-8", ContentType: "text/html"})
		if err != nil {
			t.Fatal(err)
		}
		p, r := shingleScore(res.Text, want.ArticleBody)
		if harmonic(p, r) < 0.9 {
			t.Logf("%.12s: P %.3f R %.3f", name, p, r)
		}
		ps += p
		rs += r
	}
	n := float64(len(truth))
	f1 := harmonic(ps/n, rs/n)
	t.Logf("aeb: F1 %.4f (P %.4f R %.4f) on %d pages", f1, ps/n, rs/n, len(truth))
	datatest.Quality(t, "document_parse_article_f1", f1, 0.955)
}

func TestQuality_Segments(t *testing.T) {
	t.Parallel()
	truth := map[string]struct {
		URL           string
		With, Without []string
	}{}
	dir := readTruth(t, &truth, "documents", "html", "segments")
	var tp, fn, fp int
	for name, want := range truth {
		res, err := Parse(t.Context(), Input{Data: readData(t, filepath.Join(dir, name+".html.gz")), URI: want.URL, ContentType: "text/html"})
		if err != nil {
			t.Fatal(err)
		}
		text := fold(res.Text)
		for _, s := range want.With {
			if strings.Contains(text, fold(s)) {
				tp++
			} else {
				fn++
				t.Logf("%s: missing %q", want.URL, s)
			}
		}
		for _, s := range want.Without {
			if strings.Contains(text, fold(s)) {
				fp++
				t.Logf("%s: unwanted %q", want.URL, s)
			}
		}
	}
	p, r := float64(tp)/float64(tp+fp), float64(tp)/float64(tp+fn)
	t.Logf("segments: F1 %.4f (P %.4f R %.4f) on %d pages", harmonic(p, r), p, r, len(truth))
	datatest.Quality(t, "document_parse_segment_f1", harmonic(p, r), 0.92)
}

func TestQuality_Charsets(t *testing.T) {
	t.Parallel()
	truth := map[string]struct {
		Charset, Language, Title string
		Reference                string `json:"utf8_reference"`
		Text                     string
	}{}
	dir := readTruth(t, &truth, "documents", "charset")
	scores := map[bool]*tally{true: {}, false: {}}
	var languages, titles tally
	for name, want := range truth {
		res, err := Parse(t.Context(), Input{Data: readData(t, filepath.Join(dir, name)), Filename: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		declared := strings.Contains(name, "-meta")
		got := res.Metadata["charset"].(string)
		if want.Charset == "gb18030" && got == "gbk" {
			got = "gb18030" // its subset
		}
		report(t, name, "charset, got "+got+" for", scores[declared].add([]string{got}, []string{want.Charset}))
		report(t, name, "language, got "+res.Language+" for", languages.add([]string{res.Language}, []string{want.Language}))
		if want.Title != "" {
			report(t, name, "title, got "+res.Title+" for", titles.add([]string{res.Title}, []string{want.Title}))
		}
		if want.Text != "" && fold(res.Text) != fold(want.Text) {
			t.Errorf("%s: text differs: %.200q", name, res.Text)
		}
	}
	t.Logf("charset: %.3f of %d with meta, %.3f of %d without; language %.3f of %d; title %.3f of %d",
		scores[true].share(), scores[true].wanted, scores[false].share(), scores[false].wanted, languages.share(), languages.wanted, titles.share(), titles.wanted)
	datatest.Quality(t, "document_parse_charset_declared", scores[true].share(), 1)
	datatest.Quality(t, "document_parse_charset_guessed", scores[false].share(), 0.95)
	datatest.Quality(t, "document_parse_language", languages.share(), 0.98)
	datatest.Quality(t, "document_parse_title", titles.share(), 1)
}
