package library

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

func TestWriter_RefusesWhatIsOutOfBounds(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(nil, 0) // refused before Redis is asked
	if err != nil {
		t.Fatal(err)
	}
	wide := page("a", "t")
	for range 9 {
		wide.Sections = append(wide.Sections, Section{Body: strings.Repeat("a", MaxSectionBytes)})
	}
	for name, c := range map[string]struct {
		doc    Document
		reason tasks.Reason
	}{
		"no uri":             {Document{}, tasks.ReasonInvalid},
		"uri of two lines":   {Document{URI: "a\nb"}, tasks.ReasonInvalid},
		"bad collection":     {Document{URI: "a", Collection: "A/b"}, tasks.ReasonInvalid},
		"long title":         {page("a", strings.Repeat("a", maxTitleBytes+1)), tasks.ReasonTooLarge},
		"large section":      {page("a", "t", strings.Repeat("a", MaxSectionBytes+1)), tasks.ReasonTooLarge},
		"many sections":      {Document{URI: "a", Sections: make([]Section, MaxSections+1)}, tasks.ReasonTooLarge},
		"large in the whole": {wide, tasks.ReasonTooLarge},
	} {
		_, err := w.Put(t.Context(), c.doc)
		if f := fault.Of(err); f == nil || f.Verdict != fault.Permanent || f.Reason != c.reason {
			t.Errorf("%s: got %v, want a permanent fault with reason %s", name, err, c.reason)
		}
	}
	if _, err := w.Delete(t.Context(), "", ""); fault.Of(err) == nil || fault.Of(err).Reason != tasks.ReasonInvalid {
		t.Errorf("delete without uri: got %v, want reason invalid", err)
	}
	if _, err := NewWriter(nil, -1); err == nil {
		t.Error("negative log length: got no error")
	}
}

func TestWriter_SaysThatRedisIsAway(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s)
	s.stop()
	_, err := w.Put(t.Context(), page("a", "Apple"))
	if f := fault.Of(err); f == nil || f.Verdict != fault.Retryable || f.Reason != tasks.ReasonUpstream {
		t.Errorf("got %v, want a retryable fault with reason upstream", err)
	}
}

func TestWriter_BoundsTheLog(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, err := NewWriter(s.client, 100)
	if err != nil {
		t.Fatal(err)
	}
	d := page("a", "Apple", strings.Repeat("red ", 500))
	for range 1000 {
		put(t, w, d)
	}
	if n := s.client.XLen(t.Context(), logKey).Val(); n > 300 {
		t.Errorf("log after 1000 writes: got %d entries, want about 100", n)
	}
	if n := s.client.HLen(t.Context(), docsKey).Val(); n != 1 {
		t.Errorf("documents: got %d, want 1", n)
	}
}

func TestBatch_DoesNothingForAnUnchangedDocument(t *testing.T) {
	t.Parallel()
	d := page("a", "Apple", "red")
	d.Collection = DefaultCollection
	s := filled(t, d)
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	b, err := newBatch(s, newSplitter(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.close() }()
	value, err := c.encode(&d)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.put("default/a", value); err != nil {
		t.Fatal(err)
	}
	if len(b.ops.IndexOps) != 0 {
		t.Errorf("got %d changes, want none", len(b.ops.IndexOps))
	}
}

func TestCodec_GivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, n := range []int{0, 10, 1000, 100_000} {
		d := page("a", "Apple", strings.Repeat("red ", n))
		d.Collection = DefaultCollection
		value, err := c.encode(&d)
		if err != nil {
			t.Fatal(err)
		}
		if n >= 1000 && (value[0] != zstdJSON || len(value) > n) {
			t.Errorf("%d words: stored in %d bytes as %q", n, len(value), value[0])
		}
		got, err := c.decode(value)
		if err != nil || !reflect.DeepEqual(*got, d) {
			t.Errorf("%d words: got %+v, %v", n, got, err)
		}
	}
}

func TestCodec_RefusesABomb(t *testing.T) {
	t.Parallel()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	bomb := c.packer.EncodeAll(make([]byte, 64<<20), []byte{zstdJSON})
	if _, err := c.decode(bomb); !errors.Is(err, errDamagedDocument) {
		t.Errorf("got %v, want errDamagedDocument", err)
	}
}

func FuzzCodec(f *testing.F) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	d := page("a", "Apple", strings.Repeat("red ", 300))
	d.Collection = DefaultCollection
	value, err := c.encode(&d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add([]byte(`j{"uri":"a","collection":"default","sections":[{}]}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		d, err := c.decode(stored)
		if err == nil && d.check() != nil {
			t.Errorf("decoded a document out of bounds: %v", d.check())
		}
	})
}

func TestToken_ComparesAsNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"9-0", "10-0", -1}, {"10-0", "9-9", 1}, {"5-10", "5-9", 1}, {"5-1", "5-1", 0}, {"0-0", "18446744073709551615-18446744073709551615", -1},
	} {
		a, errA := ParseToken(c.a)
		b, errB := ParseToken(c.b)
		if errA != nil || errB != nil || a.Compare(b) != c.want || a.String() != c.a {
			t.Errorf("%s and %s: got %d (%v, %v), want %d", c.a, c.b, a.Compare(b), errA, errB, c.want)
		}
	}
	for _, bad := range []string{"", "5", "-", "5-", "-5", "a-b", "5-5-5", "18446744073709551616-0", "+5-0"} {
		if got, err := ParseToken(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

func ExampleToken_Compare() {
	a, _ := ParseToken("999-0")
	b, _ := ParseToken("1000-0")
	fmt.Println(a.Compare(b))
	// Output: -1
}
