package isolation

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// What a job in a runner reports arrives while it runs.
func TestRemote_Progress(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	job := Remote[echo, echo](p, "tell", nil)
	for range 3 { // also of a runner's later tasks
		ctx, cancel := context.WithCancel(t.Context())
		var got tasks.Progress
		_, err := job(progress.With(ctx, func(p tasks.Progress) {
			got = p
			cancel()
		}), echo{"count\nsheep"})
		if ctx.Err() == nil || reasonOf(t, err) != tasks.ReasonInterrupted {
			t.Fatalf("got %v before any report", err)
		}
		if want := (tasks.Progress{Fraction: 0.25, Done: 1, Total: 4, Message: "count sheep"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		cancel()
	}
	// Where nobody wants to know, the frames are read all the same.
	c := testConfig()
	ctx, cancel := context.WithTimeout(t.Context(), 3*progress.Every)
	defer cancel()
	p = newPool(t, c)
	if got := reasonOf(t, second(Remote[echo, echo](p, "tell", nil)(ctx, echo{}))); got != tasks.ReasonTimeout {
		t.Errorf("got %s, want it to run until its time was over", got)
	}
}

func report(seq uint32, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, seq), text...)
}

func TestTold(t *testing.T) {
	t.Parallel()
	var heard told
	var mu sync.Mutex
	n := 0
	heard.to(7, func(tasks.Progress) { mu.Lock(); n++; mu.Unlock() })
	if err := heard.take(report(7, `{"done":1}`)); err != nil || n != 1 {
		t.Errorf("got %v and %d reports", err, n)
	}
	if err := heard.take(report(6, `{"done":1}`)); err != nil || n != 1 {
		t.Errorf("of an earlier task: got %v and %d reports, want it dropped", err, n)
	}
	for _, bad := range [][]byte{nil, {1}, report(7, "no JSON"), report(7, strings.Repeat(" ", maxReport+1))} {
		if err := heard.take(bad); err == nil {
			t.Errorf("%.20q: got no error", bad)
		}
	}
	var err error
	for range 2 * reportsAtOnce {
		if err = heard.take(report(7, `{}`)); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("too many reports at once: got no error")
	}
}

func FuzzTold(f *testing.F) {
	f.Add(report(7, `{"done":1,"message":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var heard told
		heard.to(7, func(p tasks.Progress) {
			if len(body) > maxReport+4 {
				t.Error("too large a report was passed on")
			}
		})
		_ = heard.take(body) // must not panic
	})
}
