//go:build !race

package worker

import (
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/tasks"
)

// A task that runs out of memory gets one more try in a larger slot, at once
// and without spending a retry, where the node has room.
func TestWorker_largerSlotAfterOOM(t *testing.T) {
	t.Parallel()
	y, load := oddYard(t, 1, 128*mib, 100*mib)
	got := endOf(t, y, "hog 140", tasks.WithMaxRetry(0))
	if got.State != tasks.Completed || got.Attempts != 1 || got.PeakMemory < 140*mib {
		t.Errorf("140 MiB in a slot of 128: got %+v, %v, want it done in the larger one", got, got.Error)
	}
	tried := func(want int64) {
		t.Helper()
		if n := y.tries.Swap(0); n != want {
			t.Errorf("got %d tries, want %d", n, want)
		}
	}
	tried(2)
	got = endOf(t, y, "hog 300", tasks.WithMaxRetry(5))
	if got.State != tasks.Archived || got.Error.Reason != tasks.ReasonOOM || !strings.Contains(got.Error.Message, "--job-memory") || got.Attempts != 1 {
		t.Errorf("300 MiB: got %+v, %v, want it given up", got, got.Error)
	}
	tried(2)
	load.Store(&memwatch.Load{Used: 840 * mib})
	brokertest.Until(t, "full", func() bool { return y.worker.Node().Budget.Used == 840*mib })
	got = endOf(t, y, "hog 140", tasks.WithMaxRetry(0))
	if got.State != tasks.Archived || got.Error.Reason != tasks.ReasonOOM || !got.Error.Retryable || !strings.Contains(got.Error.Message, "128 MiB") {
		t.Errorf("no room on the node: got %+v, %v, want it to stay an oom that may be retried", got, got.Error)
	}
	tried(1)
}
