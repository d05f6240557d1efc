package compose

import (
	"encoding/json"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

type parameters struct {
	File     string                     `json:"file"`
	Name     string                     `json:"name"`
	Services template.Ordered[service]  `json:"services"`
	Networks template.Ordered[*network] `json:"networks"`
	Volumes  template.Ordered[*volume]  `json:"volumes"`
}

type service struct {
	Image           string                            `json:"image"`
	Build           *build                            `json:"build"`
	Command         template.Words                    `json:"command"`
	Entrypoint      template.Words                    `json:"entrypoint"`
	ContainerName   string                            `json:"container_name"`
	Hostname        string                            `json:"hostname"`
	User            string                            `json:"user"`
	WorkingDir      string                            `json:"working_dir"`
	Ports           []string                          `json:"ports"`
	Expose          []string                          `json:"expose"`
	Environment     template.Ordered[template.Scalar] `json:"environment"`
	EnvFile         []string                          `json:"env_file"`
	Volumes         []string                          `json:"volumes"`
	DependsOn       dependencies                      `json:"depends_on"`
	Networks        []string                          `json:"networks"`
	Healthcheck     *healthcheck                      `json:"healthcheck"`
	Deploy          *deploy                           `json:"deploy"`
	Restart         string                            `json:"restart"`
	StopGracePeriod string                            `json:"stop_grace_period"`
	Init            *bool                             `json:"init"`
	ReadOnly        *bool                             `json:"read_only"`
	CapAdd          []string                          `json:"cap_add"`
	CapDrop         []string                          `json:"cap_drop"`
	SecurityOpt     []string                          `json:"security_opt"`
	Tmpfs           []string                          `json:"tmpfs"`
	ExtraHosts      []string                          `json:"extra_hosts"`
	Profiles        []string                          `json:"profiles"`
	Labels          template.Ordered[template.Scalar] `json:"labels"`
}

type build struct {
	Context    string                            `json:"context"`
	Dockerfile string                            `json:"dockerfile"`
	Target     string                            `json:"target"`
	Args       template.Ordered[template.Scalar] `json:"args"`
}

type healthcheck struct {
	Test        template.Words `json:"test"`
	Interval    string         `json:"interval"`
	Timeout     string         `json:"timeout"`
	Retries     int            `json:"retries"`
	StartPeriod string         `json:"start_period"`
}

type deploy struct {
	Replicas  *int `json:"replicas"`
	Resources struct {
		Limits       resources `json:"limits"`
		Reservations resources `json:"reservations"`
	} `json:"resources"`
}

func (d deploy) data() *tree.Object {
	return tree.New().Opt("replicas", d.Replicas).Put("resources", tree.New().
		Put("limits", d.Resources.Limits.data()).
		Put("reservations", d.Resources.Reservations.data()))
}

type resources struct {
	CPUs   template.Scalar `json:"cpus"`
	Memory string          `json:"memory"`
	Pids   int             `json:"pids"`
}

func (r resources) data() *tree.Object {
	return tree.New().Put("cpus", r.CPUs.Text).Put("memory", r.Memory).Put("pids", r.Pids)
}

// dependencies are the services to start first.
type dependencies struct {
	short bool
	all   template.Ordered[dependency]
}

type dependency struct {
	Condition string `json:"condition"`
	Restart   *bool  `json:"restart"`
	Required  *bool  `json:"required"`
}

// UnmarshalJSON implements json.Unmarshaler for both forms.
func (d *dependencies) UnmarshalJSON(raw []byte) error {
	var names []string
	if json.Unmarshal(raw, &names) != nil {
		return json.Unmarshal(raw, &d.all)
	}
	d.short = true
	for _, n := range names {
		d.all = append(d.all, template.Entry[dependency]{Key: n})
	}
	return nil
}

func (d dependencies) data() any {
	if d.short {
		var names []string
		for _, e := range d.all {
			names = append(names, e.Key)
		}
		return names
	}
	o := tree.New()
	for _, e := range d.all {
		o.Set(e.Key, tree.New().Put("condition", e.Value.Condition).Opt("restart", e.Value.Restart).Opt("required", e.Value.Required))
	}
	return o
}

type network struct {
	Driver   string                            `json:"driver"`
	Name     string                            `json:"name"`
	Internal bool                              `json:"internal"`
	External bool                              `json:"external"`
	Labels   template.Ordered[template.Scalar] `json:"labels"`
}

func (n *network) data(w writer, name string) *tree.Object {
	if n == nil {
		return nil
	}
	return tree.New().Put("driver", n.Driver).Put("name", n.Name).Put("internal", n.Internal).Put("external", n.External).
		Put("labels", w.variables(name, n.Labels, "networks", name, "labels"))
}

type volume struct {
	Driver     string                            `json:"driver"`
	Name       string                            `json:"name"`
	External   bool                              `json:"external"`
	DriverOpts template.Ordered[template.Scalar] `json:"driver_opts"`
	Labels     template.Ordered[template.Scalar] `json:"labels"`
}

func (v *volume) data(w writer, name string) *tree.Object {
	if v == nil {
		return nil
	}
	return tree.New().Put("driver", v.Driver).Put("name", v.Name).Put("external", v.External).
		Put("driver_opts", w.variables(name, v.DriverOpts, "volumes", name, "driver_opts")).
		Put("labels", w.variables(name, v.Labels, "volumes", name, "labels"))
}
