package isolation

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// What a function returns comes back as it was.
func TestRemote(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	long := strings.Repeat("long ", 1<<20)
	out, err := Remote[echo, echo](p, "echo", nil)(t.Context(), echo{long})
	if err != nil || out.Text != long {
		t.Errorf("got %d bytes, %v, want %d", len(out.Text), err, len(long))
	}
	job := Remote(p, "fail", fail)

	_, err = job(t.Context(), echo{"invalid"})
	var invalid *tasks.InvalidError
	want := []tasks.FieldError{{Path: "source.text", Message: "must be set"}}
	if !errors.As(err, &invalid) || !reflect.DeepEqual(invalid.Fields, want) {
		t.Errorf("got %v, want an InvalidError with %v", err, want)
	}

	_, err = job(t.Context(), echo{"fault"})
	if f := fault.Of(err); f.Verdict != fault.Permanent || f.Reason != tasks.ReasonRejected || f.Message != "no" || f.Err.Error() != "the cause" {
		t.Errorf("got %#v, want the fault with its cause", f)
	}

	_, err = job(t.Context(), echo{"something else"})
	if f := fault.Of(err); f.Verdict != fault.Retryable || f.Reason != tasks.ReasonUnknown || f.Message != "something else" {
		t.Errorf("got %#v, want it retryable and unknown", f)
	}

	// An attempt that says it was interrupted would never be counted.
	if got := reasonOf(t, second(job(t.Context(), echo{"interrupted"}))); got != tasks.ReasonUnknown {
		t.Errorf("got %s, want %s", got, tasks.ReasonUnknown)
	}

	if got := reasonOf(t, second(Remote[echo, echo](p, "absent", nil)(t.Context(), echo{}))); got != tasks.ReasonUnknown {
		t.Errorf("got %s for an unknown function, want %s", got, tasks.ReasonUnknown)
	}
	if got := reasonOf(t, second(p.Do(t.Context(), Call{Func: "echo", Payload: []byte("no JSON")}))); got != tasks.ReasonUnknown {
		t.Errorf("got %s for an unreadable input, want %s", got, tasks.ReasonUnknown)
	}
	if _, err := Remote[chan int, echo](p, "echo", nil)(t.Context(), nil); err == nil {
		t.Error("got no error for an input that JSON cannot hold")
	}
}

func TestPool_inputTooLarge(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Input = 1000
	p := newPool(t, c)
	f := fault.Of(second(p.Do(t.Context(), Call{Func: "raw", Payload: make([]byte, 1001)})))
	if f == nil || f.Reason != tasks.ReasonTooLarge || f.Verdict != fault.Permanent {
		t.Errorf("got %v, want it permanently too large", f)
	}
	if reply, err := p.Do(t.Context(), Call{Func: "raw", Payload: make([]byte, 1000)}); err != nil || len(reply.Payload) != 1000 {
		t.Errorf("got %d bytes, %v, want 1000", len(reply.Payload), err)
	}
}

// A runner's word about its failure is checked.
func TestDecodeFault(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		want fault.Error
	}{
		"an invented reason":      {`{"reason":"because","message":"m"}`, fault.Error{Reason: tasks.ReasonUnknown, Message: "m"}},
		"canceled by itself":      {`{"verdict":2,"reason":"canceled"}`, fault.Error{Reason: tasks.ReasonUnknown}},
		"interrupted by itself":   {`{"reason":"interrupted"}`, fault.Error{Reason: tasks.ReasonUnknown}},
		"a verdict out of bounds": {`{"verdict":77,"reason":"oom"}`, fault.Error{Reason: tasks.ReasonOOM}},
		"control characters":      {`{"verdict":1,"reason":"invalid","message":"a\u0007\nb"}`, fault.Error{Verdict: fault.Permanent, Reason: tasks.ReasonInvalid, Message: "a b"}},
		"invalid without a field": {`{"verdict":1,"reason":"invalid","invalid":true}`, fault.Error{Verdict: fault.Permanent, Reason: tasks.ReasonInvalid}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeFault([]byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			f := fault.Of(got)
			if f.Verdict != tc.want.Verdict || f.Reason != tc.want.Reason || f.Message != tc.want.Message {
				t.Errorf("got %+v, want %+v", f, tc.want)
			}
		})
	}
	if _, err := decodeFault([]byte("{")); !errors.Is(err, errCorrupt) {
		t.Errorf("got %v, want %v", err, errCorrupt)
	}
}

// A fault stays small enough for its frame.
func TestEncodeFault_bounded(t *testing.T) {
	t.Parallel()
	var fields []tasks.FieldError
	for range 500 {
		fields = append(fields, tasks.FieldError{Path: strings.Repeat("p", 20_000), Message: "m"})
	}
	err := (&fault.Error{Reason: tasks.ReasonInvalid, Message: strings.Repeat("m", 1<<20), Fields: fields}).
		Because(errors.New(strings.Repeat("c", 1<<20)))
	b := encodeFault(err)
	if len(b) > maxFault || !json.Valid(b) {
		t.Errorf("got %d bytes, valid %t, want at most %d", len(b), json.Valid(b), maxFault)
	}
}
