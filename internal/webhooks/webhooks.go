// Package webhooks tells other services that a task or a batch has ended: a
// signed POST to an endpoint that an operator has set up.
//
// It promises at least one delivery: what is to be told is written to Redis
// before the task is queued, it outlives every process, and a call that fails
// is repeated for a day and then kept as a dead letter. Any number of
// deliverers may run; a call that one of them took and did not end is taken
// again by another.
//
//	Watch ─▶ open ─ the task ends ─▶ due ─ 2xx ─▶ gone
//	                                 ▲ └─ else ─▶ due again, later ─ too often ─▶ dead
//	                                 └──────────── Retry ───────────────────────────┘
//
// Calls are signed as standardwebhooks.com says: HMAC-SHA256 over id, time and
// body. An endpoint's secret is derived from one secret that only the
// producers have (--webhook-secret-file) and a salt that Redis keeps; so who
// reads Redis cannot sign, and there is no secret there to lose.
//
// It owns jobyard:{webhooks}:*. Addresses that are not public are refused when
// the connection is made, so that a name that changes its mind does not help.
package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// Keys in Redis; the tag keeps them in one slot of a cluster.
const (
	endpointsKey = "jobyard:{webhooks}:endpoints"
	watchKey     = "jobyard:{webhooks}:watch"  // what is watched, to its endpoint
	openKey      = "jobyard:{webhooks}:open"   // what is watched, by when to look
	missedKey    = "jobyard:{webhooks}:missed" // what is watched and not known, by since when
	dueKey       = "jobyard:{webhooks}:due"    // deliveries, by their next attempt
	deadKey      = "jobyard:{webhooks}:dead"   // deliveries, by when they were given up
	deliveryKey  = "jobyard:{webhooks}:delivery:"
)

// Bounds.
const (
	maxEndpoints = 100
	maxURL       = 2048
	// maxOpen bounds what is watched at the same time.
	maxOpen = 200_000
	// maxDead and deadFor bound what is kept of calls that were given up.
	maxDead = 10_000
	deadFor = 30 * 24 * time.Hour
	// MinSecret is the shortest secret of the producers, in bytes.
	MinSecret = 32
)

// ErrUnknown tells that no endpoint, or no delivery, has the name.
var ErrUnknown = errors.New("no such endpoint or delivery")

// Endpoint is where calls go.
type Endpoint struct {
	Name    string    `json:"name"`
	URL     string    `json:"url"`
	Created time.Time `json:"created_at"`
	// Salt makes its secret another than that of other endpoints.
	Salt string `json:"salt,omitempty"`
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Check reports every fault of an endpoint, as *tasks.InvalidError. Plain http
// is for endpoints of the own machine, where private addresses are allowed.
func (e Endpoint) Check(private bool) error {
	var f []tasks.FieldError
	if !namePattern.MatchString(e.Name) {
		f = append(f, tasks.FieldError{Path: "name", Message: "must be 1 to 63 small letters, digits, _ or - and begin with a letter or digit"})
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || len(e.URL) > maxURL || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !private):
		f = append(f, tasks.FieldError{Path: "url", Message: "must be an https address of at most 2048 bytes"})
	case u.User != nil:
		f = append(f, tasks.FieldError{Path: "url", Message: "must not hold a user name or password"})
	case u.Fragment != "":
		f = append(f, tasks.FieldError{Path: "url", Message: "must not have a fragment"})
	}
	if len(f) > 0 {
		return &tasks.InvalidError{Fields: f}
	}
	return nil
}

// Master is the secret that those of all endpoints are derived from.
type Master []byte

// ParseMaster reads a master secret: the bytes of a file, blanks around it
// aside.
func ParseMaster(raw []byte) (Master, error) {
	text := strings.TrimSpace(string(raw))
	if len(text) < MinSecret {
		return nil, fmt.Errorf("the webhook secret must have at least %d bytes, got %d; make one with openssl rand -base64 32", MinSecret, len(text))
	}
	return Master(text), nil
}

// key is an endpoint's secret.
func (m Master) key(e Endpoint) []byte {
	mac := hmac.New(sha256.New, m)
	mac.Write([]byte("jobyard webhook endpoint\n" + e.Name + "\n" + e.Salt)) // hash.Hash never fails
	return mac.Sum(nil)
}

// Secret is an endpoint's secret as its owner gets it.
func (m Master) Secret(e Endpoint) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(m.key(e))
}

// sign is the signature of a call.
func (m Master) sign(e Endpoint, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, m.key(e))
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Store keeps endpoints, what is watched, and deliveries.
type Store struct {
	broker *broker.Broker
	now    func() time.Time
}

// New returns the webhooks in the broker's Redis.
func New(b *broker.Broker) *Store { return &Store{broker: b, now: time.Now} }

// Put sets up an endpoint or, under a name that is taken, replaces it: its
// secret is then another.
func (s *Store) Put(ctx context.Context, e Endpoint, private bool) (Endpoint, error) {
	if err := e.Check(private); err != nil {
		return e, err
	}
	all, err := s.Endpoints(ctx)
	if err != nil {
		return e, err
	}
	if len(all) >= maxEndpoints && !slices.ContainsFunc(all, func(known Endpoint) bool { return known.Name == e.Name }) {
		return e, tasks.Invalid("name", fmt.Sprintf("there are %d endpoints, and there cannot be more: remove some", maxEndpoints))
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, by its documentation
	e.Salt, e.Created = hex.EncodeToString(salt), s.now().UTC().Truncate(time.Second)
	raw, err := json.Marshal(e)
	if err != nil {
		return e, fmt.Errorf("encode endpoint: %w", err)
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	if err := s.broker.Client().HSet(ctx, endpointsKey, e.Name, raw).Err(); err != nil {
		return e, fmt.Errorf("write endpoint: %w", s.broker.Explain(err))
	}
	return e, nil
}

// Endpoints lists every endpoint by name.
func (s *Store) Endpoints(ctx context.Context) ([]Endpoint, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	records, err := s.broker.Client().HGetAll(ctx, endpointsKey).Result()
	if err != nil {
		return nil, fmt.Errorf("read endpoints: %w", s.broker.Explain(err))
	}
	all := make([]Endpoint, 0, len(records))
	for name, raw := range records {
		var e Endpoint
		if json.Unmarshal([]byte(raw), &e) == nil && e.Name == name {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// endpoint reads one endpoint.
func (s *Store) endpoint(ctx context.Context, name string) (Endpoint, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	raw, err := s.broker.Client().HGet(ctx, endpointsKey, name).Bytes()
	if errors.Is(err, redis.Nil) {
		return Endpoint{}, ErrUnknown
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("read endpoint: %w", s.broker.Explain(err))
	}
	var e Endpoint
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("read endpoint: %w", err)
	}
	return e, nil
}

// Remove takes an endpoint away; its calls become dead letters.
func (s *Store) Remove(ctx context.Context, name string) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	n, err := s.broker.Client().HDel(ctx, endpointsKey, name).Result()
	if err != nil {
		return fmt.Errorf("remove endpoint: %w", s.broker.Explain(err))
	}
	if n == 0 {
		return ErrUnknown
	}
	return nil
}
