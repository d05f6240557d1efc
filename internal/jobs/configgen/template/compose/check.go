package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// validate refuses what the schema of the parameters cannot see.
func validate(p parameters, d *template.Draft) {
	for _, s := range p.Services {
		at := template.Field("services", s.Key)
		source(at, s.Value, d)
		for i, text := range s.Value.Ports {
			portRange(fmt.Sprintf("%s.ports[%d]", at, i), text, d)
		}
		openSecrets(at+".command", s.Value.Command, d)
		openSecrets(at+".entrypoint", s.Value.Entrypoint, d)
		if h := s.Value.Healthcheck; h != nil {
			openSecrets(at+".healthcheck.test", h.Test, d)
		}
	}
}

func source(at string, s service, d *template.Draft) {
	if s.Image == "" && s.Build == nil {
		d.Refuse(at, "must have image or build")
	}
	if h := s.Healthcheck; h != nil && !h.Test.One {
		if len(h.Test.List) == 0 || !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, h.Test.List[0]) {
			d.Refuse(at+".healthcheck.test", "must begin with CMD, CMD-SHELL or NONE when it is a list")
		}
	}
}

// openSecrets refuses a command with a password in it: a part of a command
// cannot be taken out safely.
func openSecrets(at string, words template.Words, d *template.Draft) {
	for i, w := range words.List {
		if !template.Secret("", w) {
			continue
		}
		if !words.One {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		d.Refuse(at, "holds a password: put it into environment, where it is written as a reference, and use $$NAME here")
		return
	}
}

// check looks for faults that lie between the parts of a project. Data are
// those of the file, which may have more parts than the parameters.
func check(p parameters, data *tree.Object, d *template.Draft, file string) {
	c := checker{p, data, d, file}
	for _, s := range p.Services {
		c.dependencies(s.Key, s.Value)
		c.networks(s.Key, s.Value)
		c.volumes(s.Key, s.Value)
		c.replicas(s.Key, s.Value)
	}
	c.ports()
	c.cycles()
	c.unused()
}

type checker struct {
	p    parameters
	data *tree.Object
	d    *template.Draft
	file string
}

// has reports whether the file defines a name in a section.
func (c checker) has(section, name string) bool {
	_, ok := c.data.Object(section).Get(name)
	return ok
}

func (c checker) dependencies(name string, s service) {
	for i, dep := range s.DependsOn.all {
		place := []string{"services", name, "depends_on", dep.Key}
		if s.DependsOn.short {
			place[3] = strconv.Itoa(i)
		}
		_, checked := c.data.Object("services").Object(dep.Key).Get("healthcheck")
		switch {
		case dep.Key == name:
			c.d.Error(c.file, place, "a service cannot depend on itself")
		case !c.has("services", dep.Key):
			c.d.Error(c.file, place, "there is no service %s", dep.Key)
		case dep.Value.Condition == "service_healthy" && !checked:
			c.d.Warn(c.file, place, "waits for %s to be healthy, but it has no healthcheck here; it works only if the image has one", dep.Key)
		}
	}
}

func (c checker) networks(name string, s service) {
	for i, n := range s.Networks {
		if !c.has("networks", n) && n != "default" {
			c.d.Error(c.file, []string{"services", name, "networks", strconv.Itoa(i)}, "the network %s is not defined below networks", n)
		}
	}
}

func (c checker) volumes(name string, s service) {
	for i, v := range s.Volumes {
		source, _, _ := strings.Cut(v, ":")
		if named(source) && !c.has("volumes", source) {
			c.d.Error(c.file, []string{"services", name, "volumes", strconv.Itoa(i)}, "the volume %s is not defined below volumes", source)
		}
	}
}

// named tells a volume's name from a path on the host.
func named(source string) bool { return !strings.ContainsAny(source[:1], "./~$") }

func (c checker) replicas(name string, s service) {
	if s.Deploy == nil || s.Deploy.Replicas == nil || *s.Deploy.Replicas < 2 {
		return
	}
	if s.ContainerName != "" {
		c.d.Error(c.file, []string{"services", name, "container_name"}, "cannot be set for %d replicas", *s.Deploy.Replicas)
	}
	for i, text := range s.Ports {
		if b, ok := parsePort(text); ok && b.first == b.last {
			c.d.Error(c.file, []string{"services", name, "ports", strconv.Itoa(i)}, "%d replicas cannot share one host port", *s.Deploy.Replicas)
		}
	}
}

// binding is a range of host ports.
type binding struct {
	address, protocol string
	first, last       int
	service           string
	index             int
}

// parsePort reads a published port; false means that the host port is free to
// choose.
func parsePort(text string) (binding, bool) {
	b := binding{protocol: "tcp"}
	if before, proto, ok := strings.Cut(text, "/"); ok {
		text, b.protocol = before, proto
	}
	i := strings.LastIndex(text, ":")
	if i < 0 {
		return b, false
	}
	host := text[:i]
	if j := strings.LastIndex(host, ":"); j >= 0 {
		b.address, host = host[:j], host[j+1:]
	}
	first, last, ranged := strings.Cut(host, "-")
	var err error
	if b.first, err = strconv.Atoi(first); err != nil {
		return b, false // an existing file may have ${PORT} here
	}
	b.last = b.first
	if ranged {
		b.last, err = strconv.Atoi(last)
	}
	return b, err == nil
}

func (c checker) ports() {
	var all []binding
	for _, s := range c.data.Object("services").Members() {
		service, _ := s.Value.(*tree.Object)
		ports, _ := service.Get("ports")
		list, _ := ports.([]any)
		for i, port := range list {
			text, _ := port.(string)
			if b, ok := parsePort(text); ok {
				b.service, b.index = s.Key, i
				all = append(all, b)
			}
		}
	}
	// Sorted by first port, only neighbors that overlap need a look.
	slices.SortStableFunc(all, func(a, b binding) int { return a.first - b.first })
	for i, a := range all {
		for _, b := range all[i+1:] {
			if b.first > a.last {
				break
			}
			if a.protocol == b.protocol && (a.address == b.address || everywhere(a.address) || everywhere(b.address)) {
				c.d.Error(c.file, []string{"services", b.service, "ports", strconv.Itoa(b.index)},
					"the host port %d/%s is also published by %s", b.first, b.protocol, a.service)
				break
			}
		}
	}
}

func everywhere(address string) bool {
	return address == "" || address == "0.0.0.0" || address == "[::]"
}

func portRange(at, text string, d *template.Draft) {
	for _, digits := range strings.FieldsFunc(text[strings.LastIndexAny(text, ".]")+1:], func(r rune) bool { return r < '0' || r > '9' }) {
		if n, err := strconv.Atoi(digits); err != nil || n > 65535 {
			d.Refuse(at, "must have ports from 1 to 65535")
			return
		}
	}
}

// cycles looks for services that wait for each other.
func (c checker) cycles() {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		s, ok := c.p.Services.Get(name)
		if !ok || state[name] == done {
			return
		}
		if state[name] == visiting {
			start := slices.Index(path, name)
			if len(path)-start > 1 { // a service that names itself was reported before
				c.d.Error(c.file, []string{"services", name, "depends_on"}, "services wait for each other: %s",
					strings.Join(append(slices.Clone(path[start:]), name), " -> "))
			}
			return
		}
		state[name] = visiting
		for _, dep := range s.DependsOn.all {
			visit(dep.Key, append(slices.Clone(path), name))
		}
		state[name] = done
	}
	for _, s := range c.p.Services {
		visit(s.Key, nil)
	}
}

// unused names networks and volumes that no service uses.
func (c checker) unused() {
	networks, volumes := map[string]bool{"default": true}, map[string]bool{}
	for _, s := range c.p.Services {
		for _, n := range s.Value.Networks {
			networks[n] = true
		}
		for _, v := range s.Value.Volumes {
			source, _, _ := strings.Cut(v, ":")
			volumes[source] = true
		}
	}
	for _, n := range c.p.Networks {
		if !networks[n.Key] {
			c.d.Info(c.file, []string{"networks", n.Key}, "no service uses this network")
		}
	}
	for _, v := range c.p.Volumes {
		if !volumes[v.Key] {
			c.d.Info(c.file, []string{"volumes", v.Key}, "no service uses this volume")
		}
	}
}
