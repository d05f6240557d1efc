package configgen

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
	"github.com/jobyard/jobyard/tasks"
)

// Valid parameters with a few values exchanged come past the schemas more often
// than random bytes do. Each must give files or a permanent fault with a reason.
func TestJob_Handle_mutated_parameters(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for name, p := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			valid, err := tree.DecodeJSON(p.Parameters)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(uint64(len(name)), 7))
			passed := 0
			for range sweep {
				m := mutator{rng: rng, odds: 60}
				p.Parameters = json.RawMessage(tree.IndentJSON(m.value(valid), "", ""))
				r, err := j.Handle(t.Context(), p)
				if f := fault.Of(err); f != nil && (f.Verdict != fault.Permanent || f.Reason != tasks.ReasonInvalid && f.Reason != tasks.ReasonTooLarge) {
					t.Fatalf("%s: %v on\n%s", f.Reason, err, p.Parameters)
				}
				if err != nil {
					continue
				}
				passed++
				if again, err := j.Handle(t.Context(), p); err != nil || render(again) != render(r) {
					t.Fatalf("a second run gave something else (%v) on\n%s", err, p.Parameters)
				}
			}
			if passed == 0 {
				t.Error("no mutation came past the schema")
			}
		})
	}
}

// mutator exchanges one value in odds.
type mutator struct {
	rng  *rand.Rand
	odds int
}

func (m mutator) value(v any) any {
	if m.rng.IntN(m.odds) == 0 {
		return m.other(v)
	}
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, e := range v {
			if m.rng.IntN(m.odds) == 0 {
				continue
			}
			out = append(out, m.value(e))
		}
		return out
	case *tree.Object:
		out := tree.New()
		for _, member := range v.Members() {
			switch m.rng.IntN(m.odds) {
			case 0:
			case 1:
				out.Set(member.Key+"x", m.value(member.Value))
			default:
				out.Set(member.Key, m.value(member.Value))
			}
		}
		return out
	}
	return v
}

func (m mutator) other(v any) any {
	if s, ok := v.(string); ok && m.rng.IntN(2) == 0 {
		odd := []string{"", s + s, s + "\n", strings.ToUpper(s), "no", "1e3", "a: b", "${X}", "../" + s, s + "\x00", "日本", "#x", "'" + s + "\"", "-" + s, s + "\u2028"}
		return odd[m.rng.IntN(len(odd))]
	}
	return []any{nil, true, json.Number("0"), json.Number("-1"), json.Number("1.5"), json.Number("99999"), "x", []any{}, []any{"x"}, tree.New(), tree.New().Set("x", "y")}[m.rng.IntN(11)]
}
