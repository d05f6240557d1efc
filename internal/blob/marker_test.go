package blob

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMarker_IsReadableAndReadBack(t *testing.T) {
	t.Parallel()
	for _, m := range []Marker{{SHA(nil), 0}, {SHA([]byte("x")), 1}, {SHA([]byte("y")), MaxBytes}} {
		raw := m.Bytes()
		got, ok := ParseMarker(raw)
		if !ok || got != m || len(raw) > maxMarker {
			t.Errorf("got %+v, %t of %d bytes, want %+v", got, ok, len(raw), m)
		}
		if !strings.Contains(string(raw), "/v1/blobs/"+m.SHA) {
			t.Errorf("got %q, want it to say where the bytes are", raw)
		}
	}
}

func TestMarker_NothingElseIsOne(t *testing.T) {
	t.Parallel()
	good := string(Marker{SHA([]byte("x")), 7}.Bytes())
	for _, text := range []string{
		"", "jobyard:blob", "jobyard:blob ", `{"a":1}`, `"jobyard:blob"`, good[1:], good[:70], strings.ToUpper(good),
		strings.Replace(good, " 7 ", " 07 ", 1), strings.Replace(good, " 7 ", " -7 ", 1), strings.Replace(good, " 7 ", " 99999999 ", 1),
		strings.Replace(good, " 7 ", "  ", 1), good + strings.Repeat("x", maxMarker),
	} {
		if m, ok := ParseMarker([]byte(text)); ok {
			t.Errorf("%q: got %+v", text, m)
		}
	}
}

func FuzzParseMarker(f *testing.F) {
	f.Add(Marker{SHA([]byte("x")), 7}.Bytes())
	f.Add([]byte("jobyard:blob x 1 bytes"))
	f.Add([]byte(`{"text":"jobyard:blob"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, ok := ParseMarker(raw)
		if !ok {
			return
		}
		if json.Valid(raw) {
			t.Fatalf("a JSON value is taken for a marker: %q", raw)
		}
		if !ValidSHA(m.SHA) || m.Size < 0 || m.Size > MaxBytes {
			t.Fatalf("got %+v", m)
		}
		if again, ok := ParseMarker(m.Bytes()); !ok || again != m {
			t.Fatalf("got %+v, want %+v", again, m)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	f.Add(file{yard: salt(), sha: SHA([]byte("x")), made: 1790000000000, salt: salt()}.name())
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := parseFile(name)
		if !ok {
			return
		}
		if got.name() != name || !got.valid() || strings.Contains(name, "..") || strings.HasPrefix(name, "/") {
			t.Fatalf("%q: got %+v", name, got)
		}
	})
}

// Whatever lies in Redis, a read gives the blob or an error.
func FuzzUnpack(f *testing.F) {
	p := newPacker()
	want := []byte("some text that is a blob")
	sha := SHA(want)
	f.Add(p.pack(want))
	f.Add(want)
	f.Fuzz(func(t *testing.T, packed []byte) {
		if got, err := p.unpack(sha, packed); err == nil && string(got) != string(want) {
			t.Fatalf("got %q", got)
		}
	})
}
