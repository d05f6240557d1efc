package test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// Every setting that docker-compose.yml hands to a program of ours is one that
// the program reads, and its health check is a command that it has.
func TestCompose_SetsWhatTheProgramsRead(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Command     []string       `yaml:"command"`
			Environment map[string]any `yaml:"environment"`
			Healthcheck struct {
				Test []string `yaml:"test"`
			} `yaml:"healthcheck"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &compose); err != nil {
		t.Fatal(err)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\$([A-Z_]+)`)
	for _, name := range []string{"producer", "worker", "monitor"} {
		s := compose.Services[name]
		help := ask(t, bin+s.Command[0][len("/bin"):], append(s.Command[1:], "--help")...)
		var known []string
		for _, m := range variable.FindAllStringSubmatch(help, -1) {
			known = append(known, m[1])
		}
		for setting := range s.Environment {
			if !slices.Contains(known, setting) {
				t.Errorf("%s: docker-compose.yml sets %s, which %s doesn't read", name, setting, strings.Join(s.Command, " "))
			}
		}
		if probe := s.Healthcheck.Test; !strings.Contains(ask(t, bin+probe[1][len("/bin"):], probe[2], "--help"), name+" "+probe[2]) {
			t.Errorf("%s: got health check %v, which is no command of it", name, probe)
		}
	}
}

// ask is what a program says.
func ask(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// What the Kubernetes manifests and the systemd units set is read as well.
func TestManifests_SetWhatTheProgramsRead(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"producer", "worker", "monitor"} {
		command, settings := deployed(t, "../deployments/kubernetes/"+name+".yaml")
		unit, err := os.ReadFile("../deployments/systemd/jobyard-" + name + map[bool]string{true: "@"}[name == "worker"] + ".service")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^Environment=.*`).FindAllString(string(unit), -1) {
			for _, m := range regexp.MustCompile(`\b([A-Z_]+)=`).FindAllStringSubmatch(line, -1) {
				settings = append(settings, m[1])
			}
		}
		for _, line := range regexp.MustCompile(`(?m)^ExecStart=.*`).FindAllString(string(unit), -1) {
			settings = append(settings, regexp.MustCompile(`--[a-z-]+`).FindAllString(line, -1)...)
		}
		if len(settings) < 4 {
			t.Errorf("%s: got only %v", name, settings)
		}
		help := ask(t, bin+command[0][len("/bin"):], append(command[1:], "--help")...)
		for _, s := range settings {
			if !regexp.MustCompile(regexp.QuoteMeta(s) + `[ ,\]]`).MatchString(help) {
				t.Errorf("%s: a manifest or unit sets %s, which %s doesn't read", name, s, strings.Join(command, " "))
			}
		}
	}
}

// deployed is what a file's Deployment runs, and the variables it sets.
func deployed(t *testing.T, file string) (command, variables []string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := yaml.NewDecoder(bytes.NewReader(raw)); ; {
		var doc struct {
			Kind string `yaml:"kind"`
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct {
							Command []string `yaml:"command"`
							Env     []struct {
								Name string `yaml:"name"`
							} `yaml:"env"`
						} `yaml:"containers"`
					} `yaml:"spec"`
				} `yaml:"template"`
			} `yaml:"spec"`
		}
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("%s holds no Deployment: %v", file, err)
		}
		if doc.Kind != "Deployment" {
			continue
		}
		c := doc.Spec.Template.Spec.Containers[0]
		for _, e := range c.Env {
			variables = append(variables, e.Name)
		}
		return c.Command, variables
	}
}
