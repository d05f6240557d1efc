package semver

import (
	"errors"
	"strings"
	"testing"
)

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "1.2.x", "=1.2.3",
		"9007199254740992.0.0", strings.Repeat("1", 300) + ".0.0", "1.2.3-a..b", "1.2.3 4"} {
		if v, err := Parse(text, Options{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v, want ErrInvalid", text, v, err)
		}
	}
}

func TestParseRange_RefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	if _, err := ParseRange(strings.Repeat("1 ", maxRange), Options{Loose: true}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.2.3", "v1.2.3-alpha.1+b", "1.2.3beta", " =1.2.3"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, loose bool) {
		v, err := Parse(text, Options{Loose: loose})
		if err != nil {
			return
		}
		again, err := Parse(v.String(), Options{Loose: loose})
		if err != nil || again.Compare(v) != 0 {
			t.Fatalf("%q: %s reads again as %s, %v", text, v, again, err)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"^1.2.3", "~> 1.x || >=2 <3", "1 - 2", "*", ">1.2.3-a.1", "||", "<x"} {
		f.Add(s, "1.2.3-a.1", true, true)
	}
	f.Fuzz(func(t *testing.T, text, version string, loose, pre bool) {
		o := Options{Loose: loose, IncludePrerelease: pre}
		r, err := ParseRange(text, o)
		if err != nil {
			return
		}
		again, err := ParseRange(r.String(), o)
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q: %s reads again as %s, %v", text, r, again, err)
		}
		if v, err := Parse(version, o); err == nil {
			if r.Match(v) != again.Match(v) || r.Match(v) && (r.Above(v) || r.Below(v)) {
				t.Fatalf("%q and %s contradict each other on %s", text, r, v)
			}
		}
	})
}

func BenchmarkParseAndMatch(b *testing.B) {
	for b.Loop() {
		r, _ := ParseRange(">=1.2.3 <2.0.0 || ^3.1.0 || ~4.2", Options{})
		v, _ := Parse("4.2.9", Options{})
		if !r.Match(v) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	r, _ := ParseRange(">=1.2.3 <2.0.0 || ^3.1.0 || ~4.2", Options{})
	v, _ := Parse("4.2.9", Options{})
	for b.Loop() {
		if !r.Match(v) {
			b.Fatal("no match")
		}
	}
}
