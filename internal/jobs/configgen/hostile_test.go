package configgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/configgen/syntax"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/tasks"
)

func valuesOf(values string) tasks.ConfigGenPayload {
	return tasks.ConfigGenPayload{Template: "settings", Parameters: json.RawMessage(`{"values":` + values + `}`)}
}

func TestJob_Handle_hostile(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	deep := strings.Repeat(`{"a":`, 300_000) + "1" + strings.Repeat("}", 300_000)
	brackets := strings.Repeat("[", 900_000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	with := func(file, content string) tasks.ConfigGenPayload {
		p := valuesOf(`{"a":1}`)
		if strings.HasSuffix(file, ".json") {
			p.Format = "json"
		}
		if strings.HasSuffix(file, ".toml") {
			p.Format = "toml"
		}
		p.Existing = map[string]string{file: content}
		return p
	}
	for name, p := range map[string]tasks.ConfigGenPayload{
		"parameters nested too deeply":     valuesOf(deep[:500_000]),
		"valid parameters nested deeply":   valuesOf(strings.Repeat(`[`, 2000) + strings.Repeat(`]`, 2000)),
		"10,000 services":                  {Template: "docker-compose", Parameters: json.RawMessage(`{"services":` + many(10_000) + `}`)},
		"a name of a megabyte":             {Template: "expo-app", Parameters: json.RawMessage(`{"name":"` + strings.Repeat("x", 1<<20-200) + `"}`)},
		"a package name of a megabyte":     {Template: "expo-app", Parameters: json.RawMessage(`{"name":"x","dependencies":["` + strings.Repeat("a@", 1<<19-200) + `"]}`)},
		"an expression full of brackets":   {Template: "prometheus", Parameters: json.RawMessage(`{"scrape_configs":[{"job_name":"` + strings.Repeat("(", 10_000) + `"}]}`)},
		"existing JSON nested deeply":      with("config.json", brackets),
		"existing JSON with open comment":  with("config.json", "/* "+brackets),
		"existing YAML nested deeply":      with("config.yaml", brackets),
		"existing YAML, deep blocks":       with("config.yaml", strings.Repeat("- ", 300_000)+"x"),
		"existing YAML, deep keys":         with("config.yaml", strings.Repeat("? ", 300_000)+"x"),
		"existing YAML with an alias bomb": with("config.yaml", bomb),
		"existing YAML in a circle":        with("config.yaml", "a: &a\n  b: *a\n"),
		"existing TOML nested deeply":      with("config.toml", "a = "+brackets),
		"existing TOML of deep tables":     with("config.toml", "["+strings.Repeat("a.", 200_000)+"a]"),
		"existing bytes that are no text":  with("config.yaml", "\x00\xff\xfe\x01"),
		"several YAML documents":           with("config.yaml", "a: 1\n---\nb: 2\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := j.Handle(t.Context(), p)
			f := fault.Of(err)
			if f == nil || f.Verdict != fault.Permanent {
				t.Fatalf("got %v, want a permanent fault", err)
			}
			if f.Reason != tasks.ReasonInvalid && f.Reason != tasks.ReasonTooLarge {
				t.Errorf("got reason %s: %v", f.Reason, f.Message)
			}
			for _, field := range f.Fields {
				if len(field.Path)+len(field.Message) > 2000 {
					t.Errorf("a fault of %d bytes", len(field.Path)+len(field.Message))
				}
			}
		})
	}
}

func TestJob_Handle_carries_long_and_odd_strings(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for name, text := range map[string]string{
		"a megabyte":         strings.Repeat("é", 250_000),
		"control characters": "\x00\x01\x1b[31m\x7f\u0085\u2028\ufeff\ufffe",
		"template marks":     "{{ .Env }} ${x} <%= y %> `$(id)` */ --> </script>",
		"line breaks":        "a\r\nb\n\n  c\n",
	} {
		for _, format := range []string{"yaml", "json", "toml"} {
			t.Run(name+" in "+format, func(t *testing.T) {
				t.Parallel()
				raw, err := json.Marshal(map[string]string{"text": text, text[:min(len(text), 40)]: "key"})
				if err != nil {
					t.Fatal(err)
				}
				p := valuesOf(string(raw))
				p.Format = format
				if _, err := j.Handle(t.Context(), p); err != nil { // it reads its files back itself
					t.Error(err)
				}
			})
		}
	}
}

// Values enter JavaScript as JSON literals only; what no literal may hold is
// refused by the schema.
func TestJob_Handle_no_code_in_javascript(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for _, evil := range []string{`"];process.exit();//`, "x\u2028y", "'+require('fs')+'", "a`b", "__proto__", "glb\n"} {
		raw, err := json.Marshal(map[string]any{
			"name":  "x",
			"metro": map[string]any{"asset_extensions": []string{evil}},
			"babel": map[string]any{"plugins": []string{evil}, "jsx_import_source": evil},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.Handle(t.Context(), tasks.ConfigGenPayload{Template: "expo-app", Parameters: raw})
		if _, refused := errors.AsType[*tasks.InvalidError](err); !refused {
			t.Errorf("%q was not refused: %v", evil, err)
		}
	}
}

func TestJob_Handle_bounds(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	p := valuesOf(`{"a":1}`)
	p.Existing = map[string]string{"a": strings.Repeat("x", 5<<20), "b": strings.Repeat("x", 5<<20)}
	if _, err := j.Handle(t.Context(), p); fault.Of(err) == nil || fault.Of(err).Reason != tasks.ReasonTooLarge {
		t.Errorf("got %v, want too_large for existing files", err)
	}
	d := template.NewDraft("", nil)
	for i := range maxFiles + 1 {
		d.Add(template.File{Path: fmt.Sprint(i), Format: "text"})
	}
	if _, err := j.finish(t.Context(), template.Template{}, tasks.ConfigGenPayload{}, d); fault.Of(err) == nil || fault.Of(err).Reason != tasks.ReasonTooLarge {
		t.Errorf("got %v, want too_large for many files", err)
	}
	d = template.NewDraft("", nil)
	d.Add(template.File{Path: "a", Format: "text", Text: strings.Repeat("x", maxOutputBytes+1)})
	if _, err := j.finish(t.Context(), template.Template{}, tasks.ConfigGenPayload{}, d); fault.Of(err) == nil || fault.Of(err).Reason != tasks.ReasonTooLarge {
		t.Errorf("got %v, want too_large for a large file", err)
	}
}

func TestJob_Handle_honors_its_context(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newJob(t).Handle(ctx, valuesOf(`{"a":1}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func FuzzGenerate(f *testing.F) {
	j := newJob(f)
	var names []string
	number := map[string]uint{}
	for i, info := range Templates() {
		names = append(names, info.Name)
		number[info.Name] = uint(i)
	}
	for _, p := range cases(f) {
		for path, content := range p.Existing {
			f.Add(number[p.Template], p.Format, []byte(p.Parameters), path, content)
		}
		f.Add(number[p.Template], p.Format, []byte(p.Parameters), "", "")
	}
	f.Fuzz(func(t *testing.T, n uint, format string, parameters []byte, path, content string) {
		p := tasks.ConfigGenPayload{Template: names[n%uint(len(names))], Format: format, Parameters: parameters}
		if path != "" {
			p.Existing = map[string]string{path: content}
		}
		r, err := j.Handle(t.Context(), p)
		if err != nil {
			if e := fault.Of(err); e.Verdict != fault.Permanent || e.Reason == tasks.ReasonUnknown {
				t.Fatalf("%s: %v", e.Reason, err)
			}
			return
		}
		for _, file := range r.Files {
			if s, ok := syntax.Of(file.Format); ok {
				if _, err := s.Decode(file.Content); err != nil {
					t.Errorf("%s does not read back: %v", file.Path, err)
				}
			}
		}
		again, err := j.Handle(t.Context(), p)
		if err != nil || render(again) != render(r) {
			t.Errorf("a second run gave something else: %v", err)
		}
	})
}
