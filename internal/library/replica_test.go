package library

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var plainWeights = Weights{Title: 3, Heading: 1.5, Body: 1, Code: 0.3}

// page makes a document of one section per body.
func page(uri, title string, bodies ...string) Document {
	d := Document{URI: uri, Title: title, Language: "en", ContentType: "text/markdown", URL: "https://docs.test/" + uri}
	for i, b := range bodies {
		d.Sections = append(d.Sections, Section{ID: fmt.Sprintf("%s#%d", uri, i), Heading: fmt.Sprintf("Part %d", i), Anchor: fmt.Sprintf("part-%d", i), Body: b})
	}
	return d
}

func newWriter(tb testing.TB, s *server) *Writer {
	tb.Helper()
	w, err := NewWriter(s.client, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func put(tb testing.TB, w *Writer, d Document) string {
	tb.Helper()
	token, err := w.Put(tb.Context(), d)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// running is a replica whose Run is under way.
type running struct {
	*Replica
	tb   testing.TB
	stop func()
}

func run(tb testing.TB, s *server, dir string) *running {
	tb.Helper()
	r, err := Open(tb.Context(), Config{Dir: dir}, s.client)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	out := &running{Replica: r, tb: tb}
	out.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, r.Close()); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(out.stop)
	return out
}

func (r *running) reach(token string) {
	r.tb.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if err := r.WaitFor(ctx, token); err != nil {
		r.tb.Fatalf("wait for %s at %s: %v", token, r.Position(), err)
	}
}

// find returns the ids of the sections found.
func (r *running) find(text string) []string {
	r.tb.Helper()
	a, err := r.Search(context.Background(), Query{Text: text, Limit: 10, Weights: plainWeights, Fuzzy: true})
	if err != nil {
		r.tb.Fatal(err)
	}
	ids := []string{}
	for _, h := range a.Hits {
		ids = append(ids, h.Section.ID)
	}
	return ids
}

func (r *running) wantFind(text string, want ...string) {
	r.tb.Helper()
	if got := r.find(text); !slices.Equal(got, want) {
		r.tb.Errorf("search %q: got %q, want %q", text, got, want)
	}
}

func (r *running) stats() Stats {
	r.tb.Helper()
	s, err := r.Stats()
	if err != nil {
		r.tb.Fatal(err)
	}
	return s
}

func TestReplica_SeesWritesInOrder(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, r := newWriter(t, s), run(t, s, t.TempDir())

	r.reach(put(t, w, page("a", "Camera", "takes pictures", "records films")))
	r.wantFind("pictures", "a#0")
	r.wantFind("films", "a#1")

	r.reach(put(t, w, page("a", "Camera", "takes photographs")))
	r.wantFind("photographs", "a#0")
	r.wantFind("pictures")
	r.wantFind("films")
	if got := r.stats(); got.Documents != 1 || got.Sections != 1 {
		t.Errorf("got %d documents with %d sections, want 1 with 1", got.Documents, got.Sections)
	}

	token, err := w.Delete(t.Context(), "", "a")
	if err != nil {
		t.Fatal(err)
	}
	r.reach(token)
	r.wantFind("photographs")
	if got := r.stats(); got.Documents != 0 || got.Sections != 0 || got.TextBytes != 0 {
		t.Errorf("got %+v, want nothing left", got)
	}
}

func TestReplica_CountsWordsOverReplacements(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, r := newWriter(t, s), run(t, s, t.TempDir())
	put(t, w, page("keep", "One two", "three four five"))
	put(t, w, page("gone", "Six", "seven"))
	for i := range 20 {
		put(t, w, page("often", strings.Repeat("word ", i+1), "body", "more"))
	}
	put(t, w, page("often", "Title", "body text"))
	token, err := w.Delete(t.Context(), "", "gone")
	if err != nil {
		t.Fatal(err)
	}
	r.reach(token)
	v, err := r.store.view()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want := [textFields]int64{2 + 1, 2 + 2, 3 + 2, 0} // titles; "Part 0" twice; bodies
	if v.state.Words != want || v.state.Documents != 2 || v.state.Sections != 2 {
		t.Errorf("got %+v, want words %v in 2 sections of 2 documents", v.state, want)
	}
}

func TestReplica_ContinuesFromDisk(t *testing.T) {
	t.Parallel()
	s, dir := startRedis(t), t.TempDir()
	w := newWriter(t, s)
	first := run(t, s, dir)
	token := put(t, w, page("a", "Apple", "red"))
	first.reach(token)
	first.stop()

	// What the hash lost without a log entry must still be found: the replica
	// continues, it does not read everything again.
	if err := s.client.HDel(t.Context(), docsKey, "default/a").Err(); err != nil {
		t.Fatal(err)
	}
	later := put(t, w, page("b", "Banana", "yellow"))
	second := run(t, s, dir)
	if got := second.Position(); got != token {
		t.Errorf("position after opening: got %s, want %s", got, token)
	}
	second.wantFind("apple", "a#0")
	second.reach(later)
	second.wantFind("banana", "b#0")
	second.wantFind("apple", "a#0")
}

func TestReplica_ReconcilesWhenTheLogWasTrimmed(t *testing.T) {
	t.Parallel()
	s, dir := startRedis(t), t.TempDir()
	w := newWriter(t, s)
	first := run(t, s, dir)
	put(t, w, page("stays", "Apple", "red"))
	first.reach(put(t, w, page("goes", "Banana", "yellow")))
	first.stop()

	if _, err := w.Delete(t.Context(), "", "goes"); err != nil {
		t.Fatal(err)
	}
	last := put(t, w, page("comes", "Cherry", "red"))
	if err := s.client.XTrimMaxLen(t.Context(), logKey, 1).Err(); err != nil {
		t.Fatal(err)
	}
	second := run(t, s, dir)
	second.reach(last)
	second.wantFind("banana")
	second.wantFind("cherry", "comes#0")
	second.wantFind("apple", "stays#0")

	// A log emptied altogether still tells its end.
	if err := s.client.XTrimMaxLen(t.Context(), logKey, 0).Err(); err != nil {
		t.Fatal(err)
	}
	second.reach(put(t, w, page("late", "Date", "brown")))
	second.wantFind("date", "late#0")
}

func TestReplica_NoticesThatRedisLostItsData(t *testing.T) {
	t.Parallel()
	t.Run("and nothing came after", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		w, r := newWriter(t, s), run(t, s, t.TempDir())
		r.reach(put(t, w, page("a", "Apple", "red")))
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica stands at the beginning", func() bool { return r.Position() == "0-0" })
		r.wantFind("apple")
		r.reach(put(t, w, page("b", "Banana", "yellow")))
		r.wantFind("banana", "b#0")
	})
	t.Run("and other documents came at once", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		w, r := newWriter(t, s), run(t, s, t.TempDir())
		r.reach(put(t, w, page("a", "Apple", "red")))
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.reach(put(t, w, page("b", "Banana", "yellow")))
		r.wantFind("banana", "b#0")
		r.wantFind("apple")
	})
	t.Run("and its ids begin again", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		w, r := newWriter(t, s), run(t, s, t.TempDir())
		r.reach(put(t, w, page("a", "Apple", "red")))
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		// A log written by a clock far behind.
		value, err := w.codec.encode(&Document{URI: "b", Collection: "default", Title: "Banana", Sections: []Section{{ID: "b#0"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.client.HSet(t.Context(), docsKey, "default/b", value).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.client.Do(t.Context(), "XADD", logKey, "5-1", idField, "default/b").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the position is the new log's", func() bool { return r.Position() == "5-1" })
		r.wantFind("apple")
		r.wantFind("banana", "b#0")
	})
}

func TestReplica_SurvivesRedisBeingAway(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, r := newWriter(t, s), run(t, s, t.TempDir())
	r.reach(put(t, w, page("a", "Apple", "red")))
	s.stop()
	r.wantFind("apple", "a#0")
	if _, err := w.Put(t.Context(), page("b", "Banana", "yellow")); err == nil {
		t.Error("put without redis: got no error")
	}
	s.start()
	r.reach(put(t, w, page("b", "Banana", "yellow")))
	r.wantFind("banana", "b#0")
	r.wantFind("apple", "a#0")
}

func TestReplica_BuildsADamagedIndexAnew(t *testing.T) {
	t.Parallel()
	damage := map[string]func(t *testing.T, dir string){
		"a flipped byte in a segment": func(t *testing.T, dir string) { damageFile(t, dir, "*.zap", flipMiddle) },
		"a segment cut short": func(t *testing.T, dir string) {
			damageFile(t, dir, "*.zap", func(b []byte) []byte { return b[:len(b)/2] })
		},
		"an empty segment": func(t *testing.T, dir string) {
			damageFile(t, dir, "*.zap", func([]byte) []byte { return nil })
		},
		"noise for a catalog": func(t *testing.T, dir string) {
			damageFile(t, dir, "root.bolt", func(b []byte) []byte { return []byte(strings.Repeat("noise", len(b)/5)) })
		},
		"a catalog cut short": func(t *testing.T, dir string) {
			damageFile(t, dir, "root.bolt", func(b []byte) []byte { return b[:5000] })
		},
		"no catalog": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, schemaVersion, "root.bolt")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := startRedis(t), t.TempDir()
			w := newWriter(t, s)
			first := run(t, s, dir)
			token := put(t, w, page("a", "Apple", strings.Repeat("red round fruit ", 200)))
			first.reach(token)
			first.stop()
			spoil(t, dir)
			second := run(t, s, dir)
			second.reach(token)
			second.wantFind("apple", "a#0")
		})
	}
}

func flipMiddle(b []byte) []byte {
	b[len(b)/2] ^= 0x10
	return b
}

func damageFile(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, schemaVersion, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s to damage: %v", pattern, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReplica_RecoversFromDamageFoundWhileSearching(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, r := newWriter(t, s), run(t, s, t.TempDir())
	token := put(t, w, page("a", "Apple", "red"))
	r.reach(token)
	r.spoil()
	eventually(t, "the index is built anew", func() bool { return !r.spoiled() && r.Position() == token })
	r.wantFind("apple", "a#0")
}

func TestOpen_RemovesOtherSchemas(t *testing.T) {
	t.Parallel()
	s, dir := startRedis(t), t.TempDir()
	for _, name := range []string{"replica-v0/old", "replica-v77/new", "somebody-elses/file"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run(t, s, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{schemaVersion, "somebody-elses"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestOpen_RefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	s, dir := startRedis(t), t.TempDir()
	w, r := newWriter(t, s), run(t, s, dir)
	r.reach(put(t, w, page("a", "Apple", "red")))
	if _, err := Open(t.Context(), Config{Dir: dir}, s.client); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	r.wantFind("apple", "a#0")
}

func TestOpen_DeletesATemporaryIndexOnClose(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, r := newWriter(t, s), run(t, s, "")
	r.reach(put(t, w, page("a", "Apple", "red")))
	r.wantFind("apple", "a#0")
	r.stop()
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("temporary index: got %v, want that it does not exist", err)
	}
	if _, err := r.Search(t.Context(), Query{Text: "apple", Limit: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("search after close: got %v, want ErrClosed", err)
	}
}

func TestReplica_WaitForEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	r := run(t, s, t.TempDir())
	ctx, stop := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	stop(cause)
	if err := r.WaitFor(ctx, "99999999999999-0"); !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}
	if err := r.WaitFor(t.Context(), "nonsense"); err == nil {
		t.Error("a malformed token: got no error")
	}
	if err := r.WaitFor(t.Context(), "0-0"); err != nil {
		t.Errorf("the first token: got %v", err)
	}
}

func TestReplica_SkipsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, r := newWriter(t, s), run(t, s, t.TempDir())
	r.reach(put(t, w, page("a", "Apple", "red")))
	if err := s.client.HSet(t.Context(), docsKey, "default/a", "znonsense").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.client.XAdd(t.Context(), xadd("default/a")).Err(); err != nil {
		t.Fatal(err)
	}
	r.reach(put(t, w, page("b", "Banana", "yellow")))
	r.wantFind("apple", "a#0")
	if got := r.stats().Skipped; got != 1 {
		t.Errorf("skipped: got %d, want 1", got)
	}
}
