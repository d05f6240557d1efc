package reuse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/reuse"
	"github.com/jobyard/jobyard/tasks"
)

// use is what becomes of a payload that anybody hands over.
func use(t *testing.T, kind, payload string) (reuse.Use, bool) {
	t.Helper()
	r, err := tasks.Request{Kind: kind, Payload: json.RawMessage(payload)}.Check(time.Now())
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return reuse.Of(r.Kind, r.Payload)
}

func TestOf_whatMayBeUsedAndForHowLong(t *testing.T) {
	t.Parallel()
	const never, briefly, hour = 0, time.Minute, time.Hour
	for _, tt := range []struct {
		kind, payload string
		want          time.Duration
	}{
		{"search", `{"query":"tides"}`, never},
		{"document_parse", `{"source":{"text":"# Tides"}}`, 720 * time.Hour},
		{"document_parse", `{"source":{"base64":"VGlkZXM="},"collection":"a"}`, 720 * time.Hour},
		{"document_parse", `{"source":{"blob":"` + strings.Repeat("a", 64) + `"}}`, 720 * time.Hour},
		{"document_parse", `{"source":{"url":"https://example.test/a.md"}}`, briefly},
		{"document_parse", `{"source":{"text":"# Tides"},"uri":"a.md","index":true}`, never},
		{"document_parse", `{"index":true,"uri":"a.md","source":{"text":"\"index\":false"}}`, never},
		{"document_parse", `{"source":{"url":"https://example.test/a.md"},"index":true}`, never},
		{"config_gen", `{"template":"dotenv","parameters":{"a":1}}`, 720 * time.Hour},
		{"sdk_fetch", `{"ecosystem":"npm","name":"left-pad"}`, briefly},
		{"sdk_fetch", `{"ecosystem":"npm","name":"left-pad","version":"^1.2.0"}`, briefly},
		{"sdk_fetch", `{"ecosystem":"npm","name":"left-pad","version":"1.x"}`, briefly},
		{"sdk_fetch", `{"ecosystem":"npm","name":"left-pad","version":"1.3.0"}`, hour},
		{"sdk_fetch", `{"ecosystem":"go","name":"golang.org/x/mod","version":"v0.42.0"}`, hour},
		{"sdk_fetch", `{"ecosystem":"go","name":"golang.org/x/mod","version":"v0.42"}`, briefly},
		{"sdk_fetch", `{"ecosystem":"npm","name":"left-pad","version":"1.3.0","index":true}`, never},
	} {
		got, ok := use(t, tt.kind, tt.payload)
		if got.For != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s %s: got %s, %t; want %s", tt.kind, tt.payload, got.For, ok, tt.want)
		}
	}
	// Strangers write to Redis what no door let through.
	for _, raw := range []string{"", "null", "[]", "{", `{"source":{"text":"a"},"Index":true}`, `{"source":1}`} {
		if got, ok := reuse.Of("document_parse", []byte(raw)); ok && raw != "null" {
			t.Errorf("%q: got %+v", raw, got)
		}
	}
	if _, ok := reuse.Of("unknown", []byte("{}")); ok || reuse.Ever("search") || !reuse.Ever("config_gen") {
		t.Error("got a rule where there is none")
	}
}

func TestOf_theSameTask(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{`sdk_fetch {"ecosystem":"npm","name":"a"}`, `sdk_fetch {"name":"a","ecosystem":"npm","version":"latest"}`,
			`sdk_fetch {"ecosystem":"npm","name":"a","include":["dependencies","api","readme","api"]}`},
		{`document_parse {"source":{"text":"a"}}`, `document_parse {"source":{"text":"\u0061"},"collection":"docs","index":false}`},
		{`config_gen {"template":"t","parameters":{"a":[1,2]}}`, "config_gen {\"parameters\": {\"a\" :\n[1, 2]}, \"template\":\"t\",\"check\":false}"},
	} {
		first, _ := key(t, same[0])
		for _, other := range same[1:] {
			if got, _ := key(t, other); got != first {
				t.Errorf("%s and %s: got two keys", same[0], other)
			}
		}
	}
	distinct := []string{
		`sdk_fetch {"ecosystem":"npm","name":"a"}`, `sdk_fetch {"ecosystem":"go","name":"a"}`, `sdk_fetch {"ecosystem":"npm","name":"b"}`,
		`sdk_fetch {"ecosystem":"npm","name":"a","version":"1.0.0"}`, `sdk_fetch {"ecosystem":"npm","name":"a","include":["files"]}`,
		`document_parse {"source":{"text":"a"}}`, `document_parse {"source":{"text":"a "}}`, `document_parse {"source":{"base64":"YQ=="}}`,
		`document_parse {"source":{"text":"a"},"filename":"a.md"}`, `document_parse {"source":{"text":"a"},"content_type":"text/html"}`,
		`document_parse {"source":{"text":"a"},"uri":"a"}`,
		`config_gen {"template":"t","parameters":{"a":1}}`, `config_gen {"template":"t","parameters":{"a":"1"}}`,
		`config_gen {"template":"t","parameters":{"a":1},"check":true}`, `config_gen {"template":"t","parameters":{"a":1},"version":"1"}`,
		`config_gen {"template":"t","parameters":{"a":1},"existing":{"a":"b"}}`,
		`config_gen {"template":"t","parameters":{"a":1,"b":2}}`, `config_gen {"template":"t","parameters":{"b":2,"a":1}}`,
	}
	seen := map[string]string{}
	for _, d := range distinct {
		k, _ := key(t, d)
		if seen[k] != "" {
			t.Errorf("%s and %s: got one key", d, seen[k])
		}
		seen[k] = d
	}
}

func key(t *testing.T, of string) (string, bool) {
	t.Helper()
	kind, payload, _ := strings.Cut(of, " ")
	u, ok := use(t, kind, payload)
	if !ok {
		t.Fatalf("%s may not be used", of)
	}
	return fmt.Sprintf("%x", u.Key), ok
}

// The order of fields, spaces and escapes make no other task; any value does.
func TestOf_canonicalJSON(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	seen := map[string]string{}
	for range 500 {
		fields := map[string]any{
			"template": fmt.Sprint("t", rng.IntN(3)), "check": rng.IntN(2) == 1, "format": fmt.Sprint("f", rng.IntN(3)),
			"existing": map[string]string{fmt.Sprint("a", rng.IntN(2)): fmt.Sprint("<x>&", rng.IntN(3), "\u2028"), "b": "c"},
		}
		canonical, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := key(t, "config_gen "+string(canonical))
		for range 5 {
			if got, _ := key(t, "config_gen "+shuffled(t, rng, fields)); got != first {
				t.Fatalf("%s: got another key for another way to write it", canonical)
			}
		}
		if other := seen[first]; other != "" && other != string(canonical) {
			t.Fatalf("%s and %s: got one key", canonical, other)
		}
		seen[first] = string(canonical)
	}
}

// shuffled writes an object in another order, with spaces, and without escapes.
func shuffled(t *testing.T, rng *rand.Rand, fields map[string]any) string {
	t.Helper()
	space := func() string { return strings.Repeat(" \n\t"[rng.IntN(3):][:1], rng.IntN(3)) }
	var parts []string
	for name, v := range fields {
		var value bytes.Buffer
		e := json.NewEncoder(&value)
		e.SetEscapeHTML(rng.IntN(2) == 1)
		if rng.IntN(2) == 1 {
			e.SetIndent(" ", "  ")
		}
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf("%s%q%s:%s%s", space(), name, space(), space(), value.String()))
	}
	rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return "{" + strings.Join(parts, ",") + "}" + space()
}

func TestUse_Keeps(t *testing.T) {
	t.Parallel()
	fetch, _ := use(t, "sdk_fetch", `{"ecosystem":"npm","name":"a"}`)
	for result, want := range map[string]bool{
		`{"sources":[{"source":"a","ok":true}]}`: true, `{"sources":[{"ok":true},{"ok":false}]}`: false, `{`: false, `{}`: true,
	} {
		if got := fetch.Keeps([]byte(result)); got != want {
			t.Errorf("%s: got %t", result, got)
		}
	}
	if parse, _ := use(t, "document_parse", `{"source":{"text":"a"}}`); !parse.Keeps([]byte("{}")) {
		t.Error("got a result refused that depends on nothing else")
	}
}

// Every kind has been thought about.
func TestRules_everyKind(t *testing.T) {
	t.Parallel()
	for _, kind := range tasks.KindNames() {
		if !reuse.Known(kind) {
			t.Errorf("%s has no rule: say in rules.go whether its results may serve equal tasks", kind)
		}
	}
}
