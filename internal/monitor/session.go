package monitor

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	limit "golang.org/x/time/rate"
)

// rounds make it dear to guess the password from a session that was stolen. They
// are spent once, at the start.
const rounds = 200_000

// signer makes sessions: when one ends, something random, and a signature.
type signer struct{ key []byte }

func newSigner(password string) (signer, error) {
	key, err := pbkdf2.Key(sha256.New, password, []byte("jobyard monitor: sessions"), rounds, sha256.Size)
	if err != nil {
		return signer{}, fmt.Errorf("derive the key of sessions: %w", err)
	}
	return signer{key}, nil
}

const (
	sessionHead = 8 + 16 // seconds since 1970, and 128 random bits
	sessionSize = sessionHead + sha256.Size
)

func (s signer) sign(until time.Time) string {
	b := make([]byte, sessionHead, sessionSize)
	binary.BigEndian.PutUint64(b, uint64(until.Unix()))
	rand.Read(b[8:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac(b)...))
}

func (s signer) mac(head []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(head)
	return h.Sum(nil)
}

// until is when a session ends; zero for one that is not ours or has ended.
func (s signer) until(session string, now time.Time) time.Time {
	b, err := base64.RawURLEncoding.DecodeString(session)
	if err != nil || len(b) != sessionSize || !hmac.Equal(b[sessionHead:], s.mac(b[:sessionHead])) {
		return time.Time{}
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	if !until.After(now) {
		return time.Time{}
	}
	return until
}

const (
	// guessBurst wrong passwords may come from an address at once, and then one
	// every guessEvery.
	guessBurst = 10
	guessEvery = 6 * time.Second
	// allBurst and allEvery bound the wrong passwords of all addresses together.
	allBurst = 100
	allEvery = 500 * time.Millisecond
	// maxGuessers bounds the addresses that are remembered.
	maxGuessers = 4096
)

// guesses bounds wrong passwords by address, and in all.
type guesses struct {
	mu  sync.Mutex
	by  map[netip.Prefix]*limit.Limiter
	all *limit.Limiter
}

func newGuesses() *guesses {
	return &guesses{by: map[netip.Prefix]*limit.Limiter{}, all: limit.NewLimiter(limit.Every(allEvery), allBurst)}
}

// take spends a guess of an address, which is given back if it was right, or
// says how long to wait for one.
func (g *guesses) take(address string, now time.Time) (giveBack func(), wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.of(guesser(address), now).ReserveN(now, 1)
	all := g.all.ReserveN(now, 1)
	giveBack = func() { // at the same moment, or it would be too late
		one.CancelAt(now)
		all.CancelAt(now)
	}
	if wait = max(one.DelayFrom(now), all.DelayFrom(now)); wait > 0 {
		giveBack()
	}
	return giveBack, wait
}

// of returns an address's limiter. Where there are too many, those that may
// guess as if they never had are forgotten; the rest share one.
func (g *guesses) of(from netip.Prefix, now time.Time) *limit.Limiter {
	if l := g.by[from]; l != nil {
		return l
	}
	if len(g.by) >= maxGuessers {
		for k, l := range g.by {
			if l.TokensAt(now) >= guessBurst {
				delete(g.by, k)
			}
		}
	}
	if len(g.by) >= maxGuessers {
		from = netip.Prefix{}
		if l := g.by[from]; l != nil {
			return l
		}
	}
	l := limit.NewLimiter(limit.Every(guessEvery), guessBurst)
	g.by[from] = l
	return l
}

// guesser is what one of them has: an address, or of IPv6 a network of 64 bits.
func guesser(address string) netip.Prefix {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
