// Package systemd is the systemd-unit template: one .service unit, hardened
// unless the caller says otherwise.
//
// Units are world-readable, so variables that look like secrets are left out;
// .env.example lists what the environment file must hold.
package systemd

import (
	_ "embed"
	"fmt"
	"path"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
)

//go:embed parameters.json
var parametersSchema []byte

const example = `{
  "name": "shop",
  "description": "The shop's API",
  "exec_start": ["/usr/local/bin/shop", "--listen", "127.0.0.1:8080"],
  "user": "shop",
  "environment": { "SHOP_LOG": "info" },
  "memory_max": "512M"
}`

// Template describes systemd-unit.
func Template() template.Template {
	return template.Template{
		Name:        "systemd-unit",
		Version:     "1.0.0",
		Description: "A systemd service unit with limits and a sandbox.",
		Parameters:  parametersSchema,
		Example:     example,
		Write:       template.Writer(write),
	}
}

type parameters struct {
	Name             string                            `json:"name"`
	Description      string                            `json:"description"`
	Documentation    []string                          `json:"documentation"`
	Type             string                            `json:"type"`
	ExecStart        []string                          `json:"exec_start"`
	ExecReload       []string                          `json:"exec_reload"`
	User             string                            `json:"user"`
	Group            string                            `json:"group"`
	DynamicUser      bool                              `json:"dynamic_user"`
	WorkingDirectory string                            `json:"working_directory"`
	StateDirectory   string                            `json:"state_directory"`
	Environment      template.Ordered[template.Scalar] `json:"environment"`
	EnvironmentFile  string                            `json:"environment_file"`
	Restart          string                            `json:"restart"`
	RestartSec       string                            `json:"restart_sec"`
	TimeoutStop      string                            `json:"timeout_stop"`
	After            []string                          `json:"after"`
	Wants            []string                          `json:"wants"`
	Requires         []string                          `json:"requires"`
	WantedBy         []string                          `json:"wanted_by"`
	MemoryMax        string                            `json:"memory_max"`
	CPUQuota         string                            `json:"cpu_quota"`
	TasksMax         int                               `json:"tasks_max"`
	LimitNoFile      int                               `json:"limit_nofile"`
	Hardening        bool                              `json:"hardening"`
}

func write(p parameters, d *template.Draft) {
	file := p.Name + ".service"
	check(p, d, file)
	vault := &template.Vault{}
	var plain []string
	for _, v := range p.Environment {
		if template.Secret(v.Key, v.Value.Text) {
			vault.Take(p.Name, v.Key, v.Value.Text)
			continue
		}
		plain = append(plain, quote(v.Key+"="+v.Value.Text, false))
	}
	if !vault.Empty() {
		if p.EnvironmentFile == "" {
			p.EnvironmentFile = path.Join("/etc", p.Name, p.Name+".env")
		}
		sample := vault.Example(".env.example")
		sample.Notes[""] = "Copy to " + p.EnvironmentFile + ", readable by root alone, and fill in."
		d.Add(sample)
		d.Warn(file, []string{"Service", "Environment"}, "variables that look like secrets were left out: set them in %s, .env.example lists them", p.EnvironmentFile)
	}
	d.Add(template.File{Path: file, Format: "text", Text: unit(p, plain)})
}

func check(p parameters, d *template.Draft, file string) {
	checkCommand(d, "exec_start", p.ExecStart)
	checkCommand(d, "exec_reload", p.ExecReload)
	if p.User == "" && !p.DynamicUser {
		d.Warn(file, []string{"Service", "User"}, "is not set, so the service runs as root: set user or dynamic_user")
	}
	if p.Type == "oneshot" && (p.Restart == "always" || p.Restart == "on-success") {
		d.Error(file, []string{"Service", "Restart"}, "cannot be %s for a oneshot service", p.Restart)
	}
}

func checkCommand(d *template.Draft, field string, command []string) {
	if len(command) > 0 && !strings.HasPrefix(command[0], "/") {
		d.Refuse(field+"[0]", "must be the absolute path of the program")
	}
	for i, arg := range command {
		if template.Secret("", arg) {
			d.Refuse(fmt.Sprintf("%s[%d]", field, i), "holds a password, which every user could read: put it into environment")
		}
	}
}

func unit(p parameters, environment []string) string {
	var b strings.Builder
	section := func(name string) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("[" + name + "]\n")
	}
	set := func(key, value string) {
		if value != "" && value != "0" {
			b.WriteString(key + "=" + value + "\n")
		}
	}
	section("Unit")
	if p.Description == "" {
		p.Description = p.Name
	}
	set("Description", strings.ReplaceAll(p.Description, "%", "%%"))
	set("Documentation", strings.ReplaceAll(strings.Join(p.Documentation, " "), "%", "%%"))
	set("Requires", strings.Join(p.Requires, " "))
	set("Wants", strings.Join(p.Wants, " "))
	set("After", strings.Join(p.After, " "))
	section("Service")
	set("Type", p.Type)
	set("ExecStart", command(p.ExecStart))
	set("ExecReload", command(p.ExecReload))
	set("User", p.User)
	set("Group", p.Group)
	set("DynamicUser", yes(p.DynamicUser))
	set("WorkingDirectory", p.WorkingDirectory)
	set("StateDirectory", p.StateDirectory)
	for _, e := range environment {
		set("Environment", e)
	}
	set("EnvironmentFile", p.EnvironmentFile)
	set("Restart", p.Restart)
	if p.Restart != "no" {
		set("RestartSec", p.RestartSec)
	}
	set("TimeoutStopSec", p.TimeoutStop)
	set("MemoryMax", p.MemoryMax)
	set("CPUQuota", p.CPUQuota)
	set("TasksMax", fmt.Sprint(p.TasksMax))
	set("LimitNOFILE", fmt.Sprint(p.LimitNoFile))
	if p.Hardening {
		b.WriteString(sandbox)
	}
	section("Install")
	set("WantedBy", strings.Join(p.WantedBy, " "))
	return b.String()
}

// sandbox holds the settings that hardly any service misses.
const sandbox = `NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
`

func yes(on bool) string {
	if on {
		return "yes"
	}
	return ""
}

func command(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quote(w, true)
	}
	return strings.Join(out, " ")
}

// quote writes one word of a unit file: % begins a specifier everywhere, $ a
// variable in commands only.
func quote(word string, inCommand bool) string {
	word = strings.ReplaceAll(word, "%", "%%")
	if inCommand && word != "$MAINPID" { // what a reload sends its signal to
		word = strings.ReplaceAll(word, "$", "$$")
	}
	if word != "" && !strings.ContainsAny(word, " \"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
