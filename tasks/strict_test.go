package tasks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/tasks"
)

// What the decoder would quietly mend or drop is refused: the caller would not
// hear of it.
func TestDecode_RefusesWhatWouldBeLost(t *testing.T) {
	t.Parallel()
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	long := `{"template":"x","parameters":{` + strings.Join(many, ",") + `,"k39":1}}`
	for _, tt := range []struct {
		name, kind, payload, path, message string
	}{
		{"a name twice", "search", `{"query":"a","query":"b"}`, "payload.query", "given twice"},
		{"a name twice, once escaped", "search", `{"query":"a","\u0071uery":"b"}`, "payload.query", "given twice"},
		{"a name twice far down", "config_gen", `{"template":"x","parameters":{"a":[1,{"b":{}},{"b":[[{"c":"\"{","c" : 2}]]}]}}`, "payload.parameters.a[2].b[0][0].c", "given twice"},
		{"a name twice among many", "config_gen", long, "payload.parameters.k39", "given twice"},
		{"bytes that are no UTF-8", "search", "{\"query\":\"caf\xe9\"}", "payload", "must be UTF-8, found something else at byte 14"},
		{"null", "search", " null ", "payload", "must be a JSON object, got null"},
		{"a query of spaces", "search", `{"query":" \t "}`, "payload.query", "must not be empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tasks.Request{Kind: tt.kind, Payload: json.RawMessage(tt.payload)}.Check(now)
			var in *tasks.InvalidError
			if !errors.As(err, &in) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if f := in.Fields[0]; f.Path != tt.path || !strings.Contains(f.Message, tt.message) {
				t.Errorf("got %+v, want path %q and %q", f, tt.path, tt.message)
			}
		})
	}
	// The same name in two objects, or as a value, is no fault.
	fine := `{"template":"x","parameters":{"a":"a","b":{"a":1},"c":[{"a":1},{"a":2}],"d":"\\","e":"\",\"a\":1","":{}}}`
	if _, err := (tasks.Request{Kind: "config_gen", Payload: json.RawMessage(fine)}).Check(now); err != nil {
		t.Errorf("got %v, want it taken", err)
	}
}

// doubled looks for a doubled name the slow way.
func doubled(dec *json.Decoder) (bool, error) {
	token, err := dec.Token()
	if err != nil {
		return false, err
	}
	delim, _ := token.(json.Delim)
	if delim != '{' && delim != '[' {
		return false, nil
	}
	twice := false
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return false, err
			}
			twice = twice || seen[name.(string)]
			seen[name.(string)] = true
		}
		below, err := doubled(dec)
		if err != nil {
			return false, err
		}
		twice = twice || below
	}
	_, err = dec.Token()
	return twice, err
}

func FuzzDecode_DoubledNames(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"b":[{"c":1,"c":2}]}}`, `{"\"":1,"\u0022":2}`, `{"a":"\\","a":""}`, `{"a" : [ ] , "b":[1,-2.5e3,true,null]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, parameters []byte) {
		if !json.Valid(parameters) || !bytes.HasPrefix(bytes.TrimSpace(parameters), []byte("{")) || bytes.Contains(parameters, []byte("�")) {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(parameters))
		want, err := doubled(dec)
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		payload := append(append([]byte(`{"template":"x","parameters":`), parameters...), '}')
		_, err = tasks.ConfigGen.Decode(payload)
		got := err != nil && strings.Contains(err.Error(), "is given twice")
		if utf := err != nil && strings.Contains(err.Error(), "UTF-8"); !utf && got != want {
			t.Errorf("%q: got %v, want a doubled name: %v", parameters, err, want)
		}
	})
}
