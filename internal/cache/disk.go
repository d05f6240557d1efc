package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// diskFolders is over how many folders the files are spread, by the first
	// byte of the key.
	diskFolders = 256
	// diskBlock is in what steps a file takes room. There are no more files than
	// one for each fileBound of the bound: a file system has about so many inodes.
	diskBlock = 4 << 10
	fileBound = 16 << 10
	// diskSample is how many folders are looked at to find what was used least
	// lately, and diskSlack the part of the bound that is freed beyond what is
	// needed, so that not every write has to look.
	diskSample = 8
	diskSlack  = 64
	// diskLasting is how long a value must be of use to be worth a file.
	diskLasting = 10 * time.Minute
	// touchAfter is how old the note of a file's last use may be.
	touchAfter = 10 * time.Minute
	// diskFree is the part of the file system that is left free, whatever the
	// bound says: others write there too.
	diskFree = 0.05
	// cleanFolders is how many folders a clean-up looks through.
	cleanFolders = 16
	partSuffix   = ".part"
)

// Disk is the tier in a folder on disk: a file a value. What was not used for
// longest goes first when it is full. A file is whole or not there: it is
// written beside and renamed. It is not synced, because a checksum tells whether
// it is what was put.
type Disk struct {
	dir   string
	bound int64
	ttl   time.Duration
	lock  *os.File

	counted atomic.Bool // what was there at the start is known
	gone    chan struct{}
	ended   chan struct{}

	mu    sync.Mutex // held while files come and go
	sizes [diskFolders]int64
	files [diskFolders]int64
	next  int   // folder where room is made next
	clean int   // folder that is cleaned next
	room  int64 // bytes that may be written until the file system is asked again
}

// OpenDisk opens a tier in a folder, which this process alone may use. It counts
// what is there in the background, and stores nothing before.
func OpenDisk(dir string, bound int64, ttl time.Duration) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the disk cache: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("open the disk cache in %s: %w", dir, err)
	}
	d := &Disk{
		dir: dir, bound: bound, ttl: ttl, lock: lock, gone: make(chan struct{}), ended: make(chan struct{}),
		next: rand.IntN(diskFolders), //nolint:gosec // where to begin
	}
	go d.count()
	return d, nil
}

// count reads what is in the folders.
func (d *Disk) count() {
	defer close(d.ended)
	for i := range diskFolders {
		select {
		case <-d.gone:
			return
		default:
		}
		d.mu.Lock()
		d.list(i)
		d.mu.Unlock()
	}
	d.counted.Store(true)
}

func (d *Disk) folder(i int) string { return filepath.Join(d.dir, hex.EncodeToString([]byte{byte(i)})) }

func (d *Disk) path(k Key) string {
	return filepath.Join(d.folder(int(k[0])), hex.EncodeToString(k[1:]))
}

// kept is a file of the tier.
type kept struct {
	folder int
	path   string
	size   int64
	used   time.Time
}

// list reads a folder, notes how much it holds, and removes what another process
// left half written. d.mu is held, so that nobody is writing.
func (d *Disk) list(i int) []kept {
	entries, err := os.ReadDir(d.folder(i))
	d.sizes[i], d.files[i] = 0, 0
	if err != nil {
		return nil // there is none yet
	}
	all := make([]kept, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(d.folder(i), e.Name())
		if strings.HasSuffix(path, partSuffix) {
			os.Remove(path)
			continue
		}
		f := kept{i, path, blocks(info.Size()), info.ModTime()}
		all, d.sizes[i], d.files[i] = append(all, f), d.sizes[i]+f.size, d.files[i]+1
	}
	return all
}

// blocks is what a file of n bytes takes on disk.
func blocks(n int64) int64 { return (n + diskBlock - 1) / diskBlock * diskBlock }

// Get implements a tier.
func (d *Disk) Get(_ context.Context, k Key) (Value, bool, error) {
	in, err := os.Open(d.path(k))
	if errors.Is(err, fs.ErrNotExist) {
		return Value{}, false, nil
	}
	if err != nil {
		return Value{}, false, fmt.Errorf("read from the disk cache: %w", err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	info, err := in.Stat()
	if err != nil {
		return Value{}, false, fmt.Errorf("read from the disk cache: %w", err)
	}
	if info.Size() > MaxValue+MaxValue/64 {
		d.remove(k)
		return Value{}, false, fmt.Errorf("%w: its file is too large", ErrDamaged)
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(in, raw); err != nil {
		return Value{}, false, fmt.Errorf("read from the disk cache: %w", err)
	}
	v, err := decode(k, raw)
	if err != nil || !time.Now().Before(v.Expires) {
		d.remove(k)
		return Value{}, false, err
	}
	if now := time.Now(); now.Sub(info.ModTime()) > touchAfter {
		_ = os.Chtimes(d.path(k), now, now) // only which one goes first hangs on it
	}
	return v, true, nil
}

// remove takes a file out.
func (d *Disk) remove(k Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(int(k[0]), d.path(k))
}

// forget removes a file if it is there; d.mu is held.
func (d *Disk) forget(folder int, path string) {
	info, err := os.Lstat(path)
	if err == nil && os.Remove(path) == nil {
		d.sizes[folder], d.files[folder] = d.sizes[folder]-blocks(info.Size()), d.files[folder]-1
	}
}

// Put implements a tier.
func (d *Disk) Put(_ context.Context, k Key, v Value) error {
	now := time.Now()
	if most := now.Add(d.ttl); v.Expires.After(most) {
		v.Expires = most
	}
	if v.Expires.Sub(now) < min(diskLasting, d.ttl/2) || !d.counted.Load() {
		return nil
	}
	raw := encode(k, v)
	need := blocks(int64(len(raw)))
	if need > d.bound/largest {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	folder, path := int(k[0]), d.path(k)
	if !d.makeRoom(need) {
		return nil
	}
	old, oldErr := os.Lstat(path)
	if err := storeFile(path, raw); err != nil {
		return fmt.Errorf("store in the disk cache: %w", err)
	}
	if oldErr == nil { // it was replaced
		d.sizes[folder], d.files[folder] = d.sizes[folder]-blocks(old.Size()), d.files[folder]-1
	}
	d.sizes[folder], d.files[folder], d.room = d.sizes[folder]+need, d.files[folder]+1, d.room-need
	return nil
}

// storeFile writes a file so that it is there whole or not at all.
func storeFile(path string, raw []byte) error {
	part := path + partSuffix
	err := os.WriteFile(part, raw, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil {
			err = os.WriteFile(part, raw, 0o600)
		}
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		os.Remove(part)
	}
	return err
}

// held is how much there is; d.mu is held.
func (d *Disk) held() (bytes, files int64) {
	for i := range diskFolders {
		bytes, files = bytes+d.sizes[i], files+d.files[i]
	}
	return bytes, files
}

// over is how much must go before so many bytes fit; d.mu is held.
func (d *Disk) over(need int64) int64 {
	if d.room < need {
		d.room = roomOn(d.dir)
	}
	bytes, files := d.held()
	over := max(bytes+need-d.bound, need-d.room)
	if crowd := files + 1 - max(d.bound/fileBound, diskFolders); crowd > 0 {
		over = max(over, crowd*diskBlock)
	}
	return over
}

// makeRoom removes what was used least lately until so many bytes fit. It looks
// at some folders at a time: keys are spread evenly, so these stand for all.
func (d *Disk) makeRoom(need int64) bool {
	for range diskFolders / diskSample {
		over := d.over(need)
		if over <= 0 {
			return true
		}
		d.removeOldest(over + d.bound/diskSlack)
	}
	return d.over(need) <= 0
}

// removeOldest removes so many bytes from the next folders, if they hold them;
// d.mu is held.
func (d *Disk) removeOldest(bytes int64) {
	var all []kept
	for range diskSample {
		all = append(all, d.list(d.next)...)
		d.next = (d.next + 1) % diskFolders
	}
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, f := range all {
		if bytes <= 0 {
			return
		}
		d.forget(f.folder, f.path)
		bytes, d.room = bytes-f.size, d.room+f.size
	}
}

// Clean implements a tier. It looks through some of the folders, so that all have
// been seen after a quarter of an hour: counts them anew, and removes what was not
// used for the tier's time.
func (d *Disk) Clean(ctx context.Context) error {
	if !d.counted.Load() {
		return nil
	}
	oldest := time.Now().Add(-d.ttl)
	for range cleanFolders {
		if ctx.Err() != nil {
			return nil
		}
		d.mu.Lock()
		for _, f := range d.list(d.clean) {
			if f.used.Before(oldest) {
				d.forget(f.folder, f.path)
			}
		}
		d.clean = (d.clean + 1) % diskFolders
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = 0 // others write there too: ask again
	d.makeRoom(0)
	return nil
}

// Bytes implements a tier.
func (d *Disk) Bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	bytes, _ := d.held()
	return bytes
}

// Bound implements a tier.
func (d *Disk) Bound() int64 { return d.bound }

// Close implements a tier.
func (d *Disk) Close() error {
	close(d.gone)
	<-d.ended
	return unlockFolder(d.lock)
}

// roomStep is how much may be written at most before the file system is asked
// again.
const roomStep = 64 << 20

// roomOn is how much may be written to the file system of a folder. Where it does
// not tell, the bound alone decides.
func roomOn(dir string) int64 {
	free, all, err := fileSystem(dir)
	if err != nil {
		return roomStep
	}
	return min(roomStep, free-int64(diskFree*float64(all)))
}
