package isolation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"
)

func TestFrame_roundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 1 << 10, 1 << 20, 8<<20 - 1, 8 << 20, 17<<20 + 1} {
		body := bytes.Repeat([]byte{'x'}, n)
		var b bytes.Buffer
		if err := writeFrame(&b, frameReply, body[:n/2], body[n/2:]); err != nil {
			t.Fatal(err)
		}
		f, err := readFrame(&b, n)
		if err != nil || f.kind != frameReply || !bytes.Equal(f.body, body) {
			t.Errorf("%d bytes: got type %d, %d bytes, %v", n, f.kind, len(f.body), err)
		}
		if _, err := readFrame(&b, n); !errors.Is(err, io.EOF) {
			t.Errorf("got %v behind the last frame, want %v", err, io.EOF)
		}
	}
}

func TestReadFrame_refuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"nothing":             {"", io.EOF},
		"a cut header":        {"\x01\x00", errCorrupt},
		"a run of zeros":      {"\x00\x00\x00\x00\x00", errCorrupt},
		"an unknown type":     {"\x00\x00\x00\x00\x7f", errCorrupt},
		"more than the limit": {"\xff\xff\xff\xff\x04", errTooLarge},
		"a cut body":          {"\x05\x00\x00\x00\x04abc", errCorrupt},
	} {
		if _, err := readFrame(bytes.NewReader([]byte(tc.in)), 100); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// A length alone reserves no more memory than most bodies need.
func TestReadFrame_trustsNoLength(t *testing.T) {
	t.Parallel()
	head := binary.LittleEndian.AppendUint32(nil, 1<<30)
	head = append(head, frameReply)
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = readFrame(bytes.NewReader(head), 1<<30)
		}
	}).AllocedBytesPerOp()
	if allocated > 9<<20 {
		t.Errorf("got %d bytes reserved for an empty promise, want at most 9 MiB", allocated)
	}
}

func TestCallFrame_roundTrip(t *testing.T) {
	t.Parallel()
	want := callFrame{seq: 7, wall: 3 * time.Second, memory: 1 << 40, output: 5, name: "parse", place: "00-1-2-01", payload: []byte("in")}
	got, err := parseCall(append(want.head(), want.payload...))
	if err != nil || got.seq != want.seq || got.wall != want.wall || got.memory != want.memory ||
		got.output != want.output || got.name != want.name || got.place != want.place || !bytes.Equal(got.payload, want.payload) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for n := range len(want.head()) {
		if _, err := parseCall(want.head()[:n]); !errors.Is(err, errCorrupt) {
			t.Errorf("%d bytes: got %v, want %v", n, err, errCorrupt)
		}
	}
}

func TestStepsOf(t *testing.T) {
	t.Parallel()
	in := append(headOf(7, []byte("steps")), "out"...)
	seq, rest, err := seqOf(in)
	if err != nil || seq != 7 {
		t.Fatalf("got %d, %v", seq, err)
	}
	if steps, out, err := stepsOf(rest); err != nil || string(steps) != "steps" || string(out) != "out" {
		t.Errorf("got %q, %q, %v", steps, out, err)
	}
	for n := range len(headOf(7, []byte("steps"))) - 4 {
		if _, _, err := stepsOf(rest[:n]); !errors.Is(err, errCorrupt) {
			t.Errorf("%d bytes: got %v, want %v", n, err, errCorrupt)
		}
	}
}

// FuzzReadFrame reads whatever a runner may send: no panic, no more than was
// sent, and what is understood can be written again.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x03\x00\x00\x00\x04abc"))
	f.Add([]byte("\xff\xff\xff\xff\x04"))
	f.Add(append([]byte{40, 0, 0, 0, frameCall}, callFrame{name: "parse"}.head()...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			fr, err := readFrame(r, 1<<16)
			if err != nil {
				return
			}
			if len(fr.body) > len(in) {
				t.Fatalf("got %d bytes out of %d", len(fr.body), len(in))
			}
			var again bytes.Buffer
			if err := writeFrame(&again, fr.kind, fr.body); err != nil || !bytes.Contains(in, again.Bytes()) {
				t.Fatalf("written again it is %q, %v", again.Bytes(), err)
			}
			if c, err := parseCall(fr.body); err == nil && !bytes.Equal(append(c.head(), c.payload...), fr.body) {
				t.Fatalf("call %+v is not what was read", c)
			}
			if seq, rest, err := seqOf(fr.body); err == nil {
				if steps, out, err := stepsOf(rest); err == nil && !bytes.Equal(append(headOf(seq, steps), out...), fr.body) {
					t.Fatalf("answer %d with steps %q is not what was read", seq, steps)
				}
			}
			_, _ = decodeFault(fr.body)
		}
	})
}
