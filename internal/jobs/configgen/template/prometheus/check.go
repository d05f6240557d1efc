package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
)

// check looks for faults that lie between the parts.
func check(p parameters, d *template.Draft) {
	interval := duration(p.Global.ScrapeInterval)
	timeout := 10 * time.Second // Prometheus's own default
	if p.Global.ScrapeTimeout != "" {
		timeout = duration(p.Global.ScrapeTimeout)
		if timeout > interval {
			d.Error(p.File, []string{"global", "scrape_timeout"}, "is longer than scrape_interval (%s)", p.Global.ScrapeInterval)
		}
	}
	first := map[string]int{}
	targets := map[string]string{}
	for i, s := range p.ScrapeConfigs {
		at := []string{"scrape_configs", strconv.Itoa(i)}
		if j, twice := first[s.JobName]; twice {
			d.Error(p.File, append(at, "job_name"), "the job %q stands twice, first as number %d; each job needs a name of its own", clip(s.JobName), j+1)
		} else {
			first[s.JobName] = i
		}
		checkTimes(p, d, s, at, times{interval, timeout})
		checkTargets(p, d, s, at, targets)
		for _, e := range s.Params {
			if slices.ContainsFunc(e.Value, func(v string) bool { return template.Secret(e.Key, v) }) {
				d.Refuse(template.Field(fmt.Sprintf("scrape_configs[%d].params", i), e.Key),
					"looks like a secret, which is not written to a file: use authorization.credentials_file")
			}
		}
	}
	checkRules(p, d)
}

// times are the global ones, which a job may override.
type times struct{ interval, timeout time.Duration }

func checkTimes(p parameters, d *template.Draft, s scrape, at []string, global times) {
	interval := global.interval
	if s.ScrapeInterval != "" {
		interval = duration(s.ScrapeInterval)
	}
	switch {
	case s.ScrapeTimeout != "" && duration(s.ScrapeTimeout) > interval:
		d.Error(p.File, append(at, "scrape_timeout"), "is longer than the job's scrape_interval (%s)", interval)
	case s.ScrapeTimeout == "" && p.Global.ScrapeTimeout != "" && global.timeout > interval:
		d.Error(p.File, append(at, "scrape_interval"), "is shorter than the scrape_timeout of the globals (%s)", p.Global.ScrapeTimeout)
	}
}

func checkTargets(p parameters, d *template.Draft, s scrape, at []string, seen map[string]string) {
	if len(s.StaticConfigs)+len(s.FileSD)+len(s.DNSSD) == 0 {
		d.Warn(p.File, at, "the job has no targets: give it static_configs, file_sd_configs or dns_sd_configs")
	}
	if s.Authorization != nil && s.BasicAuth != nil {
		d.Error(p.File, append(at, "authorization"), "cannot stand beside basic_auth")
	}
	for j, c := range s.DNSSD {
		if c.Type != "SRV" && c.Port == 0 {
			d.Error(p.File, append(at, "dns_sd_configs", strconv.Itoa(j), "port"), "must be set for records of type %s", c.Type)
		}
	}
	for j, c := range s.StaticConfigs {
		for k, t := range c.Targets {
			key := s.JobName + "\x00" + t
			if _, twice := seen[key]; twice {
				d.Warn(p.File, append(at, "static_configs", strconv.Itoa(j), "targets", strconv.Itoa(k)), "the job has this target twice")
			}
			seen[key] = t
		}
	}
}

func checkRules(p parameters, d *template.Draft) {
	if p.Rules == nil {
		return
	}
	if rulesPath(p) == p.File {
		d.Refuse("rules.file", "must not be the main file")
	}
	names := map[string]bool{}
	for i, g := range p.Rules.Groups {
		if names[g.Name] {
			d.Error(rulesPath(p), []string{"groups", strconv.Itoa(i), "name"}, "the group %q stands twice", clip(g.Name))
		}
		names[g.Name] = true
		for j, r := range g.Rules {
			field := fmt.Sprintf("rules.groups[%d].rules[%d]", i, j)
			at := []string{"groups", strconv.Itoa(i), "rules", strconv.Itoa(j)}
			if (r.Alert == "") == (r.Record == "") {
				d.Refuse(field, "must have alert or record, and not both")
			}
			if r.Record != "" && (r.For != "" || r.Keep != "") {
				d.Refuse(field, "for and keep_firing_for belong to alerts, not to recorded metrics")
			}
			if fault := unbalanced(r.Expr); fault != "" {
				d.Error(rulesPath(p), append(at, "expr"), "%s", fault)
			}
		}
	}
}

var durationPart = regexp.MustCompile(`([0-9]+)(ms|[smhdwy])`)

// duration reads Prometheus's form. The schema has checked it; what is over
// the range of a time.Duration counts as its end.
func duration(s string) time.Duration {
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
	}
	const most = time.Duration(1<<63 - 1)
	var total time.Duration
	for _, m := range durationPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		unit := units[m[2]]
		if err != nil || n > int64((most-total)/unit) {
			return most
		}
		total += time.Duration(n) * unit
	}
	return total
}

// unbalanced looks for brackets and quotes that are not closed: the faults of
// an expression that can be seen without PromQL's grammar.
func unbalanced(expr string) string {
	var open []byte
	pairs := map[byte]byte{')': '(', ']': '[', '}': '{'}
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; c {
		case '#':
			n := strings.IndexByte(expr[i:], '\n')
			if n < 0 {
				i = len(expr)
				continue
			}
			i += n
		case '"', '\'', '`':
			end := quoted(expr, i)
			if end < 0 {
				return fmt.Sprintf("the quote at byte %d is not closed", i+1)
			}
			i = end
		case '(', '[', '{':
			open = append(open, c)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != pairs[c] {
				return fmt.Sprintf("the bracket %c at byte %d closes nothing", c, i+1)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return fmt.Sprintf("a bracket %c is not closed", open[len(open)-1])
	}
	return ""
}

func quoted(s string, start int) int {
	for i := start + 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[start] != '`':
			i++
		case s[i] == s[start]:
			return i
		}
	}
	return -1
}

func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}
