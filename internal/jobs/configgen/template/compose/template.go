// Package compose is the docker-compose template: a Compose file with its
// services, networks and volumes, checked across services.
//
// Values that look like secrets are written as ${NAME}, and .env.example lists
// the names.
package compose

import (
	_ "embed"
	"path"
	"slices"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

var (
	//go:embed parameters.json
	parametersSchema []byte
	//go:embed output.json
	outputSchema []byte
)

const example = `{
  "name": "shop",
  "services": {
    "web": {
      "build": { "context": "./web" },
      "ports": ["8080:3000"],
      "environment": { "DATABASE_HOST": "db", "DATABASE_PASSWORD": "change me" },
      "depends_on": { "db": { "condition": "service_healthy" } },
      "restart": "unless-stopped"
    },
    "db": {
      "image": "postgres:18-alpine",
      "volumes": ["data:/var/lib/postgresql"],
      "healthcheck": { "test": ["CMD-SHELL", "pg_isready"], "interval": "10s" },
      "deploy": { "resources": { "limits": { "cpus": 1, "memory": "512M" } } }
    }
  },
  "volumes": { "data": null }
}`

// Template describes docker-compose.
func Template() template.Template {
	return template.Template{
		Name:        "docker-compose",
		Version:     "1.0.0",
		Description: "A Compose file: services, networks, volumes, health checks and limits.",
		Formats:     []string{"yaml", "json"},
		Parameters:  parametersSchema,
		Outputs:     map[string][]byte{"compose": outputSchema},
		Example:     example,
		Write:       template.Writer(write),
	}
}

func write(p parameters, d *template.Draft) {
	file := p.File
	if file == "" {
		file = "compose." + d.Format
	}
	d.CheckPath("file", file)
	w := writer{d: d, file: file, vault: &template.Vault{}}
	data := w.project(p)
	validate(p, d)
	d.Add(template.File{
		Path: file, Format: d.Format, Data: data, Schema: "compose",
		Merge: template.Merge{Union: [][]string{{"services", "*", "env_file"}}},
		Check: func(data *tree.Object, d *template.Draft) { check(p, data, d, file) },
	})
	if !w.vault.Empty() {
		d.Add(w.vault.Example(path.Join(path.Dir(file), ".env.example")))
	}
}

// writer turns parameters into the data of the file.
type writer struct {
	d     *template.Draft
	file  string
	vault *template.Vault
}

func (w writer) project(p parameters) *tree.Object {
	services := tree.New()
	for _, s := range p.Services {
		services.Set(s.Key, w.service(s.Key, s.Value))
	}
	networks := tree.New()
	for _, n := range p.Networks {
		networks.Set(n.Key, n.Value.data(w, n.Key))
	}
	volumes := tree.New()
	for _, v := range p.Volumes {
		volumes.Set(v.Key, v.Value.data(w, v.Key))
	}
	return tree.New().Put("name", p.Name).Set("services", services).Put("networks", networks).Put("volumes", volumes)
}

func (w writer) service(name string, s service) *tree.Object {
	o := tree.New().Put("image", s.Image)
	if s.Build != nil {
		o.Set("build", tree.New().
			Put("context", s.Build.Context).
			Put("dockerfile", s.Build.Dockerfile).
			Put("target", s.Build.Target).
			Put("args", w.variables(name, s.Build.Args, "services", name, "build", "args")))
	}
	o.Put("container_name", s.ContainerName).
		Put("hostname", s.Hostname).
		Put("user", s.User).
		Put("working_dir", s.WorkingDir).
		Put("entrypoint", s.Entrypoint.Value()).
		Put("command", s.Command.Value()).
		Put("environment", w.variables(name, s.Environment, "services", name, "environment")).
		Put("env_file", s.EnvFile).
		Put("ports", s.Ports).
		Put("expose", s.Expose).
		Put("volumes", s.Volumes).
		Put("depends_on", s.DependsOn.data()).
		Put("networks", s.Networks)
	if h := s.Healthcheck; h != nil {
		o.Set("healthcheck", tree.New().Set("test", h.Test.Value()).Put("interval", h.Interval).Put("timeout", h.Timeout).
			Put("retries", h.Retries).Put("start_period", h.StartPeriod))
	}
	if s.Deploy != nil {
		o.Put("deploy", s.Deploy.data())
	}
	return o.Put("restart", s.Restart).
		Put("stop_grace_period", s.StopGracePeriod).
		Opt("init", s.Init).
		Opt("read_only", s.ReadOnly).
		Put("cap_add", s.CapAdd).
		Put("cap_drop", s.CapDrop).
		Put("security_opt", s.SecurityOpt).
		Put("tmpfs", s.Tmpfs).
		Put("extra_hosts", s.ExtraHosts).
		Put("profiles", s.Profiles).
		Put("labels", w.variables(name, s.Labels, "services", name, "labels"))
}

// variables writes an environment; what looks like a secret becomes a
// reference.
func (w writer) variables(owner string, vars template.Ordered[template.Scalar], place ...string) *tree.Object {
	o := tree.New()
	for _, v := range vars {
		switch {
		case !v.Value.Set:
			o.Set(v.Key, nil) // taken from the shell that runs compose
		case template.Secret(v.Key, v.Value.Text):
			name := w.vault.Take(owner, v.Key, v.Value.Text)
			o.Set(v.Key, "${"+name+"}")
			w.d.Warn(w.file, append(slices.Clip(place), v.Key),
				"looks like a secret: it was written as ${%s}, set %s in .env or the shell", name, name)
		default:
			o.Set(v.Key, v.Value.Text)
		}
	}
	return o
}
