package results

import (
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/trace"
)

func TestTraceOf_WhatEncodeWrote(t *testing.T) {
	t.Parallel()
	r := searching(t, "x")
	place := trace.Read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")
	of := func(a Admission) (above, link trace.Carried) {
		a.ID, a.Request = "an-id", r
		m, err := readMessage(encode(&a))
		if err != nil {
			t.Fatal(err)
		}
		return TraceOf(m.headers)
	}
	if above, link := of(Admission{Trace: place}); above != place || link != (trace.Carried{}) {
		t.Errorf("alone: got %+v, %+v", above, link)
	}
	if above, link := of(Admission{Trace: place, Linked: true}); above != (trace.Carried{}) || link.Parent != place.Parent {
		t.Errorf("with others: got %+v, %+v", above, link)
	}
	if above, link := of(Admission{Linked: true}); above != (trace.Carried{}) || link != (trace.Carried{}) {
		t.Errorf("untraced: got %+v, %+v", above, link)
	}
	// Anybody can have written what Redis keeps.
	if above, link := TraceOf(map[string]string{trace.ParentHeader: strings.Repeat("0", 99), HeaderLink: "x"}); above != (trace.Carried{}) || link != (trace.Carried{}) {
		t.Errorf("malformed: got %+v, %+v", above, link)
	}
}

// Without a trace a task costs what it cost before there were any.
func TestTrace_OffAllocatesNothing(t *testing.T) {
	r := searching(t, "x")
	headers := map[string]string{HeaderTimeout: "30s"}
	if n := testing.AllocsPerRun(1000, func() { encode(&Admission{ID: "an-id", Request: r}) }); n > 2 {
		t.Errorf("a message takes %v allocations, want at most the message and its time limit", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		above, link := TraceOf(headers)
		if above.In(t.Context()) != t.Context() || link.Parent != "" {
			t.Error("there is a place")
		}
	}); n != 0 {
		t.Errorf("an attempt takes %v allocations more", n)
	}
}
