package monitor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

const (
	asynqmonRoot = "/asynqmon"
	// asynqmonConns bounds the connections that Asynqmon holds, and with them
	// what its pages cost Redis.
	asynqmonConns = 3
	// asynqmonCalls bounds its API calls under way: each may hold a page of
	// payloads in memory.
	asynqmonCalls = 2
	// maxShown bounds a payload or result that Asynqmon shows.
	maxShown = 4 << 10
	// maxMasked bounds what is looked through for secrets.
	maxMasked = 256 << 10
	// maxPage bounds a list of tasks.
	maxPage = 100
	// maxResults bounds the results behind one page of a list: Asynqmon reads
	// them whole, however little of them it shows.
	maxResults = 32 << 20
	// maxAction bounds the body of a call that changes something.
	maxAction = 1 << 20
)

// asynqmonMount is Asynqmon below asynqmonRoot, with bounds of ours and kept
// from asking other hosts for anything.
type asynqmonMount struct {
	handler http.Handler
	index   []byte // its page, without what lies on other hosts
	policy  string // the Content-Security-Policy of that page
	places  chan struct{}
	client  redis.UniversalClient
}

// connection hands Asynqmon a client that is ours, so that every form of
// address that the broker knows works for it too.
type connection struct{ client redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (c connection) MakeRedisClient() any { return c.client }

func newAsynqmon(b *broker.Broker, readOnly bool) (*asynqmonMount, error) {
	client := b.Dedicated(asynqmonConns)
	h := asynqmon.New(asynqmon.Options{
		RootPath:         asynqmonRoot,
		RedisConnOpt:     connection{client},
		ReadOnly:         readOnly,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(shown),
		ResultFormatter:  asynqmon.ResultFormatterFunc(shown),
	})
	a := &asynqmonMount{handler: h, client: client, places: make(chan struct{}, asynqmonCalls)}
	if err := a.takeIndex(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return a, nil
}

func (a *asynqmonMount) close() error { return a.client.Close() }

// ServeHTTP implements http.Handler.
func (a *asynqmonMount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	within := strings.TrimPrefix(r.URL.Path, asynqmonRoot)
	switch {
	case strings.HasPrefix(within, "/api/"):
		a.serveAPI(w, r)
	case strings.HasPrefix(within, "/static/"):
		// Their names hold a hash of their content.
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		a.handler.ServeHTTP(w, r)
	case path.Dir(within) == "/" && path.Ext(within) != "":
		a.handler.ServeHTTP(w, r)
	default: // a route of the page's own
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", a.policy)
		w.Write(a.index) //nolint:errcheck // the client went away
	}
}

func (a *asynqmonMount) serveAPI(w http.ResponseWriter, r *http.Request) {
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	case <-r.Context().Done():
		return
	}
	r = r.Clone(r.Context())
	query := r.URL.Query()
	for name, most := range map[string]int{"size": maxPage, "page": 1_000_000} {
		if query.Has(name) {
			n, err := strconv.Atoi(query.Get(name))
			if err != nil {
				http.Error(w, name+" must be a number", http.StatusBadRequest)
				return
			}
			query.Set(name, strconv.Itoa(min(max(1, n), most)))
		}
	}
	r.URL.RawQuery = query.Encode()
	if heavy, err := a.tooHeavy(r); err != nil || heavy {
		a.refuse(w, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxAction)
	// Asynqmon leaves the type to be guessed, and we forbid guessing.
	w.Header().Set("Content-Type", "application/json")
	a.handler.ServeHTTP(w, r)
}

// tooHeavy adds up the results that a list would read.
func (a *asynqmonMount) tooHeavy(r *http.Request) (bool, error) {
	queue, isList := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, asynqmonRoot+"/api/queues/"), "/completed_tasks")
	if !isList {
		return false, nil
	}
	size, page := number(r, "size", 20), number(r, "page", 1)
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	ids, err := a.client.ZRange(ctx, broker.QueueKey(queue, "completed"), int64(size*(page-1)), int64(size*page-1)).Result()
	if err != nil {
		return false, err
	}
	sizes, err := a.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.HStrLen(ctx, broker.TaskKey(queue, id), "result")
		}
		return nil
	})
	var sum int64
	for _, cmd := range sizes {
		sum += cmd.(*redis.IntCmd).Val()
	}
	return sum > maxResults, err
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return otherwise
}

func (a *asynqmonMount) refuse(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, "redis did not answer", http.StatusBadGateway)
		return
	}
	http.Error(w, fmt.Sprintf("the results on this page are over %d MiB: show fewer rows a page", maxResults>>20), http.StatusRequestEntityTooLarge)
}

// shown bounds what Asynqmon shows of a payload or result, without what looks
// like a secret.
func shown(_ string, raw []byte) string {
	if len(raw) > maxMasked {
		return fmt.Sprintf("(%d bytes, too large to be shown)", len(raw))
	}
	text, _ := masked(raw)
	return clip(text, maxShown)
}

var (
	elsewhere    = regexp.MustCompile(`<link[^>]*href="https?://[^>]*>`)
	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
)

// takeIndex reads Asynqmon's page once, takes out the style sheets that lie on
// other hosts, and makes a policy that allows exactly the scripts it holds.
func (a *asynqmonMount) takeIndex() error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, asynqmonRoot+"/", http.NoBody) // of this process
	if err != nil {
		return err
	}
	page := &pageBuffer{header: http.Header{}}
	a.handler.ServeHTTP(page, r)
	a.index = elsewhere.ReplaceAll(page.body.Bytes(), nil)
	scripts := []string{"'self'"}
	for _, found := range inlineScript.FindAllSubmatch(a.index, -1) {
		sum := sha256.Sum256(found[1])
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	if !bytes.Contains(a.index, []byte(`id="root"`)) {
		return fmt.Errorf("its page has another form than that of v0.7.2")
	}
	// Its components write their style sheets at run time.
	a.policy = "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return nil
}

// pageBuffer catches a page.
type pageBuffer struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (p *pageBuffer) Header() http.Header { return p.header }

// Write implements http.ResponseWriter.
func (p *pageBuffer) Write(b []byte) (int, error) { return p.body.Write(b) }

// WriteHeader implements http.ResponseWriter.
func (p *pageBuffer) WriteHeader(int) {}
