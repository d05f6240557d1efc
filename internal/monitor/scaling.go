package monitor

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/monitor/scale"
)

// ScaleYard is the broker's yard for a scale.Driver. With dry, nodes are not
// really asked to drain.
func ScaleYard(cfg Config, b *broker.Broker, dry bool) (scale.Yard, error) {
	if err := cfg.Validate(); err != nil {
		return scale.Yard{}, err
	}
	l := newLookout(cfg, b, zerolog.Nop())
	var before *Overview
	y := scale.Yard{
		Look: func(ctx context.Context) (scale.View, error) {
			o, err := l.look(ctx, before)
			if err != nil {
				return scale.View{}, err
			}
			before = o
			return viewOf(o), nil
		},
		Drain: b.AskDrain, Resume: b.EndDrain,
	}
	if dry {
		y.Drain = func(context.Context, string) error { return nil }
		y.Resume = y.Drain
	}
	return y, nil
}

func viewOf(o *Overview) scale.View {
	v := scale.View{Load: loadOf(o)}
	for n := range o.living() {
		v.Nodes = append(v.Nodes, scale.Node{
			ID: n.ID, Host: n.Host, Busy: n.Busy, Slots: n.Slots, StartedAt: n.StartedAt,
			Takes: n.Takes(o.At), Drained: n.State == "drained",
		})
	}
	return v
}
