package blob

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// deadIf judges references by their names.
func deadIf(dead func(Held) bool) Judge {
	return func(_ context.Context, refs []Held) ([]bool, error) {
		out := make([]bool, len(refs))
		for i, r := range refs {
			out[i] = dead(r)
		}
		return out, nil
	}
}

func clean(t testing.TB, s *Store, dead func(Held) bool) int {
	t.Helper()
	n, err := s.Clean(t.Context(), deadIf(dead))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestClean_DeletesWhatNobodyRefersTo(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		dead := func(h Held) bool { return h.Name == "dead" }
		lost := put(t, s, text(70_000), "dead")
		held := put(t, s, text(80_000), "dead")
		put(t, s, text(80_000), "alive")
		fresh, err := s.Upload(t.Context(), text(1000))
		if err != nil {
			t.Fatal(err)
		}
		old, err := s.Upload(t.Context(), text(2000))
		if err != nil {
			t.Fatal(err)
		}
		s.age(t, old, uploaded, UploadedFor+time.Second)
		if n := clean(t, s, dead); n != 0 || !s.exists(t, lost.SHA) {
			t.Errorf("got %d deleted before they were due", n)
		}
		s.due(t)
		if n := clean(t, s, dead); n != 2 {
			t.Errorf("got %d deleted, want 2", n)
		}
		for sha, want := range map[string]bool{lost.SHA: false, held.SHA: true, fresh: true, old: false} {
			if s.exists(t, sha) != want {
				t.Errorf("blob %.6s: got it there %t, want %t", sha, !want, want)
			}
		}
		if n := s.broker.Client().ZCard(t.Context(), refsKey(held.SHA)).Val(); n != 1 {
			t.Errorf("got %d references left, want the living one", n)
		}
		if files := s.files(t); s.dir != nil && len(files) != 2 {
			t.Errorf("got %v, want two files", files)
		}
		// What is gone is forgotten at the next look, what is kept is not.
		s.due(t)
		clean(t, s, dead)
		if n := s.broker.Client().ZCard(t.Context(), dueKey).Val(); n != 2 {
			t.Errorf("got %d blobs listed, want 2", n)
		}
	})
}

// A process died after it had made its reference and before it wrote the bytes.
func TestClean_ForgetsAReferenceWithoutABlob(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		data := text(70_000)
		sha := SHA(data)
		if _, err := run(t.Context(), s.broker, s.listCall(sha), referCall(sha, "died", false)); err != nil {
			t.Fatal(err)
		}
		if missing, err := s.Refer(t.Context(), []Ref{{sha, "other"}}); err != nil || !missing[0] {
			t.Errorf("got %v, %v, want it missing: nothing was written", missing, err)
		}
		put(t, s, data, "second") // finds the reference, and writes the bytes
		if got, err := s.Get(t.Context(), sha); err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		for range 2 {
			s.due(t)
			clean(t, s, func(Held) bool { return true })
		}
		if keys := s.broker.Client().Keys(t.Context(), "jobyard:blob:*").Val(); len(keys) != 0 {
			t.Errorf("got the keys %v, want none", keys)
		}
		if n := s.broker.Client().ZCard(t.Context(), dueKey).Val(); n != 0 {
			t.Errorf("got %d blobs listed, want none", n)
		}
	})
}

// A sweep that died with its claim leaves its part to the next one.
func TestClean_ClaimsEnd(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	m := put(t, s, text(70_000), "dead")
	s.due(t)
	if _, shas, err := s.claim(t.Context()); err != nil || len(shas) != 1 {
		t.Fatalf("got %v, %v", shas, err)
	}
	dead := func(Held) bool { return true }
	if n := clean(t, s, dead); n != 0 {
		t.Error("got what another sweep has claimed")
	}
	s.due(t) // the claim's time is over
	if n := clean(t, s, dead); n != 1 || s.exists(t, m.SHA) {
		t.Errorf("got %d deleted, want 1", n)
	}
}

// A blob that is written anew while a sweep forgets it stays listed.
func TestClean_DoesNotForgetWhatIsListedAnew(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	data := text(70_000)
	m := put(t, s, data, "dead")
	s.due(t)
	clean(t, s, func(Held) bool { return true })
	s.due(t)
	_, err := s.Clean(t.Context(), func(_ context.Context, refs []Held) ([]bool, error) {
		put(t, s, data, "new") // between the look and the end of the sweep
		return make([]bool, len(refs)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.broker.Client().ZScore(t.Context(), dueKey, m.SHA).Err(); err != nil || !s.exists(t, m.SHA) {
		t.Errorf("got %v, want it listed and there", err)
	}
}

func TestClean_ManyReferencesAreAllSeenInTheEnd(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	m := put(t, s, text(70_000), "alive")
	var refs []Ref
	for i := range 500 {
		refs = append(refs, Ref{m.SHA, fmt.Sprint("dead ", i)})
	}
	if _, err := s.Refer(t.Context(), refs); err != nil {
		t.Fatal(err)
	}
	dead := func(h Held) bool { return h.Name != "alive" }
	brokertest.Until(t, "only the living reference is left", func() bool {
		s.due(t)
		clean(t, s, dead)
		return s.broker.Client().ZCard(t.Context(), refsKey(m.SHA)).Val() == 1
	})
	if !s.exists(t, m.SHA) {
		t.Error("the blob is gone")
	}
}

func TestClean_LooksMoreRarelyAtOldBlobs(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]time.Duration{
		0: soonest, 10 * time.Second: soonest, time.Minute: 30 * time.Second, time.Hour: latest,
	} {
		if got := (&seen{count: 1, youngest: age}).again(); got != want {
			t.Errorf("after %s: got %s, want %s", age, got, want)
		}
	}
}

func TestClean_DeletesFilesThatNobodyNames(t *testing.T) {
	t.Parallel()
	s := openStore(t, brokertest.Start(t), "directory")
	m := put(t, s, text(70_000), "alive")
	named := s.files(t)[0]
	now := time.Now().UnixMilli()
	yard := s.broker.Client().Get(t.Context(), yardKey).Val()
	hour := orphanFor.Milliseconds()
	write := func(yard string, made int64, prefix string) string {
		f := file{yard: yard, sha: SHA([]byte(prefix + fmt.Sprint(made))), made: made, salt: salt()}
		if err := s.dir.write(f, []byte("x")); err != nil {
			t.Fatal(err)
		}
		path := s.dir.at(f.folder() + "/" + prefix + f.base())
		if err := os.Rename(s.dir.at(f.name()), path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	want := map[string]bool{
		named:                             true,
		write(yard, now, ""):              true,  // may be named yet
		write(yard, now-2*hour, ""):       false, // its writer died
		write(yard, now-2*hour-1, "."):    false, // half written
		write(yard, now, "."):             true,
		write(salt(), now-2*hour, ""):     true, // another yard's
		write(yard, now-2*hour-2, "foo-"): true, // none of ours
	}
	// The file of a blob that was written anew since.
	sha := m.SHA
	before := file{yard: yard, sha: sha, made: now - 2*hour, salt: salt()}
	if err := s.dir.write(before, []byte("x")); err != nil {
		t.Fatal(err)
	}
	want[s.dir.at(before.name())] = false
	// A named file stays, however old.
	old := file{yard: yard, sha: SHA([]byte("old")), made: now - 100*hour, salt: salt()}
	if err := s.dir.write(old, []byte("x")); err != nil {
		t.Fatal(err)
	}
	s.broker.Client().Set(t.Context(), blobKey(old.sha), inFile+old.name(), 0)
	want[s.dir.at(old.name())] = true
	for range shards {
		clean(t, s, func(Held) bool { return false })
	}
	for path, stays := range want {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: got it there %t, want %t", strings.TrimPrefix(path, s.dir.path), err == nil, stays)
		}
	}
}

// A writer that was stopped for long must not name a file that may be swept.
func TestPut_NamesNoOldFile(t *testing.T) {
	t.Parallel()
	s := openStore(t, brokertest.Start(t), "directory")
	f := file{yard: salt(), sha: SHA([]byte("x")), made: time.Now().Add(-placeWithin - time.Minute).UnixMilli(), salt: salt()}
	if err := s.putFile(t.Context(), f, []byte("x"), ""); err == nil {
		t.Error("got no error")
	}
	if files := s.files(t); len(files) > 0 || s.exists(t, f.sha) {
		t.Errorf("got %v, want neither file nor name", files)
	}
}

// The second of two writers leaves the blob to the first.
func TestPut_FirstWriterWins(t *testing.T) {
	t.Parallel()
	s := openStore(t, brokertest.Start(t), "directory")
	data := text(70_000)
	m := put(t, s, data, "first")
	late := file{yard: salt(), sha: m.SHA, made: time.Now().UnixMilli(), salt: salt()}
	if err := s.putFile(t.Context(), late, newPacker().pack(data), ""); err != nil { // it saw no blob yet
		t.Fatal(err)
	}
	if files := s.files(t); len(files) != 1 {
		t.Errorf("got %v, want one file", files)
	}
	if got, err := s.Get(t.Context(), m.SHA); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// ledger knows which references hold, as Redis's tasks do in life.
type ledger struct {
	mu    sync.Mutex
	holds map[string]bool
}

func (l *ledger) set(name string, holds bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holds {
		l.holds[name] = true
	} else {
		delete(l.holds, name)
	}
}

func (l *ledger) judge(h Held) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.holds[h.Name]
}

// Between "the last reference was removed" and "a new one was added to the blob
// that is still there" no blob may get lost: tasks of equal content come and go
// while several sweeps run as fast as they can.
func TestClean_NeverTakesABlobFromATask(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		contents := [][]byte{text(70_000), text(71_000), noise(66_000)}
		l := &ledger{holds: map[string]bool{}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var all sync.WaitGroup
		var admitted, deleted sync.Map
		for w := range 4 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(2, uint64(w)))
				for i := 0; ctx.Err() == nil; i++ {
					name, data := fmt.Sprintf("%d %d", w, i), contents[r.IntN(len(contents))]
					l.set(name, true) // too young to be judged, and then admitted
					m, err := s.Put(t.Context(), data, name)
					if err != nil {
						t.Error(err)
						return
					}
					got, err := s.Get(t.Context(), m.SHA)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("task %s: got %d bytes, %v", name, len(got), err)
						return
					}
					admitted.Store(name, true)
					l.set(name, false) // the task is gone
					if r.IntN(2) == 0 {
						if err := s.Drop(t.Context(), Ref{m.SHA, name}); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		for range 2 {
			all.Go(func() {
				for ctx.Err() == nil {
					s.due(t)
					n, err := s.Clean(t.Context(), deadIf(l.judge))
					if err != nil {
						t.Error(err)
						return
					}
					if n > 0 {
						deleted.Store("some", true)
					}
				}
			})
		}
		all.Wait()
		if _, some := admitted.Load("0 0"); !some {
			t.Error("no task was admitted")
		}
		brokertest.Until(t, "nothing is left", func() bool {
			s.due(t)
			clean(t, s, l.judge)
			keys := s.broker.Client().Keys(t.Context(), "jobyard:blob:*").Val()
			return len(keys) == 0 && s.broker.Client().ZCard(t.Context(), dueKey).Val() == 0
		})
		if files := s.files(t); len(files) > 0 {
			t.Errorf("got %v, want no file left", files)
		}
	})
}

// What the race test could not fail on would prove nothing: a sweep that judges
// and deletes in two steps must be caught by it. Here the steps are taken one by
// one, with the new reference between them.
func TestDrop_ANewReferenceComesBeforeOrAfter(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		data := text(70_000)
		m := put(t, s, data, "old")
		s.due(t)
		_, err := s.Clean(t.Context(), func(_ context.Context, refs []Held) ([]bool, error) {
			put(t, s, data, "new") // the sweep has seen "old" only
			return []bool{true}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), m.SHA); err != nil {
			t.Errorf("before the deletion: %v", err)
		}
		if err := s.Drop(t.Context(), Ref{m.SHA, "new"}); err != nil {
			t.Fatal(err)
		}
		put(t, s, data, "newer")
		if _, err := s.Get(t.Context(), m.SHA); err != nil {
			t.Errorf("after the deletion: %v", err)
		}
	})
}

func TestDirectory_AReaderWhoseFileWasReplaced(t *testing.T) {
	t.Parallel()
	s := openStore(t, brokertest.Start(t), "directory")
	data := text(70_000)
	m := put(t, s, data, "x")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.Upload(t.Context(), data); err != nil { // a new file each time
				t.Error(err)
				return
			}
		}
	})
	all.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.Get(t.Context(), m.SHA); err != nil {
				t.Error(err)
				return
			}
		}
	})
	all.Wait()
	if files := s.files(t); len(files) != 1 {
		t.Errorf("got %v, want one file", files)
	}
}
