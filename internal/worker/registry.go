package worker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/jobs/configgen"
	"github.com/jobyard/jobyard/internal/jobs/documentparse"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch"
	"github.com/jobyard/jobyard/internal/jobs/search"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/tasks"
)

// Registry holds the jobs of every kind with what they need: the node's
// replica of the library, and the way to the network.
type Registry struct {
	// Jobs are what a worker runs.
	Jobs Jobs

	replica *library.Replica
	client  redis.UniversalClient // the replica's own: it blocks
	fetcher *documentparse.Fetcher
}

// RegistryConfig are the settings of the jobs.
type RegistryConfig struct {
	// DataDir keeps the index between starts; empty means a temporary one.
	DataDir   string
	Search    search.Config
	SDK       sdkfetch.Config
	Documents documentparse.Config
}

// DefaultRegistryConfig returns the jobs' defaults.
func DefaultRegistryConfig() RegistryConfig {
	return RegistryConfig{Search: search.DefaultConfig(), SDK: sdkfetch.DefaultConfig(), Documents: documentparse.DefaultConfig()}
}

// Validate reports every setting that is out of bounds.
func (c RegistryConfig) Validate() error {
	return errors.Join(c.Search.Validate(), c.SDK.Validate(), c.Documents.Validate())
}

// OpenRegistry opens what the jobs need. A new kind is one line here.
func OpenRegistry(ctx context.Context, cfg RegistryConfig, b *broker.Broker, log zerolog.Logger) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir := ""
	if cfg.DataDir != "" {
		dir = filepath.Join(cfg.DataDir, "library")
	}
	writer, err := library.NewWriter(b.Client(), 0)
	if err != nil {
		return nil, fmt.Errorf("open the library: %w", err)
	}
	r := &Registry{Jobs: Jobs{}, client: b.Dedicated(2), fetcher: documentparse.NewFetcher(cfg.Documents)}
	if r.replica, err = library.Open(ctx, library.Config{Dir: dir, Log: log}, r.client); err != nil {
		return nil, errors.Join(fmt.Errorf("open the library's index: %w", err), r.Close())
	}
	searches, err := search.New(cfg.Search, r.replica)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	fetches := sdkfetch.New(cfg.SDK, sdkfetch.Extract, writer.Put)
	parses := documentparse.New(documentparse.Collaborators{Parse: documentparse.Parse, Fetch: r.fetcher.Fetch, Index: writer.Put})

	Register(r.Jobs, tasks.Search, searches.Handle)
	Register(r.Jobs, tasks.SDKFetch, fetches.Handle)
	Register(r.Jobs, tasks.ConfigGen, configgen.Generate)
	Register(r.Jobs, tasks.DocumentParse, parses.Handle)
	return r, nil
}

// Run keeps the library's replica up to date until ctx ends.
func (r *Registry) Run(ctx context.Context) error { return r.replica.Run(ctx) }

// Close releases everything, once no job runs any more.
func (r *Registry) Close() error {
	r.fetcher.Close()
	var err error
	if r.replica != nil {
		err = r.replica.Close()
	}
	return errors.Join(err, r.client.Close())
}
