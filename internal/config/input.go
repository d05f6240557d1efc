package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// ReadInput reads a file, or in if the name is "-". More than most bytes are
// refused. Errors are usage errors that name the file.
func ReadInput(name string, in io.Reader, most int) ([]byte, error) {
	f, err := OpenInput(name, in)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, Usage("cannot read %s: %w", inputName(name), reason(err))
	}
	if len(data) > most {
		return nil, Usage("%s is over %d bytes, the most that is taken", inputName(name), most)
	}
	return data, nil
}

// OpenInput opens a file, or in if the name is "-".
func OpenInput(name string, in io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(in), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, Usage("cannot read %s: %w", inputName(name), reason(err))
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(Usage("cannot read %s: it is a directory", name), f.Close())
	}
	return f, nil
}

func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// reason leaves out the operation and path, which the sentence has already.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
