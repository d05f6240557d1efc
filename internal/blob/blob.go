package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// MaxBytes is the most that a blob may have.
	MaxBytes = tasks.MaxResultBytes
	// maxPacked is more than MaxBytes take when they cannot be compressed.
	maxPacked = MaxBytes + MaxBytes/256 + 1024
	// UploadedFor is how long an uploaded blob is kept without a task.
	UploadedFor = time.Hour
	// firstLook is when a sweep looks at a blob first. It must be longer than the
	// round trip that lists a blob and refers to it: what is listed without a
	// reference is forgotten.
	firstLook = 10 * time.Second
)

// uploaded is the reference that an upload makes.
const uploaded = "upload"

// inFile begins what Redis holds of a blob that lies in a file.
const inFile = "file:"

// Ref is a reference to a blob. A name must be new each time, so that taking one
// back never takes somebody else's.
type Ref struct{ SHA, Name string }

// Store keeps blobs. It is safe for concurrent use.
type Store struct {
	broker *broker.Broker
	packer *packer
	dir    *directory // nil: the bytes lie in Redis
}

// New returns a store that keeps its bytes in Redis.
func New(b *broker.Broker) *Store { return &Store{broker: b, packer: newPacker()} }

// Open returns a store that writes into a directory, which every process of the
// yard must share, or into Redis if dir is empty. Blobs in Redis are read in
// either case.
func Open(b *broker.Broker, dir string) (*Store, error) {
	s := New(b)
	if dir == "" {
		return s, nil
	}
	var err error
	s.dir, err = openDirectory(dir)
	return s, err
}

// Put stores data under a reference. If the blob is there already only the
// reference is added.
func (s *Store) Put(ctx context.Context, data []byte, name string) (Marker, error) {
	return s.put(ctx, data, name, false)
}

// Upload stores data without a task: it is kept for UploadedFor, and longer if
// a task refers to it by then. It writes the bytes anew, also where the blob is
// there, and so mends a damaged one.
func (s *Store) Upload(ctx context.Context, data []byte) (sha string, err error) {
	m, err := s.put(ctx, data, uploaded, true)
	return m.SHA, err
}

func (s *Store) put(ctx context.Context, data []byte, name string, anew bool) (Marker, error) {
	if len(data) > MaxBytes {
		return Marker{}, tooLarge(len(data))
	}
	m := Marker{SHA: SHA(data), Size: len(data)}
	cmds, err := run(ctx, s.broker, s.listCall(m.SHA), referCall(m.SHA, name, false))
	if err != nil {
		return m, fmt.Errorf("store blob: %w", err)
	}
	list, err := answer(cmds[0])
	if err != nil {
		return m, fmt.Errorf("store blob: %w", err)
	}
	there := placeOf(cmds[1].Slice())
	if !anew && s.has(m.SHA, there) {
		return m, nil
	}
	packed := s.packer.pack(data)
	if s.dir == nil {
		ctx, cancel := s.broker.CallContext(ctx)
		defer cancel()
		err = s.broker.Explain(s.broker.Client().Set(ctx, blobKey(m.SHA), packed, 0).Err())
	} else {
		now, _ := list[0].(int64)
		yard, _ := list[1].(string)
		err = s.putFile(ctx, file{yard: yard, sha: m.SHA, made: now, salt: salt()}, packed, there)
	}
	if err != nil {
		return m, fmt.Errorf("store blob: %w", err)
	}
	return m, nil
}

// listCall lists a blob for the sweep.
func (s *Store) listCall(sha string) call {
	yard := ""
	if s.dir != nil {
		yard = salt()
	}
	return call{listScript, []string{dueKey, yardKey}, []any{sha, firstLook.Milliseconds(), yard}}
}

// referCall adds a reference; must refuses to, where there is no blob.
func referCall(sha, name string, must bool) call {
	flag := ""
	if must {
		flag = "1"
	}
	return call{referScript, blobKeys(sha), []any{name, flag}}
}

// placeOf reads the place of a blob from a refer script's answer.
func placeOf(list []any, err error) string {
	if err != nil || len(list) == 0 {
		return ""
	}
	there, _ := list[0].(string)
	return there
}

// salt makes names that nobody else makes.
func salt() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// has reports whether a blob is at its place, as far as this process can tell.
func (s *Store) has(sha, there string) bool {
	name, isFile := strings.CutPrefix(there, inFile)
	if !isFile {
		return there != ""
	}
	f, ok := parseFile(name)
	return s.dir != nil && ok && f.sha == sha && s.dir.has(f)
}

// putFile writes a blob's file and says in Redis where it is. Whoever comes
// second leaves it to the first.
func (s *Store) putFile(ctx context.Context, f file, packed []byte, there string) error {
	if !f.valid() {
		return fmt.Errorf("the key %s does not hold what it should: delete it", yardKey)
	}
	if err := s.dir.write(f, packed); err != nil {
		return err
	}
	cmds, err := run(ctx, s.broker, call{placeScript, []string{blobKey(f.sha)}, []any{there, inFile + f.name(), f.made, placeWithin.Milliseconds()}})
	if err != nil {
		return err // where it lies is not known now: the sweep finds out
	}
	switch code, err := cmds[0].Int(); {
	case err != nil:
		return err
	case code == 1:
		if old, ok := parseFile(strings.TrimPrefix(there, inFile)); ok {
			s.dir.remove(old)
		}
	default:
		s.dir.remove(f)
		if code == -1 {
			return fmt.Errorf("writing to %s took over %s", s.dir.path, placeWithin)
		}
	}
	return nil
}

// getTries bounds how often a file may be replaced while it is looked for.
const getTries = 10

// Get returns a blob's bytes, which have been checked against its hash.
func (s *Store) Get(ctx context.Context, sha string) ([]byte, error) {
	if !ValidSHA(sha) {
		return nil, notFound(sha)
	}
	gone := ""
	for range getTries {
		ctx, cancel := s.broker.CallContext(ctx)
		there, err := s.broker.Client().GetRange(ctx, blobKey(sha), 0, maxPacked).Result()
		cancel()
		if err != nil {
			return nil, fmt.Errorf("read blob %.12s…: %w", sha, s.broker.Explain(err))
		}
		name, isFile := strings.CutPrefix(there, inFile)
		switch {
		case there == "":
			return nil, notFound(sha)
		case !isFile:
			return s.packer.unpack(sha, []byte(there))
		case s.dir == nil:
			return nil, damaged(sha, "it lies in a shared directory, and this process was given none with --blob-dir")
		case there == gone:
			return nil, damaged(sha, "its file is not in "+s.dir.path+"; is that the directory that all share")
		}
		f, ok := parseFile(name)
		if !ok || f.sha != sha {
			return nil, damaged(sha, "its file's name is none of ours")
		}
		packed, found, err := s.dir.read(f)
		if err != nil {
			return nil, fmt.Errorf("read blob %.12s…: %w", sha, err)
		}
		if found {
			return s.packer.unpack(sha, packed)
		}
		gone = there // another may just have taken its place: look again
	}
	return nil, damaged(sha, "its file changes all the time")
}

// referPage is how many references go into one round trip.
const referPage = 500

// Refer adds references to blobs that are there, and reports which are not.
func (s *Store) Refer(ctx context.Context, refs []Ref) (missing []bool, err error) {
	missing = make([]bool, 0, len(refs))
	for len(refs) > 0 {
		page := refs[:min(len(refs), referPage)]
		refs = refs[len(page):]
		calls := make([]call, 0, 2*len(page))
		for _, r := range page {
			calls = append(calls, s.listCall(r.SHA), referCall(r.SHA, r.Name, true))
		}
		cmds, err := run(ctx, s.broker, calls...)
		if err != nil {
			return nil, fmt.Errorf("refer to blobs: %w", err)
		}
		for i := range page {
			missing = append(missing, placeOf(cmds[2*i+1].Slice()) == "")
		}
	}
	return missing, nil
}

// Drop takes references back. A blob that loses its last one is deleted.
func (s *Store) Drop(ctx context.Context, refs ...Ref) error {
	for len(refs) > 0 {
		page := refs[:min(len(refs), referPage)]
		refs = refs[len(page):]
		names := map[string][]string{}
		for _, r := range page {
			names[r.SHA] = append(names[r.SHA], r.Name)
		}
		if _, err := s.drop(ctx, names); err != nil {
			return err
		}
	}
	return nil
}

// gone says what a drop left of a blob.
type gone int

const (
	absent  gone = iota // neither blob nor reference
	kept                // references are left
	deleted             // it was deleted just now
)

// drop takes references from blobs and deletes those that have none left.
func (s *Store) drop(ctx context.Context, names map[string][]string) (map[string]gone, error) {
	shas := make([]string, 0, len(names))
	calls := make([]call, 0, len(names))
	for sha, of := range names {
		args := make([]any, 0, 2+len(of))
		args = append(args, UploadedFor.Milliseconds(), uploaded)
		for _, name := range of {
			args = append(args, name)
		}
		shas, calls = append(shas, sha), append(calls, call{dropScript, blobKeys(sha), args})
	}
	cmds, err := run(ctx, s.broker, calls...)
	if err != nil {
		return nil, fmt.Errorf("drop references to blobs: %w", err)
	}
	did := make(map[string]gone, len(shas))
	for i, cmd := range cmds {
		list, err := answer(cmd)
		if err != nil {
			return did, fmt.Errorf("drop references to blobs: %w", err)
		}
		code, _ := list[0].(int64)
		did[shas[i]] = gone(code)
		place, _ := list[1].(string)
		if f, ok := parseFile(strings.TrimPrefix(place, inFile)); ok && s.dir != nil {
			s.dir.remove(f) // nobody can refer to this name any more
		}
	}
	return did, nil
}
