// Package deployments_test holds what docker-compose.yml, the Dockerfile and the
// Prometheus configuration must not lose, since no compiler reads them.
package deployments_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
	Secrets  map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

type service struct {
	Image           string             `yaml:"image"`
	User            string             `yaml:"user"`
	Command         []string           `yaml:"command"`
	ContainerName   string             `yaml:"container_name"`
	Environment     map[string]*string `yaml:"environment"`
	Ports           []string           `yaml:"ports"`
	Volumes         []any              `yaml:"volumes"`
	ReadOnly        bool               `yaml:"read_only"`
	CapDrop         []string           `yaml:"cap_drop"`
	SecurityOpt     []string           `yaml:"security_opt"`
	StopGracePeriod string             `yaml:"stop_grace_period"`
	MemLimit        string             `yaml:"mem_limit"`
	Profiles        []string           `yaml:"profiles"`
	Secrets         []string           `yaml:"secrets"`
	Healthcheck     struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
}

// ours are the services that run the project's own binaries, and the variable
// with the address on which each answers its health check.
func ours() map[string]string {
	return map[string]string{
		"producer": "JOBYARD_LISTEN",
		"worker":   "JOBYARD_ADMIN_LISTEN",
		"monitor":  "JOBYARD_LISTEN",
	}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func load(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal(read(t, "..", "docker-compose.yml"), &c); err != nil {
		t.Fatalf("parse docker-compose.yml: %v", err)
	}
	for _, name := range []string{"redis", "producer", "worker", "monitor", "prometheus", "alertmanager", "grafana"} {
		if _, ok := c.Services[name]; !ok {
			t.Fatalf("got no service %s", name)
		}
	}
	return c
}

func TestCompose_EveryServiceIsWatchedAndConfined(t *testing.T) {
	t.Parallel()
	for name, s := range load(t).Services {
		probe := strings.Join(s.Healthcheck.Test, " ")
		if probe == "" || strings.Contains(probe, "curl") {
			t.Errorf("%s: got health check %q, want one that needs no curl", name, probe)
		}
		user, _, _ := strings.Cut(s.User, ":")
		if user == "" || user == "0" || user == "root" {
			t.Errorf("%s: got user %q, want one that is not root", name, s.User)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: got cap_drop %v, security_opt %v, want all dropped and no new privileges", name, s.CapDrop, s.SecurityOpt)
		}
		if !s.ReadOnly {
			t.Errorf("%s: got a writable root, want read_only", name)
		}
		if s.MemLimit == "" && name != "redis" {
			t.Errorf("%s: got no mem_limit", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: got port %q, want it published on loopback only", name, port)
			}
		}
	}
}

func TestCompose_OurServicesProbeThemselves(t *testing.T) {
	t.Parallel()
	c := load(t)
	for name, variable := range ours() {
		s := c.Services[name]
		binary := "/bin/" + name
		if len(s.Command) == 0 || s.Command[0] != binary {
			t.Errorf("%s: got command %v, want %s first", name, s.Command, binary)
		}
		if !s.ReadOnly {
			t.Errorf("%s: got a writable root, want read_only", name)
		}
		if got := s.DependsOn["redis"].Condition; got != "service_healthy" {
			t.Errorf("%s: got condition %q on redis, want service_healthy", name, got)
		}
		test := s.Healthcheck.Test
		if len(test) != 4 || test[0] != "CMD" || test[1] != binary || test[2] != "healthcheck" {
			t.Errorf("%s: got health check %v, want CMD %s healthcheck URL", name, test, binary)
			continue
		}
		u, err := url.Parse(test[3])
		if err != nil {
			t.Fatal(err)
		}
		if want := port(t, s, variable); u.Hostname() != "127.0.0.1" || u.Port() != want || u.Path != "/healthz" {
			t.Errorf("%s: got health check of %s, want /healthz on port %s of %s", name, u, want, variable)
		}
	}
}

// port is the port of the listen address that a variable of the service holds.
func port(t *testing.T, s service, variable string) string {
	t.Helper()
	v := s.Environment[variable]
	if v == nil {
		t.Fatalf("got no %s in %v", variable, s.Command)
	}
	_, port, err := net.SplitHostPort(*v)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return port
}

func TestCompose_WorkerCanBeScaled(t *testing.T) {
	t.Parallel()
	w := load(t).Services["worker"]
	if w.ContainerName != "" || len(w.Ports) > 0 {
		t.Errorf("got container_name %q and ports %v, want neither: the second worker could not start", w.ContainerName, w.Ports)
	}
	if w.MemLimit == "" {
		t.Error("got no mem_limit: one worker could take the machine's memory")
	}
	for _, v := range w.Volumes {
		if m, ok := v.(map[string]any); !ok || m["type"] != "volume" || m["source"] != nil {
			t.Errorf("got volume %v, want one without a name: workers must not share a data folder", v)
		}
	}
}

func TestCompose_WorkerMayDrain(t *testing.T) {
	t.Parallel()
	w := load(t).Services["worker"]
	grace, err := time.ParseDuration(w.StopGracePeriod)
	if err != nil {
		t.Fatalf("stop_grace_period: %v", err)
	}
	setting := w.Environment["JOBYARD_DRAIN_TIMEOUT"]
	if setting == nil {
		t.Fatal("got no JOBYARD_DRAIN_TIMEOUT")
	}
	drain, err := time.ParseDuration(*setting)
	if err != nil {
		t.Fatalf("JOBYARD_DRAIN_TIMEOUT must be a constant here, since stop_grace_period is one: %v", err)
	}
	if grace < drain+10*time.Second {
		t.Errorf("got stop_grace_period %s, want 10s more than the drain of %s", grace, drain)
	}
}

func TestCompose_RedisForgetsNothing(t *testing.T) {
	t.Parallel()
	c := load(t)
	r := c.Services["redis"]
	command := strings.Join(r.Command, " ")
	for _, want := range []string{"--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction", "--maxmemory "} {
		if !strings.Contains(command, want) {
			t.Errorf("got command %q, want %q in it", command, want)
		}
	}
	if _, named := c.Volumes["redis-data"]; !named || !slices.Contains(r.Volumes, any("redis-data:/data")) {
		t.Errorf("got volumes %v, want the named volume redis-data at /data", r.Volumes)
	}
	if len(r.Ports) > 0 {
		t.Errorf("got ports %v, want Redis reachable for our services only", r.Ports)
	}
}

func TestEnvExample_ListsEveryVariable(t *testing.T) {
	t.Parallel()
	raw := string(read(t, "..", "docker-compose.yml"))
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(raw, -1) {
		used[m[1]] = true
	}
	for name := range ours() {
		for variable, value := range load(t).Services[name].Environment {
			if value == nil { // handed on from the shell or .env
				used[variable] = true
			}
		}
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Z_]+)=`).FindAllStringSubmatch(string(read(t, "..", ".env.example")), -1) {
		listed[m[1]] = true
	}
	for v := range used {
		if !listed[v] {
			t.Errorf("docker-compose.yml reads %s, .env.example doesn't list it", v)
		}
	}
	for v := range listed {
		if !used[v] {
			t.Errorf(".env.example lists %s, docker-compose.yml doesn't read it", v)
		}
	}
}

func TestPrometheus_ScrapesWhatListens(t *testing.T) {
	t.Parallel()
	var p struct {
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
			Static  []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
			DNS []struct {
				Names []string `yaml:"names"`
				Type  string   `yaml:"type"`
				Port  string   `yaml:"port"`
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(read(t, "prometheus", "prometheus.yml"), &p); err != nil {
		t.Fatalf("parse prometheus.yml: %v", err)
	}
	var got []string
	for _, job := range p.ScrapeConfigs {
		for _, s := range job.Static {
			got = append(got, s.Targets...)
		}
		for _, d := range job.DNS {
			got = append(got, d.Type+" "+strings.Join(d.Names, ",")+":"+d.Port)
		}
	}
	c := load(t)
	for _, want := range []string{
		"monitor:" + port(t, c.Services["monitor"], "JOBYARD_LISTEN"),
		"A worker:" + port(t, c.Services["worker"], "JOBYARD_ADMIN_LISTEN"),
	} {
		if !slices.Contains(got, want) {
			t.Errorf("got targets %q, want %q among them", got, want)
		}
	}
}

// TestPrometheus_HasTheMonitorsPassword: both read one secret, where compose puts
// it.
func TestPrometheus_HasTheMonitorsPassword(t *testing.T) {
	t.Parallel()
	var p struct {
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			Authorization struct {
				File string `yaml:"credentials_file"`
			} `yaml:"authorization"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(read(t, "prometheus", "prometheus.yml"), &p); err != nil {
		t.Fatal(err)
	}
	c := load(t)
	const secret = "/run/secrets/monitor_password"
	if file := c.Services["monitor"].Environment["JOBYARD_PAGE_PASSWORD_FILE"]; file == nil || *file != secret {
		t.Errorf("got a monitor with the password file %v, want %s", file, secret)
	}
	for _, s := range []string{"monitor", "prometheus"} {
		if !slices.Contains(c.Services[s].Secrets, "monitor_password") {
			t.Errorf("%s: got secrets %v, want monitor_password among them", s, c.Services[s].Secrets)
		}
	}
	if p.ScrapeConfigs[0].JobName != "monitor" || p.ScrapeConfigs[0].Authorization.File != secret {
		t.Errorf("got %+v, want the monitor scraped with %s", p.ScrapeConfigs[0], secret)
	}
	if len(read(t, "secrets", "monitor_password.example")) < 12 {
		t.Error("the example is no password that the monitor takes")
	}
}

func TestDockerfile_FitsTheProject(t *testing.T) {
	t.Parallel()
	raw := string(read(t, "Dockerfile"))
	stages := strings.Split(raw, "\nFROM ")
	final := stages[len(stages)-1]
	if !strings.HasPrefix(final, "scratch\n") || !strings.Contains(final, "\nUSER 65532:65532\n") {
		t.Errorf("got final stage %q, want scratch with user 65532", final)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(read(t, "..", "go.mod")))
	if len(version) == 0 || !strings.Contains(raw, "golang:"+version[1]+" ") {
		t.Errorf("got no build stage with golang:%v, the version that go.mod asks for", version)
	}
	for name := range ours() {
		if !strings.Contains(raw, "bin/"+name+" ") {
			t.Errorf("got no binary %s in the image", name)
		}
	}
}
