package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// commits are the results that Redis's own log says were written, by task: the
// runs in the order of the writes.
type commits map[int][]int

// readLog reads every write since Redis was first started.
func readLog(dir string) (commits, error) {
	parts, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil {
		return nil, fmt.Errorf("find redis's log: %w", err)
	}
	if len(parts) == 0 {
		parts = []string{filepath.Join(dir, "appendonly.aof")} // before Redis 7
	}
	slices.Sort(parts)
	all := commits{}
	for _, path := range parts {
		if err := all.read(path); err != nil {
			return nil, fmt.Errorf("read redis's log: %w", err)
		}
	}
	return all, nil
}

func (c commits) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for r := bufio.NewReaderSize(f, 1<<20); ; {
		words, err := readCommand(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		c.see(words)
	}
}

// see notes the results in a command. A task's result lies in its hash, that
// of one in a bundle in the bundle's, under its number.
func (c commits) see(words [][]byte) {
	if len(words) < 4 || !strings.EqualFold(string(words[0]), "hset") && !strings.EqualFold(string(words[0]), "hmset") {
		return
	}
	for i := 2; i+1 < len(words); i += 2 {
		if field := words[i]; string(field) != "result" && !bytes.HasPrefix(field, []byte("i:")) {
			continue
		}
		if task, run, ok := readMark(words[i+1]); ok {
			c[task] = append(c[task], run)
		}
	}
}

// readCommand reads a command in Redis's protocol.
func readCommand(r *bufio.Reader) ([][]byte, error) {
	n, err := readHead(r, '*')
	if err != nil {
		return nil, err
	}
	words := make([][]byte, 0, min(n, 1<<16))
	for range n {
		size, err := readHead(r, '$')
		if err != nil {
			return nil, unexpected(err)
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return nil, unexpected(err)
		}
		words = append(words, word[:size])
	}
	return words, nil
}

// readHead reads a line like "$12". A log may hold remarks between commands.
func readHead(r *bufio.Reader, kind byte) (int, error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if line[0] == '#' {
			continue
		}
		n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
		if line[0] != kind || err != nil || n < 0 || n > 1<<26 {
			return 0, fmt.Errorf("got %.40q, want a head with %q", line, kind)
		}
		return n, nil
	}
}

// unexpected says that a command was cut off.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
