package monitor

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

// cutMark is what clip leaves where a text was cut.
var cutMark = regexp.MustCompile(`… \(the first \d+ of \d+ bytes\)`)

// replayEdited puts a dead letter back with another payload. What the page did
// not show must not come back as it was shown.
func (m *Monitor) replayEdited(ctx context.Context, r *http.Request) (any, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, &badCallError{"the payload is too large to be changed here: use producer dead replay"}
	}
	change, err := tasks.DecodeReplay(raw)
	switch {
	case err != nil:
		return nil, &badCallError{err.Error()}
	case len(change.Payload) == 0:
		return nil, &badCallError{`send {"payload": {…}}`}
	case strings.Contains(string(change.Payload), maskedText):
		return nil, &badCallError{"payload: " + maskedText + " stands for a secret that is not shown: write the secret in its place"}
	case cutMark.Match(change.Payload):
		return nil, &badCallError{"payload: a text in it is shown cut: write it whole, or use producer dead replay"}
	}
	d, err := m.store.FindDead(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return moved{Done: 1}, m.store.ReplayChanged(ctx, m.cfg.limit, d, change)
}
