package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// origin serves each task's document. A task is executed no other way than by
// fetching it, so the ledger knows every execution; and each is given another
// document, so a result tells which execution it is of.
type origin struct {
	url    string
	server *http.Server
	ledger *ledger

	mu   sync.Mutex
	rand *rand.Rand
	runs map[int]int
}

// slowest is the longest that a document takes: kills are to hit running tasks.
const slowest = 120 * time.Millisecond

func openOrigin(l *ledger, seed uint64) (*origin, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve documents: %w", err)
	}
	o := &origin{
		url: "http://" + listener.Addr().String() + "/", ledger: l, rand: rand.New(rand.NewPCG(seed, 2)), runs: map[int]int{},
	}
	o.server = &http.Server{Handler: http.HandlerFunc(o.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := o.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			l.write(note{What: noteStorm, Text: "documents are no longer served: " + err.Error()})
		}
	}()
	return o, nil
}

func (o *origin) close() { o.server.Close() }

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	o.mu.Lock()
	o.runs[n]++
	run := o.runs[n]
	wait := time.Duration(o.rand.Int64N(int64(slowest)))
	o.mu.Unlock()
	o.ledger.write(note{What: noteRun, Task: n, Run: run})
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "text/markdown")
	fmt.Fprintf(w, "# %s\n\nA document for one execution.\n", mark(n, run))
}

// mark names an execution, in the document and so in its result.
func mark(task, run int) string { return fmt.Sprintf("task %d run %d", task, run) }

var markPattern = regexp.MustCompile(`task ([1-9][0-9]{0,9}) run ([1-9][0-9]{0,9})`)

// readMark finds the execution that a result is of.
func readMark(text []byte) (task, run int, ok bool) {
	m := markPattern.FindSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	task, _ = strconv.Atoi(string(m[1]))
	run, _ = strconv.Atoi(string(m[2]))
	return task, run, true
}
