package mcp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestTrim(t *testing.T) {
	t.Parallel()
	hits := make([]string, 500)
	for i := range hits {
		hits[i] = fmt.Sprintf(`{"id":"%d","snippet":%q}`, i, strings.Repeat("wörd ", 100))
	}
	many := map[string]int{}
	for i := range 5000 {
		many[fmt.Sprint("field", i)] = i
	}
	wide, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		kind, result string
		want         []string
	}{
		"what fits":       {"search", `{"hits":[],"total":0}`, []string{`{"hits":[],"total":0}`}},
		"long lists":      {"search", `{"total":500,"hits":[` + strings.Join(hits, ",") + `]}`, []string{`"total":500`, "more)", "long texts and lists are cut"}},
		"repetitions":     {"document_parse", `{"markdown":"# A","text":"` + strings.Repeat("a ", 4000) + `"}`, []string{"# A", "left out: text"}},
		"one long text":   {"document_parse", `{"markdown":"` + strings.Repeat("ü", 9000) + `"}`, []string{"more bytes"}},
		"too many fields": {"search", string(wide), []string{"has 5000 fields"}},
		"large numbers":   {"search", `{"n":12345678901234567890,"text":"` + strings.Repeat("a", 9000) + `"}`, []string{"12345678901234567890"}},
	} {
		got, err := Trim(tt.kind, json.RawMessage(tt.result), 4000)
		if err != nil || len(got) > 4000 || !json.Valid([]byte(got)) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %s without %s", name, got, want)
			}
		}
	}
}

func FuzzTrim(f *testing.F) {
	f.Add(`{"hits":[{"a":"b"}]}`, 20)
	f.Add(`{"a":"`+strings.Repeat("\u00e9", 500)+`"}`, 200)
	f.Fuzz(func(t *testing.T, result string, most int) {
		var m map[string]any
		if json.Unmarshal([]byte(result), &m) != nil || m == nil || most < 800 {
			return
		}
		got, err := Trim("search", json.RawMessage(result), most)
		if err != nil || len(got) > most || !json.Valid([]byte(got)) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
