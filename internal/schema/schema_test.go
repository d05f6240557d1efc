package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jobyard/jobyard/internal/schema"
	"github.com/jobyard/jobyard/tasks"
)

// TestOf_IsASchemaThatAgreesWithTheContract holds the schemas to a validator
// that is not ours.
func TestOf_IsASchemaThatAgreesWithTheContract(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"search": `{"query":"x","fuzzy":"off"}`, "sdk_fetch": `{"ecosystem":"npm","name":"x"}`,
		"config_gen": `{"template":"x"}`, "document_parse": `{"source":{"text":"x"}}`,
	}
	kinds := schema.Kinds()
	if len(kinds) != len(tasks.KindNames()) {
		t.Fatalf("got %d kinds, want %d", len(kinds), len(tasks.KindNames()))
	}
	for _, k := range kinds {
		raw, err := schema.Of(k.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "components") {
			t.Errorf("%s: the schema leads outside: %s", k.Name, raw)
		}
		s := compile(t, raw)
		for text, want := range map[string]bool{good[k.Name]: true, `{"hue":1}`: false, `[]`: false} {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(value); (err == nil) != want {
				t.Errorf("%s: %s: got %v, want valid %v", k.Name, text, err, want)
			}
		}
		if raw, err = schema.Of(k.Result); err != nil {
			t.Fatal(err)
		}
		compile(t, raw)
	}
}

func compile(t *testing.T, raw json.RawMessage) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("x.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("x.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
