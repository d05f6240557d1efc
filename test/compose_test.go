package test

import (
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
