package brokertest

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a process and its Redis and is the network between
// them: it can be cut, hold everything back, or lose an answer.
type Proxy struct {
	// URL is where the process finds its Redis.
	URL string

	target string // socket of the Redis behind it
	mu     sync.Mutex
	flow   *sync.Cond
	held   bool // nothing passes
	delay  time.Duration
	closed bool
	lose   []byte // an answer with this in it, or to a request with it, is lost
	left   int    // so many times
	conns  map[net.Conn]struct{}
}

// Between starts a proxy before the server at url (unix://…) for the time of
// the test.
func Between(tb testing.TB, url string) *Proxy {
	tb.Helper()
	dir, err := os.MkdirTemp("", "proxy-") //nolint:usetesting // tb.TempDir is too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "redis.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{URL: "unix://" + socket, target: strings.TrimPrefix(url, "unix://"), conns: map[net.Conn]struct{}{}}
	p.flow = sync.NewCond(&p.mu)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(c) })
		}
	})
	tb.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		p.closed = true
		p.flow.Broadcast()
		p.mu.Unlock()
		p.Cut()
		running.Wait()
		os.RemoveAll(dir)
	})
	return p
}

// Hold is a partition: connections stay, and what is sent is delivered only
// when the partition ends with Release.
func (p *Proxy) Hold() { p.set(true) }

// Release ends a partition.
func (p *Proxy) Release() { p.set(false) }

func (p *Proxy) set(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	p.flow.Broadcast()
}

// Slow lets every answer take so much longer.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Cut breaks every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// LoseAnswers loses the next n answers that contain text, or that are for a
// request with it: Redis does what it was asked, and then the connection breaks.
func (p *Proxy) LoseAnswers(text string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.left = []byte(text), n
}

// Lost reports whether every answer that was to be lost is lost.
func (p *Proxy) Lost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left == 0
}

// losing reports whether an answer is to be lost for what was just sent.
func (p *Proxy) losing(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || !bytes.Contains(sent, p.lose) {
		return false
	}
	p.left--
	return true
}

// travel takes the time that an answer is to take.
func (p *Proxy) travel() {
	p.mu.Lock()
	d := p.delay
	p.mu.Unlock()
	if d > 0 {
		<-time.After(d)
	}
}

// await waits while nothing may pass.
func (p *Proxy) await() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held && !p.closed {
		p.flow.Wait()
	}
}

func (p *Proxy) serve(c net.Conn) {
	p.await() // nor does a new connection come through
	r, err := net.DialTimeout("unix", p.target, 5*time.Second)
	if err != nil {
		c.Close()
		return
	}
	if !p.keep(c, r) {
		return
	}
	// Set before the request goes on, so that no answer slips through.
	var mu sync.Mutex
	lost := false
	var both sync.WaitGroup
	both.Go(func() {
		p.copy(r, c, func(request []byte) bool {
			if p.losing(request) {
				mu.Lock()
				lost = true
				mu.Unlock()
			}
			return true
		})
	})
	both.Go(func() {
		p.copy(c, r, func(answer []byte) bool {
			p.travel()
			mu.Lock()
			defer mu.Unlock()
			return !lost && !p.losing(answer)
		})
	})
	both.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, r)
	p.mu.Unlock()
}

// keep notes a pair of connections, unless the proxy is closed.
func (p *Proxy) keep(c, r net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		r.Close()
		return false
	}
	p.conns[c], p.conns[r] = struct{}{}, struct{}{}
	return true
}

// copy passes on what may pass, and then breaks both connections.
func (p *Proxy) copy(to, from net.Conn, may func([]byte) bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.await()
			if !may(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
