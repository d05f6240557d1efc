package gomod

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/sumdb/note"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// maxSumCache bounds the signed tiles that are kept between look-ups.
const maxSumCache = 4 << 20

// Vouched are the hashes that the checksum database signs for.
type Vouched struct {
	Zip, Mod string
	// Unverified says why there are none, for people.
	Unverified string
}

// Hash1Mod is the h1 hash of a go.mod.
func Hash1Mod(data []byte) (string, error) {
	return dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	})
}

// Sum asks the checksum database for a version's hashes. Without a database
// that can be believed the hashes are empty and Unverified says why; an answer
// that does not hold is a permanent integrity fault.
func (c *Client) Sum(ctx context.Context, t *upstream.Trace, path, version string) (Vouched, error) {
	if module.MatchPrefixPatterns(cmp.Or(c.settings.NoSumDB, c.settings.Private), path) {
		return Vouched{Unverified: "GONOSUMDB or GOPRIVATE exempts the module from verification"}, nil
	}
	if c.sums.off != "" {
		return Vouched{Unverified: c.sums.off}, nil
	}
	return c.sums.lookup(ctx, t, path, version)
}

// sums is the memory of one checksum database: the newest signed tree that was
// seen, which later answers must extend, and some tiles.
type sums struct {
	// off says why nothing can be verified; the rest is empty then.
	off       string
	key, name string
	direct    *url.URL // an address that GOSUMDB itself gives
	own       *url.URL // the one that the database's name stands for
	client    *Client

	mu     sync.Mutex
	latest []byte
	tiles  map[string][]byte
	bytes  int
	base   *url.URL // where the database answered
}

// newSums reads GOSUMDB: off, or a key and perhaps an address.
func newSums(setting string, c *Client) *sums {
	s := &sums{client: c, tiles: map[string][]byte{}}
	s.off = s.read(setting)
	return s
}

// read takes the setting over, or says why nothing can be verified.
func (s *sums) read(setting string) string {
	fields := strings.Fields(setting)
	switch {
	case len(fields) == 0:
		return "GOSUMDB is not set, so the archive is not verified"
	case fields[0] == "off":
		return "GOSUMDB is off, so the archive is not verified"
	case NeedsKey(setting):
		return fmt.Sprintf(`GOSUMDB=%[1]s comes without its key and no go command here knows it, so the archive is not verified; set GOSUMDB="%[1]s+<hash>+<key>" as the database's operator publishes it, or install Go beside the worker`,
			fault.Clean(fields[0], 100))
	case len(fields) > 2:
		return "GOSUMDB has over two fields, so the archive is not verified"
	}
	v, err := note.NewVerifier(fields[0])
	if err != nil {
		return "GOSUMDB's key cannot be read, so the archive is not verified"
	}
	s.key, s.name = fields[0], v.Name()
	if s.own = ownAddress(s.name); s.own == nil {
		return "GOSUMDB's name is no host and path, so the archive is not verified"
	}
	if len(fields) == 2 {
		if s.direct, err = parseBase(fields[1]); err != nil {
			return "GOSUMDB's address cannot be read, so the archive is not verified"
		}
	}
	return ""
}

func (s *sums) lookup(ctx context.Context, t *upstream.Trace, path, version string) (Vouched, error) {
	ops := &lookup{sums: s, ctx: ctx, trace: t}
	if err := ops.find(); err != nil {
		if isNotFound(err) {
			return Vouched{Unverified: s.unreached()}, nil
		}
		return Vouched{}, err
	}
	// A client for each look-up, since it never forgets what it has read.
	db := sumdb.NewClient(ops)
	var out Vouched
	for _, want := range []struct {
		suffix string
		into   *string
	}{{"", &out.Zip}, {"/go.mod", &out.Mod}} {
		lines, err := db.Lookup(path, version+want.suffix)
		if err != nil {
			return ops.explain(err, path, version)
		}
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, " h1:") }); i >= 0 {
			*want.into = strings.Fields(lines[i])[2]
		}
	}
	return out, nil
}

// lookup is what sumdb.Client needs of the world, for one look-up. Its
// interface has no context, so this holds one.
type lookup struct {
	*sums
	ctx   context.Context //nolint:containedctx // as said above
	trace *upstream.Trace

	mu       sync.Mutex
	failure  error  // of the last request
	security string // what the database was caught at
}

// find settles where the database is asked: at the address in GOSUMDB, else at
// the first proxy that passes it on. The database's own host is asked only
// where GOPROXY goes on to direct: without that word its operator may want
// nothing to leave the proxies. The go command would ask in both cases.
func (l *lookup) find() error {
	l.sums.mu.Lock()
	known := l.base
	l.sums.mu.Unlock()
	if known != nil {
		return nil
	}
	if l.direct != nil {
		return l.settle(l.direct)
	}
	last := error(fault.PermanentError(tasks.ReasonNotFound, "no proxy"))
	for _, e := range l.client.proxies {
		if e.word == "direct" {
			return l.settle(l.own)
		}
		if e.word != "" {
			break
		}
		base := join(e.base, "sumdb/"+l.name)
		_, err := l.client.up.Get(l.ctx, l.trace, upstream.Request{Source: "sumdb", URL: join(base, "supported")})
		if err == nil {
			return l.settle(base)
		}
		if last = err; !isNotFound(err) && !e.anyError {
			break
		}
	}
	return withRemedy(last)
}

// withRemedy says what an operator can do about a proxy that refuses.
func withRemedy(err error) error {
	f := fault.Of(err)
	if f.Verdict != fault.Permanent || f.Reason == tasks.ReasonNotFound {
		return err
	}
	return fault.PermanentError(f.Reason, "the checksum database cannot be asked: %s; an operator can put its address behind the key in GOSUMDB, or exempt modules by GONOSUMDB", f.Message).Because(err)
}

// unreached says why no proxy in the list led to the database.
func (s *sums) unreached() string {
	return fmt.Sprintf(`no proxy in GOPROXY passes the checksum database on, so the archive is not verified; set GOSUMDB="%s %s" to ask the database itself`, s.key, s.own)
}

func (l *lookup) settle(base *url.URL) error {
	l.sums.mu.Lock()
	defer l.sums.mu.Unlock()
	l.base = base
	return nil
}

// explain turns sumdb's error, which hides its cause, into a fault.
func (l *lookup) explain(err error, path, version string) (Vouched, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.security != "" || errors.Is(err, sumdb.ErrSecurity):
		return Vouched{}, fault.PermanentError(tasks.ReasonIntegrity, "the checksum database contradicts itself; an operator must look at it").
			Because(fmt.Errorf("%w: %s", err, fault.Clean(l.security, 400)))
	case isNotFound(l.failure):
		return Vouched{Unverified: "the checksum database does not know the version, so the archive is not verified"}, nil
	case l.failure != nil:
		return Vouched{}, l.failure
	}
	return Vouched{}, fault.PermanentError(tasks.ReasonIntegrity, "the checksum database's answer for %s@%s does not hold", path, version).Because(err)
}

// ReadRemote fetches a path of the database.
func (l *lookup) ReadRemote(path string) ([]byte, error) {
	l.sums.mu.Lock()
	base := l.base
	l.sums.mu.Unlock()
	body, err := l.client.up.Get(l.ctx, l.trace, upstream.Request{Source: "sumdb", URL: join(base, strings.TrimPrefix(path, "/"))})
	if err != nil {
		l.mu.Lock()
		l.failure = err
		l.mu.Unlock()
	}
	return body, err
}

// ReadConfig returns the key or the newest tree that was seen.
func (l *lookup) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(l.key), nil
	}
	l.sums.mu.Lock()
	defer l.sums.mu.Unlock()
	return l.latest, nil
}

// WriteConfig remembers a newer tree.
func (l *lookup) WriteConfig(_ string, old, next []byte) error {
	l.sums.mu.Lock()
	defer l.sums.mu.Unlock()
	if !bytes.Equal(l.latest, old) {
		return sumdb.ErrWriteConflict
	}
	l.latest = next
	return nil
}

// ReadCache returns a tile or record that was verified before.
func (l *lookup) ReadCache(file string) ([]byte, error) {
	l.sums.mu.Lock()
	defer l.sums.mu.Unlock()
	if data, ok := l.tiles[file]; ok {
		return data, nil
	}
	return nil, errors.New("not cached")
}

// WriteCache remembers one; a full memory is emptied, since the tiles that
// matter come back at once.
func (l *lookup) WriteCache(file string, data []byte) {
	l.sums.mu.Lock()
	defer l.sums.mu.Unlock()
	if l.bytes += len(file) + len(data); l.bytes > maxSumCache {
		clear(l.tiles)
		l.bytes = len(file) + len(data)
	}
	if l.bytes <= maxSumCache {
		l.tiles[file] = data
	}
}

// Log implements sumdb.ClientOps; handlers don't log.
func (l *lookup) Log(string) {}

// SecurityError notes that the database was caught at a lie.
func (l *lookup) SecurityError(msg string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.security = msg
}
