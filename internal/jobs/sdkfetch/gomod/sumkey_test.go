package gomod

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// verifier makes the key of a database of that name.
func verifier(t *testing.T, name string) string {
	t.Helper()
	_, key, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCompleteSumDB(t *testing.T) {
	t.Parallel()
	known, other := verifier(t, "sum.test"), verifier(t, "other.test")
	source := `package modfetch

var knownGOSUMDB = map[string]string{
	// Not a key: "sum.test+deadbeef+AAAA".
	"other.test": "` + other + `",
	"sum.test": "` + known + `",
	"forged.test": "` + strings.Replace(other, "other.", "forged.", 1) + `",
}

func dbDial() {
	if gosumdb == "near.test" {
		gosumdb = "sum.test https://near.test"
	}
	if gosumdb == "blank.test" {
		gosumdb = " "
	}
	if gosumdb == "lost.test" {
		gosumdb = "nowhere.test https://lost.test"
	}
}
`
	for setting, want := range map[string]string{
		"":                             "",
		"off":                          "off",
		"sum.test":                     known,
		" sum.test ":                   known,
		"sum.test https://mirror.test": known + " https://mirror.test",
		"other.test":                   other,
		"near.test":                    known + " https://near.test",
		"near.test https://a.test":     "near.test https://a.test",
		"lost.test":                    "lost.test",
		"unknown.test":                 "unknown.test",
		"um.test":                      "um.test",
		"odd.test\x80":                 "odd.test\x80",
		"blank.test":                   "blank.test",
		"forged.test":                  "forged.test",
		known:                          known,
		"own+key https://a.test":       "own+key https://a.test",
	} {
		if got := CompleteSumDB(setting, []byte(source)); got != want {
			t.Errorf("%q: got %q, want %q", setting, got, want)
		}
	}
	if got := CompleteSumDB("sum.test", nil); got != "sum.test" {
		t.Errorf("without a source: got %q", got)
	}
}

func TestSums_ReadsEveryFormOfGosumdb(t *testing.T) {
	t.Parallel()
	key := verifier(t, "sum.test")
	for setting, want := range map[string]struct{ off, direct string }{
		"":                         {"not set", ""},
		"off":                      {"is off", ""},
		"sum.test":                 {`set GOSUMDB="sum.test+<hash>+<key>"`, ""},
		"sum.test https://a.test":  {`set GOSUMDB="sum.test+<hash>+<key>"`, ""},
		"sum.test+x":               {"key cannot be read", ""},
		key:                        {"", ""},
		key + "  https://a.test/x": {"", "https://a.test/x"},
		key + " ftp://a.test":      {"address cannot be read", ""},
		key + " a b":               {"two fields", ""},
		verifier(t, "a.test/x?y"):  {"no host and path", ""},
		verifier(t, "a.test/"):     {"no host and path", ""},
		verifier(t, "ann@a.test"):  {"no host and path", ""},
	} {
		s := newSums(setting, nil)
		direct := ""
		if s.direct != nil {
			direct = s.direct.String()
		}
		if want.off == "" && s.off != "" || !strings.Contains(s.off, want.off) || direct != want.direct {
			t.Errorf("%q: got %q and %q, want %+v", setting, s.off, direct, want)
		}
	}
}

// TestSum_ExemptsWhatTheGoCommandExempts needs no server: an exempt module is
// asked about nowhere.
func TestSum_ExemptsWhatTheGoCommandExempts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		noSumDB, private string
		exempt           bool
	}{
		"nothing":                    {"", "", false},
		"the path":                   {"a.test/m", "", true},
		"a prefix":                   {"b.test,a.test", "", true},
		"a pattern":                  {"*.test", "", true},
		"another path":               {"a.test/mm", "", false},
		"private":                    {"", "a.test", true},
		"GONOSUMDB before GOPRIVATE": {"none", "a.test", false},
	} {
		s := Settings{NoSumDB: c.noSumDB, Private: c.private, SumDB: "off"}
		v, err := client(s).Sum(t.Context(), &upstream.Trace{}, "a.test/m/sub", "v1.0.0")
		if err != nil || strings.Contains(v.Unverified, "exempts") != c.exempt {
			t.Errorf("%s: got %+v, %v", name, v, err)
		}
	}
}

// TestSums_Find asks the proxies in their order, and nobody whom the settings
// do not name.
func TestSums_Find(t *testing.T) {
	t.Parallel()
	key := verifier(t, "sum.test")
	here := map[string]string{"/sumdb/sum.test/supported": "yes"}
	for name, c := range map[string]struct {
		proxies []map[string]string
		sep     string
		word    string // stands last in GOPROXY
		address string // behind the key
		want    int    // the proxy that is chosen
		own     bool   // the database's own host is chosen
		reason  tasks.Reason
	}{
		"the first proxy":                   {proxies: []map[string]string{here, here}, sep: ",", want: 0},
		"not found, then the second":        {proxies: []map[string]string{nil, here}, sep: ",", want: 1},
		"an error ends the search":          {proxies: []map[string]string{{"/sumdb/sum.test/supported": "503"}, here}, sep: ",", reason: tasks.ReasonUpstream},
		"an error, pipe":                    {proxies: []map[string]string{{"/sumdb/sum.test/supported": "503"}, here}, sep: "|", want: 1},
		"no proxy has it":                   {proxies: []map[string]string{nil}, sep: ",", reason: tasks.ReasonNotFound},
		"no proxy has it, then direct":      {proxies: []map[string]string{nil}, sep: ",", word: "direct", own: true},
		"a proxy before direct":             {proxies: []map[string]string{here}, sep: ",", word: "direct", want: 0},
		"no proxy has it, then off":         {proxies: []map[string]string{nil}, sep: ",", word: "off", reason: tasks.ReasonNotFound},
		"a refusal ends the search":         {proxies: []map[string]string{{"/sumdb/sum.test/supported": "403"}}, sep: ",", word: "direct", reason: tasks.ReasonUpstream},
		"an address in GOSUMDB comes first": {proxies: []map[string]string{here}, sep: ",", address: "https://mirror.test", want: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var urls []string
			for _, files := range c.proxies {
				urls = append(urls, serve(t, files).URL)
			}
			list := urls
			if c.word != "" {
				list = append(slices.Clip(list), c.word)
			}
			cl := client(Settings{Proxy: strings.Join(list, c.sep), SumDB: strings.TrimSpace(key + " " + c.address)})
			err := (&lookup{sums: cl.sums, ctx: t.Context(), trace: &upstream.Trace{}}).find()
			if c.reason != "" {
				f := fault.Of(err)
				if f == nil || f.Reason != c.reason {
					t.Errorf("got %+v, want %s", f, c.reason)
				}
				if f != nil && f.Verdict == fault.Permanent && f.Reason == tasks.ReasonUpstream && !strings.Contains(f.Message, "GONOSUMDB") {
					t.Errorf("got %q, want a remedy in it", f.Message)
				}
				return
			}
			want := c.address
			switch {
			case c.own:
				want = "https://sum.test"
			case c.want >= 0:
				want = urls[c.want] + "/sumdb/sum.test"
			}
			if err != nil || cl.sums.base.String() != want {
				t.Errorf("got %v, %v, want %s", cl.sums.base, err, want)
			}
		})
	}
}

func FuzzCompleteSumDB(f *testing.F) {
	f.Add("sum.test", `"sum.test+0011aabb+AAAA"`)
	f.Add("a.test", `if gosumdb == "a.test" { gosumdb = "b.test https://a.test" } "b.test+1+x"`)
	f.Fuzz(func(t *testing.T, setting, source string) {
		got := CompleteSumDB(setting, []byte(source))
		if got == setting {
			return
		}
		if _, err := note.NewVerifier(strings.Fields(got)[0]); err != nil {
			t.Fatalf("%q became %q: %v", setting, got, err)
		}
	})
}
