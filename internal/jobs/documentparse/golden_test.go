package documentparse

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden results")

// TestGolden compares whole results with reviewed ones, and holds that a second
// reading gives the same bytes.
func TestGolden(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		if strings.HasSuffix(path, ".golden.json") {
			continue
		}
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := Input{Data: readData(t, path), Filename: strings.TrimSuffix(name, ".txt"), URI: "https://yard.example/docs/here/" + name}
			if name == "note.txt" {
				in.Filename = name
			}
			got := resultJSON(t, in)
			if again := resultJSON(t, in); !bytes.Equal(got, again) {
				t.Error("the same input gave another result")
			}
			golden := path + ".golden.json"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := readData(t, golden)
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s; run with -update and review.\n%s", golden, firstDifference(string(got), string(want)))
			}
		})
	}
}

func resultJSON(t *testing.T, in Input) []byte {
	t.Helper()
	res, err := Parse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, res)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(res); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return "got  " + g[i] + "\nwant " + strings.Join(w[min(i, len(w)):min(i+1, len(w))], "")
		}
	}
	return "want has more lines"
}
