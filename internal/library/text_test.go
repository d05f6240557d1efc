package library

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSplitter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{" \t\n.,;", ""},
		{"Running the cameras", "run the camera"},
		{"useState", "usest us state"},
		{"SafeAreaView", "safeareaview safe area view"},
		{"parseHTMLString", "parsehtmlstr pars html string"},
		{"snake_case app.json", "snake_case snake case app.json app json"},
		{"@astrojs/markdoc --no-color", "astroj markdoc no color"},
		{"Café naïve Ångström", "cafe naiv angstrom"},
		{"ﬁle ＡＢＣ", "file abc"},
		{"東京都", "東京 京都"},
		{"カメラとlens", "カメ メラ ラと len"},
		{"が", "が"},
		{"React's", "react"},
		{strings.Repeat("x", 101), ""},
	} {
		var got []string
		for _, w := range newSplitter().split(c.text, nil) {
			got = append(got, w.term)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("split %q: got %q, want %q", c.text, s, c.want)
		}
	}
}

func FuzzSplitter(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text)
	}
	s := newSplitter()
	f.Fuzz(func(t *testing.T, text string) {
		for _, w := range s.split(text, nil) {
			if w.term == "" || w.surface == "" || len(w.surface) > 20*maxWordBytes || utf8.ValidString(text) && !utf8.ValidString(w.term) {
				t.Errorf("split %q: bad word %+v", text, w)
			}
		}
	})
}
