package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// placeWithin is how long after its name was made a file may be named in
	// Redis, and orphanFor how old a file must be to be deleted that is not: both
	// by Redis's clock, so that no file is deleted which may still be named.
	placeWithin = 10 * time.Minute
	orphanFor   = time.Hour
	// shards is into how many folders a yard's blobs are spread.
	shards = 256
)

// file is one file of a directory. Each write of a blob makes a new one, and
// Redis holds which one counts; so deleting one never takes another's place.
//
// It lies in a folder of its yard, since two yards may be given the same
// directory, and each deletes what its own Redis does not know.
type file struct {
	yard, sha string
	made      int64 // ms of Redis's clock
	salt      string
}

func (f file) folder() string { return f.yard + "/" + f.sha[:2] }
func (f file) base() string {
	return f.sha + "." + strconv.FormatInt(f.made, 10) + "-" + f.salt + ".zst"
}
func (f file) name() string { return f.folder() + "/" + f.base() }
func (f file) valid() bool {
	return isHex(f.yard, 16) && ValidSHA(f.sha) && f.made > 0 && isHex(f.salt, 16)
}

// parseFile reads a file's name as Redis holds it. Anybody can write to Redis:
// only names of ours are let through, which lead nowhere else.
func parseFile(name string) (file, bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return file{}, false
	}
	f, ok := parseBase(parts[0], parts[2])
	return f, ok && f.sha[:2] == parts[1]
}

func parseBase(yard, base string) (file, bool) {
	rest, ok := strings.CutSuffix(base, ".zst")
	sha, rest, ok2 := strings.Cut(rest, ".")
	made, salt, ok3 := strings.Cut(rest, "-")
	ms, err := strconv.ParseInt(made, 10, 64)
	f := file{yard: yard, sha: sha, made: ms, salt: salt}
	return f, ok && ok2 && ok3 && err == nil && f.valid() && f.base() == base
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// directory is a folder that all processes of a yard share.
type directory struct{ path string }

// DirectoryError tells that the directory that was named cannot be used.
type DirectoryError struct{ Err error }

// Error says why and what to do.
func (e *DirectoryError) Error() string {
	return fmt.Sprintf("blob directory: %v; name a folder that this process may write to", e.Err)
}

// Unwrap returns the cause.
func (e *DirectoryError) Unwrap() error { return e.Err }

// openDirectory makes the directory if need be, and tries whether it can be
// written to.
func openDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, &DirectoryError{err}
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, &DirectoryError{err}
	}
	probe, err := os.CreateTemp(path, ".probe-")
	if err != nil {
		return nil, &DirectoryError{err}
	}
	defer os.Remove(probe.Name())
	if err := errors.Join(probe.Sync(), probe.Close()); err != nil {
		return nil, &DirectoryError{err}
	}
	return &directory{path}, nil
}

func (d *directory) at(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

func (d *directory) has(f file) bool {
	info, err := os.Stat(d.at(f.name()))
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// write writes a file so that it is there whole or not at all, and stays there
// if the machine loses power.
func (d *directory) write(f file, data []byte) error {
	folder := d.at(f.folder())
	if _, err := os.Stat(folder); err != nil {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return fmt.Errorf("make a folder for blobs: %w", err)
		}
		if err := errors.Join(syncFolder(d.path), syncFolder(d.at(f.yard))); err != nil {
			return err
		}
	}
	temporary := filepath.Join(folder, "."+f.base())
	if err := writeSynced(temporary, data); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("write a blob's file: %w", err)
	}
	if err := os.Rename(temporary, d.at(f.name())); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("write a blob's file: %w", err)
	}
	return syncFolder(folder)
}

func writeSynced(path string, data []byte) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync a folder of blobs: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync a folder of blobs: %w", err)
	}
	return nil
}

// read reads a file; found is false if there is none.
func (d *directory) read(f file) (data []byte, found bool, err error) {
	in, err := os.Open(d.at(f.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	info, err := in.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.Size() > maxPacked {
		return nil, false, damaged(f.sha, "its file is larger than any blob's")
	}
	data = make([]byte, info.Size())
	_, err = io.ReadFull(in, data)
	return data, err == nil, err
}

// remove deletes a file. One that stays is found by the sweep.
func (d *directory) remove(f file) { os.Remove(d.at(f.name())) }
