package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRun_RefusesSkips(t *testing.T) {
	t.Parallel()
	there, away := t.TempDir(), filepath.Join(t.TempDir(), "away")
	tests := map[string]struct {
		events, data string
		refused      bool
	}{
		"nothing skipped":                       {"passed.json", there, false},
		"a package without tests":               {"no-tests.json", there, false},
		"any reason":                            {"redis.json", away, true},
		"shared data that is there":             {"data.json", there, true},
		"shared data that is away":              {"data.json", away, false},
		"a reason that only mentions the words": {"mentions.json", away, true},
		"no reason at all":                      {"silent.json", away, true},
		"a file that is no event stream":        {"broken.json", away, true},
		"a file that is missing":                {"missing.json", away, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(filepath.Join("testdata", tt.events), tt.data, &out)
			if (err != nil) != tt.refused {
				t.Errorf("got error %v, want refused %v; printed:\n%s", err, tt.refused, out.String())
			}
		})
	}
}

func TestRead_FindsReason(t *testing.T) {
	t.Parallel()
	skips, err := read(strings.NewReader(
		`{"Action":"output","Package":"p","Test":"TestA/b","Output":"=== RUN   TestA/b\n"}
{"Action":"output","Package":"p","Test":"TestA/b","Output":"    redis_test.go:7: redis-server is not on PATH: install it\n"}
{"Action":"output","Package":"p","Test":"TestA/b","Output":"--- SKIP: TestA/b (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA/b","Elapsed":0}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := skip{"p", "TestA/b", "redis-server is not on PATH: install it"}
	if len(skips) != 1 || skips[0] != want {
		t.Errorf("got %+v, want only %+v", skips, want)
	}
}
