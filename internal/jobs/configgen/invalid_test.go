package configgen

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

func TestJob_Handle_invalid(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	compose := func(services string) string {
		return `{"template":"docker-compose","parameters":{"services":` + services + `}}`
	}
	prom := func(job string) string {
		return `{"template":"prometheus","parameters":{"scrape_configs":[{"job_name":"a",` + job + `}]}}`
	}
	expo := func(rest string) string { return `{"template":"expo-app","parameters":{"name":"x",` + rest + `}}` }
	for _, c := range []struct{ name, payload, path, message string }{
		{"an unknown template", `{"template":"docker"}`, "payload.template", "must be one of expo-app, docker-compose, prometheus"},
		{"an unknown version", `{"template":"prometheus","version":"9"}`, "payload.version", "one of 1.0.0"},
		{"an unknown format", `{"template":"docker-compose","format":"toml"}`, "payload.format", "must be one of yaml, json"},
		{"a format where none can be chosen", `{"template":"expo-app","format":"yaml"}`, "payload.format", "are fixed"},
		{"a number out of range", `{"template":"settings","parameters":{"values":{"a":1e999}}}`, "payload.parameters", "out of range"},
		{"a missing parameter", `{"template":"docker-compose"}`, "payload.parameters.services", "must be set"},
		{"a wrong type", compose(`[]`), "payload.parameters.services", "must be an object, got an array"},
		{"an unknown key", compose(`{"web":{"image":"x","prots":[]}}`), "payload.parameters.services.web.prots", "known are image, build"},
		{"a bad port", compose(`{"web":{"image":"x","ports":["80:80","http"]}}`), "payload.parameters.services.web.ports[1]", "host port"},
		{"a port out of range", compose(`{"web":{"image":"x","ports":["80:70000"]}}`), "payload.parameters.services.web.ports[0]", "65535"},
		{"a key with odd letters", compose(`{"a b":{"image":"x"}}`), `payload.parameters.services["a b"]`, "letters, digits"},
		{"neither image nor build", compose(`{"we.b":{}}`), `payload.parameters.services["we.b"]`, "image or build"},
		{"a bad restart", compose(`{"w":{"image":"x","restart":"sometimes"}}`), "payload.parameters.services.w.restart", "unless-stopped"},
		{"a bad condition", compose(`{"w":{"image":"x","depends_on":{"x":{"condition":"soon"}}}}`), "payload.parameters.services.w.depends_on.x.condition", "must be one of service_started, service_healthy"},
		{"a list test without CMD", compose(`{"w":{"image":"x","healthcheck":{"test":["true"]}}}`), "payload.parameters.services.w.healthcheck.test", "CMD"},
		{"a line break after a name", compose(`{"w":{"image":"x\n"}}`), "payload.parameters.services.w.image", "image reference"},
		{"a password in a command", compose(`{"w":{"image":"x","command":["run","--password=do-not-print"]}}`), "payload.parameters.services.w.command[1]", "holds a password"},
		{"too many services", compose(many(201)), "payload.parameters.services", "must not have over 200 keys, got 201"},
		{"a path that leaves", `{"template":"docker-compose","parameters":{"file":"../x.yaml","services":{"a":{"image":"x"}}}}`, "payload.parameters.file", "without .."},
		{"an absolute path", `{"template":"settings","parameters":{"file":"/etc/passwd","values":{"a":1}}}`, "payload.parameters.file", "relative"},
		{"a backslash path", `{"template":"settings","parameters":{"file":"..\\x","values":{"a":1}}}`, "payload.parameters.file", "relative"},
		{"null in TOML", `{"template":"settings","format":"toml","parameters":{"values":{"a":{"b":null}}}}`, "payload.parameters", "no null, which stands at /a/b"},
		{"a bad duration", prom(`"scrape_interval":"15"`), "payload.parameters.scrape_configs[0].scrape_interval", "must be a duration"},
		{"a zero duration", prom(`"scrape_interval":"0s"`), "payload.parameters.scrape_configs[0].scrape_interval", "must be a duration"},
		{"a bad label", prom(`"static_configs":[{"targets":["a:1"],"labels":{"a-b":"c"}}]`), `payload.parameters.scrape_configs[0].static_configs[0].labels.a-b`, "letters, digits and _"},
		{"a reserved label", prom(`"static_configs":[{"targets":["a:1"],"labels":{"__x":"c"}}]`), "payload.parameters.scrape_configs[0].static_configs[0].labels.__x", "not begin with __"},
		{"a target with a scheme", prom(`"static_configs":[{"targets":["http://a"]}]`), "payload.parameters.scrape_configs[0].static_configs[0].targets[0]", "without a scheme"},
		{"a secret in a query", prom(`"params":{"token":["do-not-print"]}`), "payload.parameters.scrape_configs[0].params.token", "credentials_file"},
		{"alert and record", `{"template":"prometheus","parameters":{"scrape_configs":[{"job_name":"a"}],"rules":{"groups":[{"name":"g","rules":[{"alert":"A","record":"b","expr":"1"}]}]}}}`, "payload.parameters.rules.groups[0].rules[0]", "not both"},
		{"rules in the main file", `{"template":"prometheus","parameters":{"scrape_configs":[{"job_name":"a"}],"rules":{"file":"prometheus.yml","groups":[{"name":"g","rules":[{"alert":"A","expr":"1"}]}]}}}`, "payload.parameters.rules.file", "main file"},
		{"an unknown SDK", expo(`"sdk":12`), "payload.parameters.sdk", "must be one of 57, 54"},
		{"an unknown platform", expo(`"platforms":["ios","tv"]`), "payload.parameters.platforms[1]", "must be one of ios, android, web"},
		{"no platform", expo(`"platforms":[]`), "payload.parameters.platforms", "under 1 elements"},
		{"the same platform twice", expo(`"platforms":["ios","ios"]`), "payload.parameters.platforms", "same element twice"},
		{"a package of unknown version", expo(`"dependencies":["expo-camera","zustand"]`), "payload.parameters.dependencies[1]", "write zustand@ and a version"},
		{"a package twice", expo(`"dependencies":["expo-camera"],"dev_dependencies":["expo-camera@1.0.0"]`), "payload.parameters.dev_dependencies[0]", "stands twice"},
		{"a moving version", expo(`"dependencies":["zustand@latest"]`), "payload.parameters.dependencies[0]", "must be a package"},
		{"a plugin twice", expo(`"plugins":["a",{"name":"a"}]`), "payload.parameters.plugins[1]", "stands twice"},
		{"a package named native", expo(`"android":{"package":"com.native.app"}`), "payload.parameters.android.package", "native"},
		{"a name without letters", `{"template":"expo-app","parameters":{"name":"日本"}}`, "payload.parameters.slug", "must be set"},
		{"an icon outside", expo(`"icon":"../../etc/x.png"`), "payload.parameters.icon", "without .."},
		{"a relative program", `{"template":"systemd-unit","parameters":{"name":"x","exec_start":["run"]}}`, "payload.parameters.exec_start[0]", "absolute path"},
		{"a line break in a unit", `{"template":"systemd-unit","parameters":{"name":"x","exec_start":["/x"],"description":"a\nExecStart=/evil"}}`, "payload.parameters.description", "one line"},
		{"a variable twice", `{"template":"dotenv","parameters":{"variables":[{"name":"A"},{"name":"A"}]}}`, "payload.parameters.variables[1].name", "stands twice"},
		{"an existing file that does not parse", `{"template":"tsconfig","existing":{"tsconfig.json":"{\n\n\"a\": nope}"}}`, "payload.existing", "tsconfig.json cannot be read, line 3"},
		{"an existing YAML that does not parse", `{"template":"prometheus","parameters":{"scrape_configs":[{"job_name":"a"}]},"existing":{"prometheus.yml":"a: 1\nb: [1\nc: 2\n"}}`, "payload.existing", "prometheus.yml cannot be read, line"},
		{"an existing file with a key twice", `{"template":"tsconfig","existing":{"tsconfig.json":"{\"a\": 1,\n\"a\": 2}"}}`, "payload.existing", `line 2: the key "a" stands twice`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := j.Handle(t.Context(), payload(t, []byte(c.payload)))
			var in *tasks.InvalidError
			if !errors.As(err, &in) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if f := fault.Of(err); f.Verdict != fault.Permanent || f.Reason != tasks.ReasonInvalid {
				t.Errorf("got verdict %v, reason %v", f.Verdict, f.Reason)
			}
			if strings.Contains(err.Error(), "do-not-print") {
				t.Errorf("the message has the secret: %v", err)
			}
			for _, f := range in.Fields {
				if f.Path == c.path && strings.Contains(f.Message, c.message) {
					return
				}
			}
			t.Errorf("got %v, want %s: …%s…", in.Fields, c.path, c.message)
		})
	}
}

// The door refuses a key that stands twice; should one come another way, the job
// does so too.
func TestJob_Handle_aKeyThatStandsTwice(t *testing.T) {
	t.Parallel()
	_, err := newJob(t).Handle(t.Context(), tasks.ConfigGenPayload{
		Template: "settings", Parameters: json.RawMessage(`{"values":{"a":1,"a":2}}`),
	})
	var in *tasks.InvalidError
	if !errors.As(err, &in) || in.Fields[0].Path != "payload.parameters" || !strings.Contains(in.Fields[0].Message, `"a" stands twice`) {
		t.Errorf("got %v, want the parameters refused", err)
	}
}

// many makes n services.
func many(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"s%d":{"image":"x"}`, i)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestJob_Handle_all_faults_at_once(t *testing.T) {
	t.Parallel()
	_, err := Generate(t.Context(), payload(t, []byte(`{"template":"expo-app","parameters":{"slug":"NO","sdk":1,"orientation":"up","more":1}}`)))
	var in *tasks.InvalidError
	if !errors.As(err, &in) {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range in.Fields {
		paths = append(paths, strings.TrimPrefix(f.Path, "payload.parameters."))
	}
	if got, want := strings.Join(paths, " "), "more name orientation sdk slug"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
