package report

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

// Search is a list of ranked hits.
func (s Style) Search(r tasks.SearchResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", s.Title(Count(r.Total, "hit")), s.Dim(fmt.Sprintf("in %.1f ms", r.TookMS)))
	if r.DidYouMean != "" {
		fmt.Fprintf(&b, "did you mean %s?\n", s.paint(bold, line(r.DidYouMean)))
	}
	if r.Stale {
		b.WriteString(s.paint(yellow, "the newest documents are not in this answer yet") + "\n")
	}
	for i, h := range r.Hits {
		title := line(h.Title)
		if heading := line(h.Heading); heading != "" && heading != title {
			title += " › " + heading
		}
		fmt.Fprintf(&b, "\n%2d. %s %s\n", i+1, s.paint(bold, cut(title, s.width()-12)), s.Dim(fmt.Sprintf("%.2f", h.Score)))
		fmt.Fprintf(&b, "    %s\n", s.paint(cyan, place(h)))
		b.WriteString(s.snippet(h.Snippet))
		if len(h.Why) > 0 {
			fmt.Fprintf(&b, "    %s\n", s.Dim(cut("matched "+line(strings.Join(h.Why, ", ")), s.width()-4)))
		}
	}
	s.facets(&b, r.Facets)
	return b.String()
}

func place(h tasks.SearchHit) string {
	at := line(h.URL)
	if at == "" {
		at = line(h.Document)
	}
	if h.Anchor != "" && !strings.Contains(at, "#") {
		at += "#" + line(h.Anchor)
	}
	return at
}

// Marks stand for the beginning and end of a match until the text has been
// cleaned: characters for private use, one column wide.
const markOn, markOff = "\uE000", "\uE001"

func (s Style) snippet(text string) string {
	text = strings.NewReplacer(markOn, "", markOff, "").Replace(text)
	text = strings.NewReplacer("<mark>", markOn, "</mark>", markOff).Replace(text)
	text = wrap(line(html.UnescapeString(text)), "    ", s.width(), 3)
	if !s.Color {
		return strings.NewReplacer(markOn, "", markOff, "").Replace(text)
	}
	if strings.Count(text, markOn) > strings.Count(text, markOff) { // the end of a match was cut off
		text = strings.TrimSuffix(text, "\n") + markOff + "\n"
	}
	return strings.NewReplacer(markOn, "\x1b["+string(yellow)+"m", markOff, "\x1b[0m").Replace(text)
}

func (s Style) facets(b *strings.Builder, facets map[string]map[string]int) {
	for _, field := range sortedKeys(facets) {
		values := sortedKeys(facets[field])
		slices.SortStableFunc(values, func(a, b string) int { return facets[field][b] - facets[field][a] })
		var parts []string
		for _, v := range values[:min(len(values), 8)] {
			parts = append(parts, fmt.Sprintf("%s %d", line(v), facets[field][v]))
		}
		fmt.Fprintf(b, "\n%s %s\n", s.paint(bold, line(field)), strings.Join(parts, " · "))
	}
}

// Document is what a document holds: its title, figures and outline.
func (s Style) Document(r tasks.DocumentParseResult) string {
	var b strings.Builder
	title := line(r.Title)
	if title == "" {
		title = "(no title)"
	}
	b.WriteString(s.Title(cut(title, s.width())) + "\n")
	facts := []string{line(r.ContentType)}
	if r.Language != "" {
		facts = append(facts, line(r.Language))
	}
	tokens := 0
	for _, c := range r.Chunks {
		tokens += c.Tokens
	}
	facts = append(facts, Count(r.Words, "word"), Count(len(r.Sections), "section"),
		fmt.Sprintf("%s (about %s)", Count(len(r.Chunks), "chunk"), Count(tokens, "token")))
	if n := len(r.Links); n > 0 {
		facts = append(facts, Count(n, "link"))
	}
	if n := len(r.Code); n > 0 {
		facts = append(facts, Count(n, "code block"))
	}
	if n := len(r.Tables); n > 0 {
		facts = append(facts, Count(n, "table"))
	}
	fmt.Fprintf(&b, "%s\n", strings.Join(facts, " · "))
	s.outline(&b, r.Sections)
	for _, w := range r.Warnings[:min(len(r.Warnings), 10)] {
		fmt.Fprintf(&b, "  %s %s: %s\n", s.paint(yellow, "!"), line(w.Code), line(w.Detail))
	}
	if r.Token != "" {
		fmt.Fprintf(&b, "%s\n", s.Dim("indexed; a search with min_token "+line(r.Token)+" sees it"))
	}
	return b.String()
}

const maxOutline = 20

func (s Style) outline(b *strings.Builder, sections []tasks.DocumentSection) {
	shown := 0
	for _, sec := range sections {
		if sec.Level == 0 || line(sec.Heading) == "" {
			continue
		}
		if shown++; shown > maxOutline {
			continue
		}
		indent := strings.Repeat("  ", min(sec.Level, 6))
		fmt.Fprintf(b, "%s%s\n", indent, cut(line(sec.Heading), s.width()-len(indent)))
	}
	if more := shown - maxOutline; more > 0 {
		fmt.Fprintf(b, "  %s\n", s.Dim(fmt.Sprintf("… and %s more", Count(more, "heading"))))
	}
}

const maxSymbols = 8

// SDK is one version of a package.
func (s Style) SDK(r tasks.SDKFetchResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.Title(r.Ecosystem+" "+r.Name+" "+r.Version), s.verified(r.Dist))
	if !r.PublishedAt.IsZero() {
		b.WriteString(" · " + r.PublishedAt.Format("2006-01-02"))
	}
	if r.License != "" {
		b.WriteString(" · " + line(r.License))
	}
	b.WriteByte('\n')
	b.WriteString(wrap(line(r.Description), "  ", s.width(), 3))
	if r.Deprecated != nil && *r.Deprecated != "" {
		b.WriteString(s.paint(red, wrap("deprecated: "+line(*r.Deprecated), "  ", s.width(), 3)))
	}
	for _, why := range r.Retracted[:min(len(r.Retracted), 3)] {
		b.WriteString(s.paint(red, wrap("retracted: "+line(why), "  ", s.width(), 3)))
	}
	for _, row := range [][2]string{{"homepage", r.Homepage}, {"repository", r.Repository}} {
		if v := line(row[1]); v != "" {
			fmt.Fprintf(&b, "  %s %s\n", s.Dim(row[0]), v)
		}
	}
	s.dependencies(&b, "dependencies", r.Dependencies)
	s.dependencies(&b, "peer dependencies", r.PeerDependencies)
	s.dependencies(&b, "engines", r.Engines)
	s.symbols(&b, r)
	if n := len(r.Files); n > 0 {
		fmt.Fprintf(&b, "  %s %s\n", s.Dim("files"), Count(n, "file"))
	}
	for _, src := range r.Sources {
		if !src.OK {
			fmt.Fprintf(&b, "  %s %s: %s\n", s.paint(yellow, "!"), line(src.Source), line(src.Error))
		}
	}
	for _, w := range r.Warnings[:min(len(r.Warnings), 10)] {
		fmt.Fprintf(&b, "  %s %s\n", s.paint(yellow, "!"), line(w))
	}
	return b.String()
}

func (s Style) verified(d tasks.SDKDist) string {
	if !d.Verified {
		return s.paint(yellow, "not verified")
	}
	text := "verified"
	if d.VerifiedBy != "" {
		text += " by " + line(d.VerifiedBy)
	}
	return s.paint(green, text) + " · " + Bytes(d.Size)
}

func (s Style) dependencies(b *strings.Builder, name string, all map[string]string) {
	if len(all) == 0 {
		return
	}
	var parts []string
	for _, k := range sortedKeys(all) {
		parts = append(parts, line(k)+" "+line(all[k]))
	}
	fmt.Fprintf(b, "  %s %d\n", s.Dim(name), len(all))
	b.WriteString(wrap(strings.Join(parts, ", "), "    ", s.width(), 3))
}

func (s Style) symbols(b *strings.Builder, r tasks.SDKFetchResult) {
	if len(r.API) == 0 {
		return
	}
	note := ""
	if r.APITruncated {
		note = " (cut)"
	}
	fmt.Fprintf(b, "  %s %s%s\n", s.Dim("api"), Count(len(r.API), "symbol"), note)
	// What can be called and made says more of a package than its constants do.
	shown := slices.Clone(r.API)
	slices.SortStableFunc(shown, func(a, b tasks.SDKSymbol) int { return rank(a) - rank(b) })
	for _, sym := range shown[:min(len(shown), maxSymbols)] {
		signature := line(sym.Signature)
		if signature == "" {
			signature = line(sym.Kind + " " + sym.Name)
		}
		fmt.Fprintf(b, "    %s\n", cut(signature, s.width()-4))
	}
	if more := len(r.API) - maxSymbols; more > 0 {
		fmt.Fprintf(b, "    %s\n", s.Dim(fmt.Sprintf("… and %d more", more)))
	}
}

func rank(s tasks.SDKSymbol) int {
	if s.Kind == "const" || s.Kind == "var" {
		return 1
	}
	return 0
}

// Config is the generated files with their contents, at most maxLines of each;
// 0 means all.
func (s Style) Config(r tasks.ConfigGenResult, maxLines int) string {
	var b strings.Builder
	verdict := s.paint(green, "valid")
	if !r.Valid {
		verdict = s.paint(red, "not valid")
	}
	fmt.Fprintf(&b, "%s %s\n", s.Title(Count(len(r.Files), "file")), verdict)
	for _, d := range r.Diagnostics {
		i := yellow
		if d.Severity == "error" {
			i = red
		}
		at := line(d.File)
		if d.Path != "" {
			at += " " + line(d.Path)
		}
		severity := line(d.Severity)
		text := wrap(severity+" "+at+": "+line(d.Message), "    ", s.width(), 4)
		b.WriteString("  " + s.paint(i, severity) + strings.TrimPrefix(strings.TrimSpace(text), severity) + "\n")
	}
	s.dependencies(&b, "versions", r.Resolved)
	for _, f := range r.Files {
		note := line(f.Format)
		if !f.Changed {
			note += ", unchanged"
		}
		fmt.Fprintf(&b, "\n%s %s\n", s.paint(cyan, line(f.Path)), s.Dim("("+note+")"))
		lines := strings.Split(strings.TrimRight(printable(f.Content), "\n"), "\n")
		more := 0
		if maxLines > 0 && len(lines) > maxLines {
			lines, more = lines[:maxLines], len(lines)-maxLines
		}
		for _, l := range lines {
			b.WriteString("  " + l + "\n")
		}
		if more > 0 {
			fmt.Fprintf(&b, "  %s\n", s.Dim(fmt.Sprintf("… and %s more", Count(more, "line"))))
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
