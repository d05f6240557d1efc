package results

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// request is one to hand over, checked.
func request[P tasks.Payload, R any](t testing.TB, kind tasks.Kind[P, R], payload P, opts ...tasks.Option) tasks.Request {
	t.Helper()
	r, err := kind.New(payload, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Check(time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

func searching(t testing.TB, query string, opts ...tasks.Option) tasks.Request {
	t.Helper()
	return request(t, tasks.Search, tasks.SearchPayload{Query: query}, opts...)
}

func encoded(t testing.TB, opts ...tasks.Option) []byte {
	t.Helper()
	return encode(&Admission{ID: "id", Request: searching(t, "q", opts...)})
}

func TestReadMessage_ReadsWhatAsynqWrites(t *testing.T) {
	t.Parallel()
	msg := encoded(t, tasks.WithMaxRetry(5), tasks.WithTimeout(1234*time.Millisecond), tasks.WithRetention(time.Hour))
	m, err := readMessage(msg)
	if err != nil {
		t.Fatal(err)
	}
	if m.kind != "search" || string(m.payload) != `{"query":"q"}` || m.maxRetry != 5 || m.retried != 0 ||
		m.retention != time.Hour || m.headers[HeaderTimeout] != "1.234s" {
		t.Errorf("got %+v", m)
	}
	if !bytes.Equal(m.fresh, msg) {
		t.Error("a message that was never tried is changed")
	}
}

func TestAlike(t *testing.T) {
	t.Parallel()
	same := [][2]string{
		{"host answered 503 for zip; it asks to wait 30s", "host answered 502 for zip; it asks to wait 1s"},
		{`no file "a.go" in v1.2.3`, `no file "b/c.go" in v0.0.1`},
		{"fetch https://a.example/x?y=1: gone", "fetch http://b.example/z: gone"},
		{"task 0198c0de-0000-7000-8000-00000000abcd is gone", "task 0198ffff-1111-7222-8333-444455556666 is gone"},
		{"sum 0123456789abcdef differs", "sum fedcba98765432100 differs"},
	}
	for _, s := range same {
		if a, b := alike(s[0]), alike(s[1]); a != b {
			t.Errorf("got %q and %q, want the same", a, b)
		}
	}
	if alike("the memory limit was passed") == alike("the time limit was passed") {
		t.Error("different faults are alike")
	}
}

func TestLegible(t *testing.T) {
	t.Parallel()
	msg := encoded(t)
	for name, c := range map[string]struct {
		msg       []byte
		id, queue string
		want      bool
	}{
		"as written":              {msg, "id", "search", true},
		"with a field to come":    {append(slices.Clone(msg), 0xfa, 0x01, 1, 0xff), "id", "search", true},
		"of another task":         {msg, "other", "search", false},
		"of another queue":        {msg, "id", "search_bulk", false},
		"cut off":                 {msg[:len(msg)-3], "id", "search", false},
		"no message":              {[]byte("garbage"), "id", "search", false},
		"empty":                   {nil, "id", "search", false},
		"a kind that is no text":  {append(slices.Clone(msg), 0x0a, 1, 0xff), "id", "search", false},
		"a header that is none":   {append(slices.Clone(msg), 0x7a, 2, 0x0a, 9), "id", "search", false},
		"a header that is broken": {append(slices.Clone(msg), 0x7a, 3, 0x0a, 1, 0xff), "id", "search", false},
	} {
		if got := legible(c.msg, c.id, c.queue); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(encoded(f))
	f.Add([]byte("\x30\x03\x7a\x02\x0a\x00"))
	f.Add([]byte{0x7a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readMessage(raw)
		if err != nil {
			if legible(raw, "id", "search") {
				t.Errorf("legible, but cannot be read: %v", err)
			}
			return
		}
		again, err := readMessage(m.fresh)
		if err != nil || again.retried != 0 || !bytes.Equal(again.fresh, m.fresh) || !bytes.Equal(again.payload, m.payload) {
			t.Errorf("a fresh message is not fresh: %v", err)
		}
	})
}
