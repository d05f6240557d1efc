package broker_test

import (
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

func lead(t *testing.T, b *broker.Broker, who string, lasts time.Duration) bool {
	t.Helper()
	ok, err := b.Lead(t.Context(), "talking", who, lasts)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestBroker_Lead(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	if !lead(t, b, "a", time.Minute) || lead(t, b, "b", time.Minute) || !lead(t, b, "a", 100*time.Millisecond) {
		t.Error("want the first to lead, and to keep it")
	}
	brokertest.Until(t, "the role is free", func() bool { return lead(t, b, "b", time.Minute) })
	if lead(t, b, "a", time.Minute) {
		t.Error("two lead")
	}
}

func TestBroker_DrainMarks(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	asked := func() bool {
		t.Helper()
		got, err := b.DrainAsked(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if asked() {
		t.Error("asked before anybody asked")
	}
	if err := b.AskDrain(t.Context(), "n"); err != nil || !asked() {
		t.Errorf("not asked: %v", err)
	}
	if ttl := b.Client().TTL(t.Context(), "jobyard:drain:n").Val(); ttl <= 0 {
		t.Errorf("got a mark that lasts %s, want one that goes away with its node", ttl)
	}
	if err := b.EndDrain(t.Context(), "n"); err != nil || asked() {
		t.Errorf("still asked: %v", err)
	}
}
