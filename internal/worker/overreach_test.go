package worker

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/jobyard/jobyard/tasks"
)

// Whatever a task takes too much of, and however it breaks down: its error has a
// reason of its own and says what it had used, and the metrics count it.
func TestWorker_tellsWhatATaskHadUsed(t *testing.T) {
	t.Parallel()
	y, _ := oddYard(t, 1, 64*mib, 100*mib)
	used := regexp.MustCompile(`\(peak memory [1-9]\d* MiB, CPU \d+\.\d\d s[;)]`)
	for _, tc := range []struct {
		do      string
		timeout time.Duration
		reason  tasks.Reason
		says    string
	}{
		{"spin", 300 * time.Millisecond, tasks.ReasonTimeout, "time limit of 300ms; give"},
		{"spin", time.Minute, tasks.ReasonCPU, "2s of processor time"},
		{"hog 400", time.Minute, tasks.ReasonOOM, "128 MiB of memory"},
		{"exit", time.Minute, tasks.ReasonCrash, "stderr: last words"},
		{"panic", time.Minute, tasks.ReasonPanic, "the job panicked: odd"},
		{"long 2000", time.Minute, tasks.ReasonTooLarge, "1 MiB"},
	} {
		got, err := y.client.Do(long(t), request(tc.do, tasks.WithTimeout(tc.timeout), tasks.WithMaxRetry(0)))
		if err != nil {
			t.Fatal(err)
		}
		if got.State != tasks.Archived || got.Error == nil || got.Error.Reason != tc.reason || got.PeakMemory == 0 {
			t.Errorf("%s: got %+v, %v, want it to end by %s", tc.do, got, got.Error, tc.reason)
			continue
		}
		t.Log(got.Error)
		if message := got.Error.Message; !used.MatchString(message) || !strings.Contains(message, tc.says) {
			t.Errorf("%s: got %q, want it to say %q and what the task had used", tc.do, message, tc.says)
		}
		if n := testutil.ToFloat64(y.worker.metrics.total.WithLabelValues("search", "archived", string(tc.reason))); n != 1 {
			t.Errorf("%s: got %v attempts counted, want 1", tc.reason, n)
		}
	}
}
