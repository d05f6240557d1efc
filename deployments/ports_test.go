package deployments_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// dig follows keys into nested maps.
func dig(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func each(v any) []any {
	list, _ := v.([]any)
	return list
}

// exposed is what a set of pods listens on.
type exposed struct {
	labels map[string]any
	ports  map[string]string // name to number
}

func (e exposed) has(port any) bool {
	for name, number := range e.ports {
		if fmt.Sprint(port) == name || fmt.Sprint(port) == number {
			return true
		}
	}
	return false
}

// TestKubernetes_PortsAndLabelsMeet: probes, services, policies, budgets and
// Prometheus ask where something listens.
func TestKubernetes_PortsAndLabelsMeet(t *testing.T) {
	t.Parallel()
	pods := map[string]exposed{} // by the label app
	all := manifests(t)
	for _, doc := range all {
		template := dig(doc, "spec", "template")
		if template == nil {
			continue
		}
		labels, _ := dig(template, "metadata", "labels").(map[string]any)
		e := exposed{labels: labels, ports: map[string]string{}}
		for _, c := range each(dig(template, "spec", "containers")) {
			for _, p := range each(dig(c, "ports")) {
				e.ports[fmt.Sprint(dig(p, "name"))] = fmt.Sprint(dig(p, "containerPort"))
			}
			for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
				if port := dig(c, probe, "httpGet", "port"); port != nil && !e.has(port) {
					t.Errorf("%v: %s asks at %v, the ports are %v", labels, probe, port, e.ports)
				}
			}
			for _, variable := range each(dig(c, "env")) {
				if address := fmt.Sprint(dig(variable, "value")); strings.HasSuffix(fmt.Sprint(dig(variable, "name")), "LISTEN") &&
					!e.has(address[strings.LastIndex(address, ":")+1:]) {
					t.Errorf("%v: listens at %s, the ports are %v", labels, address, e.ports)
				}
			}
		}
		if port := dig(template, "metadata", "annotations", "prometheus.io/port"); port != nil && !e.has(port) {
			t.Errorf("%v: Prometheus is sent to %v, the ports are %v", labels, port, e.ports)
		}
		pods[fmt.Sprint(labels["app"])] = e
	}
	checked := map[string]int{}
	for _, doc := range all {
		kind := fmt.Sprint(doc["kind"])
		var selector any
		var ports []any
		switch kind {
		case "Service":
			selector = dig(doc, "spec", "selector")
			for _, p := range each(dig(doc, "spec", "ports")) {
				target := dig(p, "targetPort")
				if target == nil {
					target = dig(p, "port")
				}
				ports = append(ports, target)
			}
		case "PodDisruptionBudget":
			selector = dig(doc, "spec", "selector", "matchLabels")
		case "NetworkPolicy":
			if selector = dig(doc, "spec", "podSelector", "matchLabels"); selector == nil {
				continue // of all pods
			}
			for _, rule := range each(dig(doc, "spec", "ingress")) {
				for _, p := range each(dig(rule, "ports")) {
					ports = append(ports, dig(p, "port"))
				}
			}
		default:
			continue
		}
		checked[kind]++
		labels, _ := selector.(map[string]any)
		e, known := pods[fmt.Sprint(labels["app"])]
		if !known || !maps.Equal(labels, map[string]any{"app": e.labels["app"]}) {
			t.Errorf("%s %v: no pods have the labels %v", kind, dig(doc, "metadata", "name"), labels)
		}
		for _, p := range ports {
			if !e.has(p) {
				t.Errorf("%s %v: port %v, the pods have %v", kind, dig(doc, "metadata", "name"), p, e.ports)
			}
		}
	}
	if len(pods) != 4 || checked["Service"] < 3 || checked["PodDisruptionBudget"] < 3 || checked["NetworkPolicy"] < 4 {
		t.Errorf("got pods %v, checked %v", pods, checked)
	}
}
