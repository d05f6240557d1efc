package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxClients bounds the live streams.
	maxClients = 100
	// clientBacklog is how many samples a client may lag behind before it is
	// dropped; its browser comes back by itself.
	clientBacklog = 4
	// writeTimeout bounds one write to a client.
	writeTimeout = 5 * time.Second
	// maxCurveNames bounds the names of curves that a page asks for.
	maxCurveNames = 16
	// retryAfter is what a refused client is told to wait.
	retryAfter = 10 * time.Second
)

var (
	errTooMany = errors.New("too many live streams")
	errClosed  = errors.New("the monitor is closing")
)

// live passes each sample to every open page.
type live struct {
	mu      sync.Mutex
	clients map[chan []byte]struct{}
	closed  bool
}

func newLive() *live { return &live{clients: map[chan []byte]struct{}{}} }

// join opens a stream; it is ended by its channel's end.
func (l *live) join() (chan []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case len(l.clients) >= maxClients:
		return nil, errTooMany
	}
	ch := make(chan []byte, clientBacklog)
	l.clients[ch] = struct{}{}
	return ch, nil
}

// leave ends a stream, if it has not been ended.
func (l *live) leave(ch chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(ch)
}

func (l *live) drop(ch chan []byte) {
	if _, open := l.clients[ch]; open {
		delete(l.clients, ch)
		close(ch)
	}
}

// publish hands a sample to every client and drops those that do not keep up.
func (l *live) publish(o *Overview) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.clients) == 0 {
		return
	}
	e := event("sample", o)
	for ch := range l.clients {
		select {
		case ch <- e:
		default:
			l.drop(ch)
		}
	}
}

func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients)
}

// close ends every stream, and those to come.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for ch := range l.clients {
		l.drop(ch)
	}
}

// event writes one server-sent event. JSON has no line breaks, so one data line
// is enough.
func event(name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		// Our own types with finite figures: a fault of this program.
		panic(fmt.Sprintf("monitor: encode %s: %v", name, err))
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data)
}

// serveLive streams the history, the newest sample, and then every sample. Of
// the history it leaves out the curves that ?curves= does not name.
func (m *Monitor) serveLive(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	samples, err := m.live.join()
	if err != nil {
		w.Header().Set("Retry-After", fmt.Sprint(int(retryAfter.Seconds())))
		http.Error(w, err.Error()+": try again later", http.StatusServiceUnavailable)
		return
	}
	defer m.live.leave(samples)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	out := http.NewResponseController(w)
	send := func(b []byte) bool {
		// Not every writer has deadlines; without one the server's own holds.
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	first := append([]byte("retry: 2000\n\n"), event("history", m.history.past(wantedCurves(r)...))...)
	if o := m.latest.Load(); o != nil {
		first = append(first, event("sample", o)...)
	}
	if !send(first) {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case b, open := <-samples:
			if !open || !send(b) {
				return
			}
		}
	}
}

// wantedCurves are those that a page draws; none are all.
func wantedCurves(r *http.Request) []string {
	if v := r.URL.Query().Get("curves"); v != "" {
		return strings.SplitN(v, ",", maxCurveNames)
	}
	return nil
}
