package library

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jobyard/jobyard/tasks"
)

// filled makes a store without Redis.
func filled(tb testing.TB, docs ...Document) *store {
	tb.Helper()
	s, err := openStore(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	c, err := newCodec()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.close)
	b, err := newBatch(s, newSplitter(), c)
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range docs {
		d.Collection = inCollection(d.Collection)
		value, err := c.encode(&d)
		if err != nil {
			tb.Fatal(err)
		}
		if err := b.put(documentID(d.Collection, d.URI), value); err != nil {
			tb.Fatal(err)
		}
	}
	if err := errors.Join(b.commit(&Token{1, 1}), b.close()); err != nil {
		tb.Fatal(err)
	}
	return s
}

func ask(tb testing.TB, s *store, q Query) Answer {
	tb.Helper()
	v, err := s.view()
	if err != nil {
		tb.Fatal(err)
	}
	defer v.Close()
	if q.Weights == (Weights{}) {
		q.Weights = plainWeights
	}
	a, err := newSearch(v, newSplitter(), q).run(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func sectionIDs(a Answer) []string {
	ids := []string{}
	for _, h := range a.Hits {
		ids = append(ids, h.Section.ID)
	}
	return ids
}

func TestSearch_FindsWords(t *testing.T) {
	t.Parallel()
	s := filled(t,
		page("hooks", "Hooks", "Call useState() in app.json files, then SafeAreaView."),
		page("cafe", "Café", "naïve résumé"),
		page("ja", "写真", "カメラで写真を撮影する。ｶﾒﾗも。"),
		page("zh", "中文", "数据库连接"),
		page("run", "Running", "the runner runs"),
	)
	for _, c := range []struct{ query, want string }{
		{"usestate", "hooks#0"}, {"state", "hooks#0"}, {"safe area view", "hooks#0"}, {"app.json", "hooks#0"}, {"json", "hooks#0"},
		{"cafe", "cafe#0"}, {"CAFÉ", "cafe#0"}, {"resume", "cafe#0"}, {"Naive", "cafe#0"},
		{"カメラ", "ja#0"}, {"撮影", "ja#0"}, {"写", "ja#0"}, {"数据", "zh#0"}, {"ＨＯＯＫＳ", "hooks#0"},
		{"runs", "run#0"}, {"hoks", "hooks#0"}, {"runnning", "run#0"}, {"the", "run#0"},
	} {
		if got := sectionIDs(ask(t, s, Query{Text: c.query, Limit: 10, Fuzzy: true})); !slices.Contains(got, c.want) {
			t.Errorf("search %q: got %q, want %q among them", c.query, got, c.want)
		}
	}
}

func TestSearch_ToleratesTyposOnlyInUnknownWords(t *testing.T) {
	t.Parallel()
	s := filled(t, page("a", "Camera", "lens"), page("b", "Camora", "known though odd"), page("c", "Configuration", "settings"))
	for _, c := range []struct {
		query, corrected string
		fuzzy            bool
		want             []string
	}{
		{"camera", "", true, []string{"a#0"}},
		{"camora", "", true, []string{"b#0"}},
		{"camra lens", "camera lens", true, []string{"a#0", "b#0"}},
		{"camra lens", "", false, []string{"a#0"}},
		{"The confguraton!", "The configuration!", true, []string{"c#0"}},
		{"zzzzzz", "", true, []string{}},
		{"caméra", "", true, []string{"a#0"}},
		{"v12345", "", true, []string{}},
	} {
		a := ask(t, s, Query{Text: c.query, Limit: 10, Fuzzy: c.fuzzy})
		got := sectionIDs(a)
		slices.Sort(got)
		if !slices.Equal(got, c.want) || !strings.EqualFold(a.Corrected, c.corrected) {
			t.Errorf("search %q (fuzzy %v): got %q, corrected %q; want %q, %q", c.query, c.fuzzy, got, a.Corrected, c.want, c.corrected)
		}
	}
}

func TestSearch_FiltersCountsAndPages(t *testing.T) {
	t.Parallel()
	var docs []Document
	for i := range 30 {
		d := page(fmt.Sprintf("p%02d", i), "Same title", "same body")
		d.Collection = []string{"red", "blue", "green"}[i%3]
		d.Language = []string{"en", "de"}[i%2]
		docs = append(docs, d)
	}
	s := filled(t, docs...)
	a := ask(t, s, Query{
		Text: "same", Limit: 4, Offset: 2, Facets: []string{"collection", "language"},
		Filters: map[string][]string{"collection": {"red", "blue", "none"}, "language": {"de"}},
	})
	if a.Total != 10 || a.Facets["collection"]["red"] != 5 || a.Facets["collection"]["blue"] != 5 || a.Facets["language"]["de"] != 10 || len(a.Facets["language"]) != 1 {
		t.Errorf("got total %d, facets %v; want 10 and 5 red, 5 blue, 10 de", a.Total, a.Facets)
	}
	// Equal scores come in the order of collection and uri.
	if got, want := sectionIDs(a), []string{"p13#0", "p19#0", "p25#0", "p03#0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, q := range []Query{
		{Text: "same", Limit: 4, Filters: map[string][]string{"collection": {"unknown"}}},
		{Text: "same", Limit: 4, Filters: map[string][]string{"collection": {}}},
		{Text: "same", Limit: 4, Offset: 1000},
	} {
		if a := ask(t, s, q); len(a.Hits) != 0 {
			t.Errorf("%+v: got %d hits, want none", q, len(a.Hits))
		}
	}
}

func TestSearch_TellsWhereItMatched(t *testing.T) {
	t.Parallel()
	s := filled(t, page("a", "Camera", "A small cámera and cameras."))
	a := ask(t, s, Query{Text: "camera", Limit: 1})
	var got []string
	texts := map[string]string{"title": a.Hits[0].Document.Title, "body": a.Hits[0].Section.Body}
	for _, m := range a.Hits[0].Matches {
		got = append(got, m.Field+":"+texts[m.Field][m.Start:m.End])
	}
	if want := []string{"title:Camera", "body:cámera", "body:cameras"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSearch_EndsQuicklyOnHostileQueries(t *testing.T) {
	t.Parallel()
	s := filled(t, page("a", "Camera", "lens and light"))
	for name, text := range hostile() {
		a := ask(t, s, Query{Text: text, Limit: 10, Fuzzy: true})
		if len(a.Corrected) > 20*MaxQueryBytes || !utf8.ValidString(a.Corrected) && utf8.ValidString(text) {
			t.Errorf("%s: corrected to %q", name, a.Corrected)
		}
	}
}

func hostile() map[string]string {
	rng := rand.New(rand.NewPCG(3, 4))
	var unknown []string
	for range 1000 {
		unknown = append(unknown, fmt.Sprintf("%c%c%clight", 'a'+rng.IntN(26), 'a'+rng.IntN(26), 'a'+rng.IntN(26)))
	}
	return map[string]string{
		"only punctuation": strings.Repeat("!?*~^:\"()[]{}\\/+-", 50), "nul": "cam\x00era \x00", "no UTF-8": "cam\xff\xfe\xc3era",
		"right to left": "\u202eكاميرا\u202c שלום camera", "one long word": strings.Repeat("a", 1000), "spaces": strings.Repeat(" ", 1000),
		"1,000 words": strings.Join(unknown, " "), "humps": strings.Repeat("aB", 500), "dots": strings.Repeat("a.", 500),
		"combining marks": "e" + strings.Repeat("\u0301", 400), "kana": strings.Repeat("ｶﾞ", 150), "one ideograph": "写",
		"emoji": strings.Repeat("👩‍👩‍👧", 40), "query syntax": `+title:camera -body:/.*.*.*/ "open`,
	}
}

func TestSearch_StopsWithItsContext(t *testing.T) {
	t.Parallel()
	s := filled(t, page("a", "Camera", "lens"))
	v, err := s.view()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := newSearch(v, newSplitter(), Query{Text: "camera", Limit: 1, Weights: plainWeights}).run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestReplica_RefusesBadQueries(t *testing.T) {
	t.Parallel()
	r, err := Open(t.Context(), Config{Dir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, q := range map[string]Query{
		"too long": {Text: strings.Repeat("a", MaxQueryBytes+1)}, "too deep": {Limit: 10, Offset: MaxWindow}, "negative": {Limit: -1},
		"unknown filter": {Filters: map[string][]string{"body": {"x"}}}, "unknown facet": {Facets: []string{"_id"}},
	} {
		var invalid *tasks.InvalidError
		if _, err := r.Search(t.Context(), q); !errors.As(err, &invalid) {
			t.Errorf("%s: got %v, want an InvalidError", name, err)
		}
	}
	if a, err := r.Search(t.Context(), Query{Text: "anything", Limit: 10, Weights: plainWeights}); err != nil || len(a.Hits) != 0 {
		t.Errorf("empty index: got %v, %v; want no hits and no error", a, err)
	}
}

func TestScores_TopKeepsAllThatEqualTheLast(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		s := make(scores, rng.IntN(60))
		var all []ranked
		for i := range s {
			if rng.IntN(4) > 0 {
				s[i] = standing{float64(rng.IntN(6)), 1}
				all = append(all, ranked{number: uint64(i), score: s[i].score})
			}
		}
		slices.SortStableFunc(all, func(a, b ranked) int { return int(b.score - a.score) })
		n := rng.IntN(20)
		want := map[uint64]bool{}
		for i, r := range all {
			if i < n || n > 0 && r.score == all[n-1].score {
				want[r.number] = true
			}
		}
		got := s.top(n)
		for _, r := range got {
			if !want[r.number] {
				t.Fatalf("top %d of %v: %v does not belong", n, s, r)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("top %d of %v: got %d, want %d", n, s, len(got), len(want))
		}
	}
}

func FuzzSearch(f *testing.F) {
	s := filled(f, page("a", "Camera useState", "lens and light", "カメラで写真"), page("b", "Other", "sound"))
	for _, text := range hostile() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxQueryBytes {
			return
		}
		a := ask(t, s, Query{Text: text, Limit: 5, Fuzzy: true})
		for _, h := range a.Hits {
			if len(h.Matches) == 0 || !(h.Score > 0) {
				t.Errorf("hit %q of score %v has no match", h.Section.ID, h.Score)
			}
		}
	})
}
