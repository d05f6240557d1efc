package deployments_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// testdata/compose-spec.json is the schema of the Compose Specification
// (github.com/compose-spec/compose-spec, Apache-2.0).

func schema(t *testing.T, file, fragment string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, "testdata", file)))
	if err == nil {
		err = c.AddResource("file:///"+file, doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("file:///" + file + fragment)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain makes of YAML what JSON would have been.
func plain(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCompose_FitsItsSchema(t *testing.T) {
	t.Parallel()
	if err := schema(t, "compose-spec.json", "").Validate(plain(t, read(t, "..", "docker-compose.yml"))); err != nil {
		t.Error(err)
	}
}

func TestCompose_SmallSetIsTheDefault(t *testing.T) {
	t.Parallel()
	var small []string
	c := load(t)
	for name, s := range c.Services {
		if len(s.Profiles) == 0 {
			small = append(small, name)
		}
	}
	slices.Sort(small)
	if got := strings.Join(small, " "); got != "monitor producer redis worker" {
		t.Errorf("got %s without a profile", got)
	}
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			file := c.Secrets[secret].File
			if m := regexp.MustCompile(`^\$\{[A-Z_]+:-\./(deployments/secrets/[a-z_]+\.example)\}$`).FindStringSubmatch(file); m == nil {
				t.Errorf("%s: secret %s lies in %q, want a file that .env chooses, and an example", name, secret, file)
			} else {
				read(t, "..", m[1])
			}
		}
	}
}

func TestCompose_WorkerHasRoomForItsRunners(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`:-(\d+)g}`).FindStringSubmatch(load(t).Services["worker"].MemLimit)
	if m == nil || m[1] < "4" { // three kinds in runners, four slots, 256 MiB, and a GiB for the parent
		t.Errorf("got %v, want 4g or more", m)
	}
}

// manifests are the documents of kubernetes/ as kustomize puts them together,
// or, without kubectl, as they lie there.
func manifests(t *testing.T) []map[string]any {
	t.Helper()
	var raw []byte
	if kubectl, err := exec.LookPath("kubectl"); err == nil {
		if raw, err = exec.Command(kubectl, "kustomize", "kubernetes").Output(); err != nil {
			t.Fatalf("kubectl kustomize: %v", err)
		}
	} else {
		t.Log("kubectl is not on PATH: the files are read without kustomize")
		files, err := filepath.Glob("kubernetes/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if filepath.Base(f) != "kustomization.yaml" {
				raw = append(append(raw, "\n---\n"...), read(t, f)...)
			}
		}
	}
	var all []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(raw)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if err == io.EOF { //nolint:errorlint // as it comes
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) > 0 {
			all = append(all, doc)
		}
	}
}

// definitions are the kinds whose schema testdata holds.
var definitions = map[string]string{
	"v1/Namespace": "core.v1.Namespace", "v1/Service": "core.v1.Service", "v1/ConfigMap": "core.v1.ConfigMap", "v1/Secret": "core.v1.Secret",
	"apps/v1/Deployment": "apps.v1.Deployment", "apps/v1/StatefulSet": "apps.v1.StatefulSet",
	"policy/v1/PodDisruptionBudget": "policy.v1.PodDisruptionBudget", "networking.k8s.io/v1/NetworkPolicy": "networking.v1.NetworkPolicy",
}

func TestKubernetes_FitsItsSchema(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, doc := range manifests(t) {
		kind := doc["apiVersion"].(string) + "/" + doc["kind"].(string)
		seen[kind]++
		if strings.HasPrefix(kind, "keda.sh/v1alpha1/") {
			continue // TestKubernetes_ScalesByTheMonitor reads them
		}
		name, known := definitions[kind]
		if !known {
			t.Errorf("no schema of %s is there", kind)
			continue
		}
		raw, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema(t, "kubernetes.schema.json", "#/definitions/io.k8s.api."+name).Validate(plain(t, raw)); err != nil {
			t.Errorf("%s %v: %v", kind, doc["metadata"], err)
		}
	}
	for _, kind := range []string{"apps/v1/Deployment", "policy/v1/PodDisruptionBudget", "networking.k8s.io/v1/NetworkPolicy", "keda.sh/v1alpha1/ScaledObject"} {
		if seen[kind] == 0 {
			t.Errorf("got no %s", kind)
		}
	}
}

type pod struct {
	Spec struct {
		Template struct {
			Spec struct {
				Grace      int64          `yaml:"terminationGracePeriodSeconds"`
				Automount  *bool          `yaml:"automountServiceAccountToken"`
				Security   map[string]any `yaml:"securityContext"`
				Containers []struct {
					Name     string
					Env      []struct{ Name, Value string }
					Security struct {
						Escalation *bool                   `yaml:"allowPrivilegeEscalation"`
						ReadOnly   bool                    `yaml:"readOnlyRootFilesystem"`
						Caps       struct{ Drop []string } `yaml:"capabilities"`
					} `yaml:"securityContext"`
					Resources struct{ Limits map[string]string }
					Readiness any `yaml:"readinessProbe"`
					Startup   any `yaml:"startupProbe"`
				}
			}
		}
	}
}

func TestKubernetes_PodsAreConfinedAndProbed(t *testing.T) {
	t.Parallel()
	pods := 0
	for _, doc := range manifests(t) {
		if kind := doc["kind"]; kind != "Deployment" && kind != "StatefulSet" {
			continue
		}
		pods++
		raw, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var p pod
		if err := yaml.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		spec := p.Spec.Template.Spec
		if spec.Security["runAsNonRoot"] != true || spec.Automount == nil || *spec.Automount {
			t.Errorf("%v: got %+v, want it not root and without a token", doc["metadata"], spec)
		}
		for _, c := range spec.Containers {
			s := c.Security
			if s.Escalation == nil || *s.Escalation || !s.ReadOnly || !slices.Equal(s.Caps.Drop, []string{"ALL"}) {
				t.Errorf("%s: got %+v, want it confined", c.Name, s)
			}
			if c.Readiness == nil || c.Startup == nil || c.Resources.Limits["memory"] == "" {
				t.Errorf("%s: want probes and a memory limit", c.Name)
			}
			for _, e := range c.Env {
				if d, err := time.ParseDuration(e.Value); e.Name == "JOBYARD_DRAIN_TIMEOUT" && (err != nil || time.Duration(spec.Grace)*time.Second < d+10*time.Second) {
					t.Errorf("%s: got %d s to end, want 10 s more than the drain of %s", c.Name, spec.Grace, e.Value)
				}
			}
		}
	}
	if pods != 4 {
		t.Errorf("got %d, want four sets of pods", pods)
	}
}

func TestKubernetes_ScalesByTheMonitor(t *testing.T) {
	t.Parallel()
	var o struct {
		Spec struct {
			Target struct {
				Name string `yaml:"name"`
			} `yaml:"scaleTargetRef"`
			Min      int `yaml:"minReplicaCount"`
			Max      int `yaml:"maxReplicaCount"`
			Polling  int `yaml:"pollingInterval"`
			Cooldown int `yaml:"cooldownPeriod"`
			Fallback any `yaml:"fallback"`
			Advanced any `yaml:"advanced"`
			Triggers []struct {
				Type       string            `yaml:"type"`
				MetricType string            `yaml:"metricType"`
				Metadata   map[string]string `yaml:"metadata"`
				Auth       map[string]string `yaml:"authenticationRef"`
			} `yaml:"triggers"`
		} `yaml:"spec"`
		APIVersion string         `yaml:"apiVersion"`
		Kind       string         `yaml:"kind"`
		Metadata   map[string]any `yaml:"metadata"`
	}
	d := yaml.NewDecoder(bytes.NewReader(read(t, "kubernetes", "scaledobject.yaml")))
	d.KnownFields(true)
	if err := d.Decode(&o); err != nil {
		t.Fatal(err)
	}
	trigger := o.Spec.Triggers[0]
	if o.Spec.Target.Name != "worker" || o.Spec.Min < 1 || o.Spec.Max < o.Spec.Min || trigger.Type != "metrics-api" || trigger.MetricType != "AverageValue" ||
		!strings.HasSuffix(trigger.Metadata["url"], ":9090/scale") || trigger.Metadata["valueLocation"] != "desired_workers" || trigger.Metadata["targetValue"] != "1" {
		t.Errorf("got %+v, want the workers scaled by the monitor's /scale", o.Spec)
	}
	var auth struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct{ Name string }
		Spec       struct {
			Secrets []map[string]string `yaml:"secretTargetRef"`
		} `yaml:"spec"`
	}
	if err := d.Decode(&auth); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"parameter": "token", "name": "monitor", "key": "password"}
	if trigger.Metadata["authMode"] != "bearer" || trigger.Auth["name"] != auth.Metadata.Name || auth.Kind != "TriggerAuthentication" ||
		len(auth.Spec.Secrets) != 1 || !maps.Equal(auth.Spec.Secrets[0], want) {
		t.Errorf("got %+v with %+v, want the monitor's password as the token", trigger, auth)
	}
}

func TestSystemd_UnitsAreConfined(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("systemd/*.service")
	if err != nil || len(files) != 3 {
		t.Fatalf("got %v, %v, want three units", files, err)
	}
	for _, f := range files {
		unit := string(read(t, f))
		for _, want := range []string{"DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryMax=", "Restart=always", "LoadCredential=redis-password:", "TimeoutStopSec="} {
			if !strings.Contains(unit, "\n"+want) {
				t.Errorf("%s: got no %s", f, want)
			}
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not on PATH: the units are not verified")
		return
	}
	out, _ := exec.Command(analyze, append([]string{"verify"}, files...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "systemd/jobyard") || strings.Contains(line, "jobyard") && !strings.Contains(line, "is not executable") {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
}
