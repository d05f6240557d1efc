package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jobyard/jobyard/tasks"
)

// A file with one good and one bad line of each kind: eight answers in order,
// the bad ones with the field's path, and exit code 1.
func TestStandaloneBatch_AnswersEveryLine(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	lines := []struct{ request, path string }{
		{`{"kind":"document_parse","payload":{"source":{"text":"# Hello\n\nWorld.\n"},"content_type":"text/markdown"}}`, ""},
		{`{"kind":"document_parse","payload":{"source":{}}}`, "payload.source"},
		{`{"kind":"search","payload":{"query":"hello"}}`, ""},
		{`{"kind":"search","payload":{"query":"hello","limit":"ten"}}`, "payload.limit"},
		{`{"kind":"sdk_fetch","payload":{"ecosystem":"npm","name":"@example/greeter"}}`, ""},
		{`{"kind":"sdk_fetch","payload":{"ecosystem":"cargo","name":"x"}}`, "payload.ecosystem"},
		{`{"kind":"config_gen","payload":{"template":"prometheus","parameters":{"jobs":[]}}}`, "payload.parameters.jobs"},
		{`{"kind":"config_gen","payload":{"template":"docker-compose","parameters":{"services":{"web":{"image":"nginx:1"}}}}}`, ""},
	}
	var file bytes.Buffer
	for _, l := range lines {
		file.WriteString(l.request + "\n")
	}
	path := filepath.Join(t.TempDir(), "requests.ndjson")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := y.command(patience(t), "standalone", "batch", path)
	cmd.Env = append(cmd.Env, "REDIS_URL=") // its own broker
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("got exit %v, want code 1\n%s", err, said.String())
	}
	answers := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if len(answers) != len(lines) {
		t.Fatalf("got %d answers, want %d:\n%s\n%s", len(answers), len(lines), out.String(), said.String())
	}
	for i, raw := range answers {
		var got tasks.Task
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if want := lines[i].path; want == "" {
			if got.State != tasks.Completed || len(got.Result) == 0 {
				t.Errorf("line %d: got %s", i+1, raw)
			}
		} else if got.Error == nil || got.Error.Reason != tasks.ReasonInvalid || len(got.Error.Fields) == 0 || got.Error.Fields[0].Path != want {
			t.Errorf("line %d: got %s, want it invalid at %s", i+1, raw, want)
		}
	}
}
