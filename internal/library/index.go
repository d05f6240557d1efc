package library

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	bolt "go.etcd.io/bbolt/errors"
)

// schemaVersion changes whenever an index written before would be read wrongly:
// other fields, another way of cutting words, another record.
const schemaVersion = "replica-v1"

var schemaPattern = regexp.MustCompile(`^replica-v[0-9]+$`)

// ErrInUse is returned by Open when another process holds the index directory.
var ErrInUse = errors.New("the index directory is in use by another process; give each worker its own with --data-dir")

// FolderError tells that the index cannot be kept where it was told to be.
type FolderError struct {
	Dir string
	Err error
}

// Error says where, why and what to do.
func (e *FolderError) Error() string {
	cause := e.Err
	if p, ok := errors.AsType[*fs.PathError](cause); ok {
		cause = p.Err
	}
	return fmt.Sprintf("cannot use the folder %s: %v; choose another with --data-dir", e.Dir, cause)
}

// Unwrap returns the cause.
func (e *FolderError) Unwrap() error { return e.Err }

var errDamagedIndex = errors.New("the index is damaged")

var stateKey = []byte("library_state")

// state is what the index as a whole stands for. It is stored with every batch.
type state struct {
	Position  string            `json:"position"`
	Documents int               `json:"documents"`
	Sections  int               `json:"sections"`
	Bytes     int64             `json:"bytes"` // of the sections' text
	Words     [textFields]int64 `json:"words"` // by field
	position  Token
}

// store is a scorch index on disk. It is used by one writer and any number of readers.
type store struct {
	index.Index
	queue *index.AnalysisQueue
	dir   string
	// damaged is set by whoever finds the index unreadable.
	damaged atomic.Bool
}

// openStore opens the index below dir, or makes an empty one: also when what
// lies there is damaged or of another schema.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &FolderError{dir, err}
	}
	path := filepath.Join(dir, schemaVersion)
	s, err := openScorch(path)
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, ErrInUse
	}
	if err == nil {
		if err = s.verify(); err == nil {
			return s, removeOtherSchemas(dir)
		}
		_ = s.Close() // about to be deleted
	}
	if rmErr := os.RemoveAll(path); rmErr != nil {
		return nil, fmt.Errorf("delete damaged index (%w): %w", err, rmErr)
	}
	if s, err = openScorch(path); err != nil {
		return nil, &FolderError{dir, err}
	}
	return s, removeOtherSchemas(dir)
}

// openScorch opens one index. Reading a damaged one may panic inside of bleve or bbolt.
func openScorch(path string) (s *store, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamagedIndex, r)
		}
	}()
	queue := index.NewAnalysisQueue(1)
	idx, err := scorch.NewScorch(scorch.Name, map[string]any{
		"path":         path,
		"bolt_timeout": "1s", // for the lock that another process may hold
	}, queue)
	if err == nil {
		err = idx.Open()
	}
	if err != nil {
		queue.Close()
		return nil, fmt.Errorf("open index: %w", err)
	}
	return &store{Index: idx, queue: queue, dir: path}, nil
}

// Close releases the index and its lock.
func (s *store) Close() error {
	defer s.queue.Close()
	return s.Index.Close()
}

// verify reads all segments once and compares their checksums, which bleve
// writes but never checks: a flipped bit would surface as a wrong answer.
func (s *store) verify() error {
	r, err := s.view()
	if err != nil {
		return err
	}
	defer r.Close()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.zap"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := verifySegment(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// verifySegment checks the last four bytes of a segment, the CRC-32 of all before.
func verifySegment(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < 4 {
		return fmt.Errorf("%w: segment of %d bytes", errDamagedIndex, info.Size())
	}
	sum := crc32.NewIEEE()
	var want [4]byte
	if _, err := io.CopyN(sum, f, info.Size()-4); err != nil {
		return err
	}
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return err
	}
	if sum.Sum32() != binary.BigEndian.Uint32(want[:]) {
		return fmt.Errorf("%w: checksum of a segment", errDamagedIndex)
	}
	return nil
}

func removeOtherSchemas(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list index directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() != schemaVersion && schemaPattern.MatchString(e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("delete index of another schema: %w", err)
			}
		}
	}
	return nil
}

// diskBytes sums the files of the index.
func (s *store) diskBytes() int64 {
	var n int64
	_ = filepath.WalkDir(s.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that a merge just removed
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// view is the index as it was at one moment, with the state of that moment.
type view struct {
	index.IndexReader
	state state
}

// view returns the present view; it must be closed.
func (s *store) view() (*view, error) {
	r, err := s.Reader()
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	v := &view{IndexReader: r}
	raw, err := r.GetInternal(stateKey)
	if err == nil && raw != nil {
		if err = json.Unmarshal(raw, &v.state); err == nil {
			v.state.position, err = ParseToken(v.state.Position)
		}
	}
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("%w: state: %w", errDamagedIndex, err)
	}
	return v, nil
}

// stored returns the value of a stored field of an entry, or nil if there is none.
func (v *view) stored(entry, name string) ([]byte, error) {
	d, err := v.Document(entry)
	if err != nil || d == nil {
		return nil, err
	}
	var value []byte
	d.VisitFields(func(f index.Field) {
		if f.Name() == name {
			value = f.Value()
		}
	})
	return value, nil
}
