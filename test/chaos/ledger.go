package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// What the ledger notes.
const (
	noteOffer  = "offer"  // a task is about to be handed over
	noteAck    = "ack"    // and was
	noteRefuse = "refuse" // or not, with the error
	noteLeave  = "leave"  // and is not offered again
	noteRun    = "run"    // an execution: the task has fetched its document
	noteResult = "result" // the result as its caller saw it first
	noteAudit  = "audit"  // and as it was at the end
	noteStorm  = "storm"  // what was done to the yard
)

// note is a line of the ledger.
type note struct {
	At    int64  `json:"t"` // ms
	What  string `json:"e"`
	Task  int    `json:"n,omitempty"` // from 1
	Run   int    `json:"x,omitempty"` // which execution, from 1
	State string `json:"s,omitempty"`
	Text  string `json:"m,omitempty"`
}

// ledger writes notes to disk. It is what the judge reads.
type ledger struct {
	mu   sync.Mutex
	file *os.File
	buf  *bufio.Writer
	enc  *json.Encoder
	err  error
}

func openLedger(path string) (*ledger, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l := &ledger{file: f, buf: bufio.NewWriterSize(f, 64<<10)}
	l.enc = json.NewEncoder(l.buf)
	return l, nil
}

// write notes; the first error stays and is told by close.
func (l *ledger) write(n note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.At = time.Now().UnixMilli()
	if l.file == nil {
		return
	}
	if err := l.enc.Encode(n); err != nil && l.err == nil {
		l.err = err
	}
}

// close ends the ledger; it may be called again.
func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.err, l.buf.Flush(), l.file.Sync(), l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

// readLedger gives every note to see.
func readLedger(path string, see func(note)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer f.Close()
	for dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<20)); ; {
		var n note
		switch err := dec.Decode(&n); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the ledger: %w", err)
		}
		see(n)
	}
}
