package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// places are where a store may keep its bytes.
var places = []string{"redis", "directory"}

// stored runs a test on a store of each place.
func stored(t *testing.T, do func(t *testing.T, s *Store)) {
	t.Helper()
	for _, place := range places {
		t.Run("in "+place, func(t *testing.T) {
			t.Parallel()
			do(t, openStore(t, brokertest.Start(t), place))
		})
	}
}

func openStore(t testing.TB, b *broker.Broker, place string) *Store {
	t.Helper()
	dir := ""
	if place == "directory" {
		dir = filepath.Join(t.TempDir(), "blobs")
	}
	s, err := Open(b, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// text is n bytes that compress about as well as a document.
func text(n int) []byte {
	words := strings.Fields("the quick brown fox reads every page of an endless manual and finds nothing about blobs in it")
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var out bytes.Buffer
	for out.Len() < n {
		fmt.Fprintf(&out, "%s %x ", words[r.IntN(len(words))], r.IntN(1000))
	}
	return out.Bytes()[:n]
}

func noise(n int) []byte {
	out := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(out) // never fails
	return out
}

func put(t testing.TB, s *Store, data []byte, name string) Marker {
	t.Helper()
	m, err := s.Put(t.Context(), data, name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *Store) exists(t testing.TB, sha string) bool {
	t.Helper()
	n, err := s.broker.Client().Exists(t.Context(), blobKey(sha)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// files lists the files of the store's directory.
func (s *Store) files(t testing.TB) []string {
	t.Helper()
	var all []string
	if s.dir == nil {
		return nil
	}
	err := filepath.WalkDir(s.dir.path, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err == nil && !e.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestStore_GivesBackWhatWasPut(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		for name, data := range map[string][]byte{
			"a byte": {0}, "text": text(200_000), "noise": noise(100_000), "zeros": make([]byte, 5<<20),
			"looks like a file": []byte("file:x/y/z"), "looks compressed": append([]byte{}, magic...), "the largest": make([]byte, MaxBytes),
		} {
			m := put(t, s, data, "a "+name)
			got, err := s.Get(t.Context(), m.SHA)
			if err != nil || !bytes.Equal(got, data) || m.Size != len(data) || m.SHA != SHA(data) {
				t.Errorf("%s: got %d bytes, %v and %+v", name, len(got), err, m)
			}
		}
	})
}

func TestStore_KeepsEqualBytesOnce(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		data := text(300_000)
		var m Marker
		for i := range 10 {
			m = put(t, s, data, fmt.Sprint("ref ", i))
		}
		if n := s.broker.Client().ZCard(t.Context(), refsKey(m.SHA)).Val(); n != 10 {
			t.Errorf("got %d references, want 10", n)
		}
		if keys := s.broker.Client().Keys(t.Context(), "jobyard:blob:*").Val(); len(keys) != 2 {
			t.Errorf("got the keys %v, want the blob's two", keys)
		}
		if files := s.files(t); s.dir != nil && len(files) != 1 {
			t.Errorf("got %v, want one file", files)
		}
		size := s.broker.Client().StrLen(t.Context(), blobKey(m.SHA)).Val()
		if s.dir != nil {
			info, err := os.Stat(s.files(t)[0])
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if size > int64(len(data))*2/3 {
			t.Errorf("it takes %d bytes, want it compressed", size)
		}
	})
}

func TestStore_RefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		_, err := s.Put(t.Context(), make([]byte, MaxBytes+1), "x")
		if f := fault.Of(err); !errors.Is(err, ErrTooLarge) || f.Reason != tasks.ReasonTooLarge || f.Verdict != fault.Permanent {
			t.Errorf("got %v, want it too large for good", err)
		}
		// A stranger's value that would unpack to more than any blob.
		sha := SHA([]byte("x"))
		enc := newPacker()
		bomb := enc.pack(make([]byte, MaxBytes+1))
		if err := s.broker.Client().Set(t.Context(), blobKey(sha), bomb, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), sha); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want it damaged", err)
		}
	})
}

func TestStore_SaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		for _, sha := range []string{"", "x", strings.Repeat("g", 64), SHA([]byte("never")), "../../../etc/passwd", strings.ToUpper(SHA(nil))} {
			_, err := s.Get(t.Context(), sha)
			if f := fault.Of(err); !errors.Is(err, ErrNotFound) || f.Reason != tasks.ReasonNotFound || f.Verdict != fault.Permanent {
				t.Errorf("%q: got %v, want that there is none", sha, err)
			}
		}
	})
}

func TestStore_NoticesDamage(t *testing.T) {
	t.Parallel()
	other := newPacker().pack([]byte("other bytes"))
	harm := map[string]func(t *testing.T, s *Store, sha string){
		"other bytes": func(t *testing.T, s *Store, sha string) { s.overwrite(t, sha, other) },
		"cut off":     func(t *testing.T, s *Store, sha string) { s.overwrite(t, sha, other[:len(other)-3]) },
		"no zstd":     func(t *testing.T, s *Store, sha string) { s.overwrite(t, sha, []byte("hello")) },
		"a name that leads elsewhere": func(t *testing.T, s *Store, sha string) {
			s.broker.Client().Set(t.Context(), blobKey(sha), inFile+"../../../../etc/passwd", 0)
		},
		"another blob's name": func(t *testing.T, s *Store, sha string) {
			f := file{yard: salt(), sha: SHA([]byte("another")), made: 1, salt: salt()}
			s.broker.Client().Set(t.Context(), blobKey(sha), inFile+f.name(), 0)
		},
		"no such file": func(t *testing.T, s *Store, sha string) {
			f := file{yard: salt(), sha: sha, made: 1, salt: salt()}
			s.broker.Client().Set(t.Context(), blobKey(sha), inFile+f.name(), 0)
		},
	}
	stored(t, func(t *testing.T, s *Store) {
		for name, do := range harm {
			data := text(70_000 + len(name))
			m := put(t, s, data, "ref")
			do(t, s, m.SHA)
			_, err := s.Get(t.Context(), m.SHA)
			if f := fault.Of(err); !errors.Is(err, ErrDamaged) || f.Reason != tasks.ReasonIntegrity || f.Verdict != fault.Permanent {
				t.Errorf("%s: got %v, want it damaged", name, err)
			}
			if _, err := s.Upload(t.Context(), data); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(t.Context(), m.SHA); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: after an upload got %d bytes, %v, want it mended", name, len(got), err)
			}
		}
	})
}

// overwrite harms a blob where it lies.
func (s *Store) overwrite(t *testing.T, sha string, with []byte) {
	t.Helper()
	if s.dir == nil {
		if err := s.broker.Client().Set(t.Context(), blobKey(sha), with, 0).Err(); err != nil {
			t.Fatal(err)
		}
		return
	}
	name := strings.TrimPrefix(s.broker.Client().Get(t.Context(), blobKey(sha)).Val(), inFile)
	if err := os.WriteFile(filepath.Join(s.dir.path, name), with, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file that went away is written again by the next put, not only by an upload.
func TestStore_PutMendsAMissingFile(t *testing.T) {
	t.Parallel()
	s := openStore(t, brokertest.Start(t), "directory")
	data := text(100_000)
	m := put(t, s, data, "one")
	if err := os.Remove(s.files(t)[0]); err != nil {
		t.Fatal(err)
	}
	put(t, s, data, "two")
	if got, err := s.Get(t.Context(), m.SHA); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// A process without the directory says what it lacks; one with it reads what
// others put into Redis.
func TestStore_MixedPlaces(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	inRedis, inDir := openStore(t, b, "redis"), openStore(t, b, "directory")
	first := put(t, inRedis, text(80_000), "r")
	if _, err := inDir.Get(t.Context(), first.SHA); err != nil {
		t.Errorf("a blob in Redis: %v", err)
	}
	data := text(90_000)
	second := put(t, inDir, data, "d")
	if _, err := inRedis.Get(t.Context(), second.SHA); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "--blob-dir") {
		t.Errorf("a blob in a directory: got %v, want the flag's name", err)
	}
	put(t, inRedis, data, "again")
	for _, s := range []*Store{inRedis, inDir} {
		if got, err := s.Get(t.Context(), second.SHA); err != nil || !bytes.Equal(got, data) {
			t.Errorf("put again: got %d bytes, %v", len(got), err)
		}
	}
}

func TestOpen_RefusesADirectoryItCannotUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(brokertest.Start(t), path); err == nil || !strings.Contains(err.Error(), "blob directory") {
		t.Errorf("got %v, want it refused", err)
	}
}

func TestStore_RefersOnlyToWhatIsThere(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		sha, err := s.Upload(t.Context(), text(1000))
		if err != nil {
			t.Fatal(err)
		}
		never := SHA([]byte("never"))
		var refs []Ref
		for i := range referPage {
			refs = append(refs, Ref{sha, fmt.Sprint("a ", i)}, Ref{never, fmt.Sprint("a ", i)})
		}
		missing, err := s.Refer(t.Context(), refs)
		if err != nil || len(missing) != len(refs) {
			t.Fatalf("got %d answers, %v", len(missing), err)
		}
		for i, r := range refs {
			if missing[i] != (r.SHA == never) {
				t.Fatalf("got missing %t for %s", missing[i], r.SHA)
			}
		}
		if n := s.broker.Client().Exists(t.Context(), refsKey(never)).Val(); n != 0 {
			t.Error("got references to a blob that is not there")
		}
	})
}

func TestStore_DropDeletesWithTheLastReference(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		m := put(t, s, text(70_000), "one")
		put(t, s, text(70_000), "two")
		for name, want := range map[string]bool{"never": true, "one": true} {
			if err := s.Drop(t.Context(), Ref{m.SHA, name}); err != nil || s.exists(t, m.SHA) != want {
				t.Errorf("%s dropped: got %v and there %t", name, err, !want)
			}
		}
		if err := s.Drop(t.Context(), Ref{m.SHA, "two"}, Ref{SHA([]byte("never")), "x"}); err != nil || s.exists(t, m.SHA) {
			t.Errorf("got %v, want the blob gone with its last reference", err)
		}
		if _, err := s.Get(t.Context(), m.SHA); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want that there is none", err)
		}
		if files := s.files(t); len(files) > 0 {
			t.Errorf("got %v, want no file left", files)
		}
	})
}

// An upload is kept without a reference of a task.
func TestStore_DropSparesAnUpload(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		sha, err := s.Upload(t.Context(), text(1000))
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, text(1000), "task")
		if err := s.Drop(t.Context(), Ref{sha, "task"}); err != nil || !s.exists(t, sha) {
			t.Errorf("got %v, want it kept", err)
		}
		s.age(t, sha, uploaded, UploadedFor+time.Second)
		if err := s.Drop(t.Context(), Ref{sha, "task"}); err != nil || s.exists(t, sha) {
			t.Errorf("got %v, want it gone after its time", err)
		}
	})
}

// age makes a reference older.
func (s *Store) age(t testing.TB, sha, name string, by time.Duration) {
	t.Helper()
	if err := s.broker.Client().ZIncrBy(t.Context(), refsKey(sha), -float64(by.Milliseconds()), name).Err(); err != nil {
		t.Fatal(err)
	}
}

// due makes every blob due for a look.
func (s *Store) due(t testing.TB) {
	t.Helper()
	c := s.broker.Client()
	for _, sha := range c.ZRange(t.Context(), dueKey, 0, -1).Val() {
		c.ZAdd(t.Context(), dueKey, redis.Z{Score: 1, Member: sha})
	}
}

// A Redis that was restarted has forgotten the scripts.
func TestStore_LoadsItsScriptsAgain(t *testing.T) {
	t.Parallel()
	stored(t, func(t *testing.T, s *Store) {
		for i := range 3 {
			if err := s.broker.Client().ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			m := put(t, s, text(1000+i), "x")
			if _, err := s.Get(t.Context(), m.SHA); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestStore_RedisAwayIsNoDamage(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	s := New(brokertest.Open(t, server.URL))
	m := put(t, s, text(1000), "x")
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := s.Get(ctx, m.SHA)
	var away *broker.UnavailableError
	if !errors.As(err, &away) || errors.Is(err, ErrDamaged) {
		t.Errorf("get: got %v, want Redis away", err)
	}
	if _, err = s.Put(ctx, text(1000), "y"); !errors.As(err, &away) {
		t.Errorf("put: got %v, want Redis away", err)
	}
}
