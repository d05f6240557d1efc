// Package search answers queries over the library: the job of the kind search.
//
// It promises to read only this node's replica of the corpus, to end with its
// context, and to give the same answer on every node that has reached the same
// token. What the library finds it turns into what people read: excerpts with
// marks, addresses with anchors, and the words that matched.
package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// Config is how queries are answered.
type Config struct {
	// MaxWait bounds the wait for a payload's min_token. After it the answer is
	// given as stale.
	MaxWait time.Duration
	// SnippetBytes is the length of an excerpt, about.
	SnippetBytes int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{MaxWait: 2 * time.Second, SnippetBytes: 240} }

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.MaxWait < 0 || c.MaxWait > time.Minute {
		errs = append(errs, fmt.Errorf("max wait must be 0 to 1m, got %s", c.MaxWait))
	}
	if c.SnippetBytes < 40 || c.SnippetBytes > 4000 {
		errs = append(errs, fmt.Errorf("snippet bytes must be 40 to 4000, got %d", c.SnippetBytes))
	}
	return errors.Join(errs...)
}

const defaultLimit = 10

// Job answers search tasks. It is safe for concurrent use.
type Job struct {
	cfg     Config
	library *library.Replica
}

// New makes the job over this node's replica, which stays its owner's.
func New(cfg Config, replica *library.Replica) (*Job, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("search job: %w", err)
	}
	return &Job{cfg, replica}, nil
}

// Handle answers one query.
func (j *Job) Handle(ctx context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
	started := time.Now()
	if err := p.Validate(); err != nil {
		return tasks.SearchResult{}, err
	}
	stale, err := j.await(ctx, p.MinToken)
	if err != nil {
		return tasks.SearchResult{}, err
	}
	answer, err := j.library.Search(ctx, query(p))
	if err != nil {
		return tasks.SearchResult{}, fmt.Errorf("search: %w", err)
	}
	hits := make([]tasks.SearchHit, len(answer.Hits))
	for i, h := range answer.Hits {
		hits[i] = j.hit(h)
	}
	return tasks.SearchResult{
		Hits: hits, Total: answer.Total, Facets: answer.Facets, DidYouMean: answer.Corrected,
		Token: answer.Token, Stale: stale, TookMS: float64(time.Since(started).Microseconds()) / 1000,
	}, nil
}

// await waits until the replica has reached the token, within bounds.
func (j *Job) await(ctx context.Context, token string) (stale bool, err error) {
	if token == "" {
		return false, nil
	}
	progress.Report(ctx, tasks.Progress{Message: "wait until the index has the write with the token"})
	waiting, stop := context.WithTimeout(ctx, j.cfg.MaxWait)
	defer stop()
	err = j.library.WaitFor(waiting, token)
	switch {
	case err == nil:
		return false, nil
	case ctx.Err() != nil:
		return false, fmt.Errorf("wait for token %s: %w", token, context.Cause(ctx))
	case waiting.Err() != nil:
		return true, nil
	}
	return false, tasks.Invalid("min_token", "must be a token as document_parse returned it")
}

// query says how the payload is searched.
func query(p tasks.SearchPayload) library.Query {
	q := library.Query{
		Text: p.Query, Facets: p.Facets, Limit: p.Limit, Offset: p.Offset,
		Weights: weights(p.Query), Fuzzy: p.Fuzzy != "off", Filters: p.Filters,
	}
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	if p.Collection != "" {
		q.Filters = restricted(p.Filters, p.Collection)
	}
	return q
}

// restricted returns the filters with the collection as the only one allowed,
// or none if the filters exclude it.
func restricted(filters map[string][]string, collection string) map[string][]string {
	out := map[string][]string{}
	maps.Copy(out, filters)
	if values, ok := filters["collection"]; ok && !slices.Contains(values, collection) {
		out["collection"] = nil
		return out
	}
	out["collection"] = []string{collection}
	return out
}
