package broker_test

import (
	"testing"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// A connection is not looked at before every call: one that Redis has closed a
// moment after it was looked at costs no caller anything.
func TestClient_SurvivesConnectionsThatRedisCloses(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	b, other := brokertest.Open(t, server.URL), brokertest.Open(t, server.URL)
	closed := int64(0)
	for i := range 300 {
		if i%3 == 0 {
			n, err := other.Client().Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Int64()
			if err != nil {
				t.Fatal(err)
			}
			closed += n
		}
		if err := b.Client().Incr(t.Context(), "n").Err(); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if closed < 50 {
		t.Errorf("only %d connections were closed", closed)
	}
}
