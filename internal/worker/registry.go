package worker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/jobs/configgen"
	"github.com/jobyard/jobyard/internal/jobs/documentparse"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch"
	"github.com/jobyard/jobyard/internal/jobs/search"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/tasks"
)

// Registry holds the jobs of every kind with what they need: the node's
// replica of the library, and the way to the network.
type Registry struct {
	// Jobs are what a worker runs.
	Jobs Jobs
	// Runners are the child processes in which some of them do their work.
	Runners *Runners
	// Cache holds the results of tasks for equal ones; nil runs every task.
	Cache *cache.Cache
	// Blobs is where large payloads, results and uploaded documents lie; nil
	// means in the broker's Redis.
	Blobs *blob.Store

	replica *library.Replica
	client  redis.UniversalClient // the replica's own: it blocks
	fetcher *documentparse.Fetcher
}

// RegistryConfig are the settings of the jobs.
type RegistryConfig struct {
	// DataDir keeps the index between starts; empty means a temporary one.
	DataDir string
	// BlobDir is the shared directory of large payloads and results; empty means
	// that they lie in Redis.
	BlobDir string
	// Slots is how many tasks of a kind run at once, as in Config.
	Slots map[string]int
	// Inline runs every job in this process; otherwise Sandbox says what happens
	// where a runner cannot be locked in, and JobMemory is its ceiling in bytes.
	Inline    bool
	Sandbox   isolation.Mode
	JobMemory int64
	// Cache bounds what is kept of results for equal tasks. Its folder lies below
	// DataDir; without one there is no tier on disk.
	Cache     cache.Config
	Search    search.Config
	SDK       sdkfetch.Config
	Documents documentparse.Config
}

// DefaultRegistryConfig returns the jobs' defaults.
func DefaultRegistryConfig() RegistryConfig {
	return RegistryConfig{
		Slots: DefaultConfig().Slots, Sandbox: isolation.Auto, JobMemory: 256 << 20, Cache: cache.DefaultConfig(), Search: search.DefaultConfig(), SDK: sdkfetch.DefaultConfig(), Documents: documentparse.DefaultConfig(),
	}
}

// Validate reports every setting that is out of bounds.
func (c RegistryConfig) Validate() error {
	var errs []error
	if !slices.Contains([]isolation.Mode{isolation.Required, isolation.Auto, isolation.Off}, c.Sandbox) {
		errs = append(errs, fmt.Errorf("isolation must be required, auto or off, got %q", c.Sandbox))
	}
	if c.JobMemory < 64<<20 || c.JobMemory > 64<<30 {
		errs = append(errs, fmt.Errorf("job memory must be from 64MiB to 64GiB, got %d bytes", c.JobMemory))
	}
	return errors.Join(append(errs, c.Cache.Validate(), c.Search.Validate(), c.SDK.Validate(), c.Documents.Validate())...)
}

// OpenRegistry opens what the jobs need. A new kind is one line here.
func OpenRegistry(ctx context.Context, cfg RegistryConfig, b *broker.Broker, log zerolog.Logger, reg prometheus.Registerer) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir := ""
	if cfg.DataDir != "" {
		dir = filepath.Join(cfg.DataDir, "library")
	}
	blobs, err := blob.Open(b, cfg.BlobDir)
	if err != nil {
		return nil, err
	}
	writer, err := library.NewWriter(b.Client(), 0)
	if err != nil {
		return nil, fmt.Errorf("open the library: %w", err)
	}
	r := &Registry{Jobs: Jobs{}, Blobs: blobs, client: b.Dedicated(2), fetcher: documentparse.NewFetcher(cfg.Documents)}
	if r.replica, err = library.Open(ctx, library.Config{Dir: dir, Log: log}, r.client); err != nil {
		return nil, errors.Join(fmt.Errorf("open the library's index: %w", err), r.Close())
	}
	searches, err := search.New(cfg.Search, r.replica)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if r.Runners, err = openRunners(cfg, log, reg); err != nil {
		return nil, errors.Join(fmt.Errorf("start the runners: %w", err), r.Close())
	}
	if r.Cache, err = openCache(cfg, b, log, reg); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	pools := r.Runners.pools
	fetches := sdkfetch.New(cfg.SDK, isolation.Remote(pools[tasks.SDKFetch.Name()], extractFunc, sdkfetch.Extract), writer.Put)
	generator, err := configgen.New()
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	parses := documentparse.New(documentparse.Collaborators{
		Parse: isolation.Remote(pools[tasks.DocumentParse.Name()], parseFunc, documentparse.Parse),
		Fetch: r.fetcher.Fetch, Blob: blobs.Get, Index: writer.Put,
	})

	Register(r.Jobs, tasks.Search, searches.Handle)
	Register(r.Jobs, tasks.SDKFetch, fetches.Handle)
	Register(r.Jobs, tasks.ConfigGen, isolation.Remote(pools[tasks.ConfigGen.Name()], generateFunc, generator.Handle))
	Register(r.Jobs, tasks.DocumentParse, parses.Handle)
	return r, nil
}

// Run keeps the library's replica up to date until ctx ends.
func (r *Registry) Run(ctx context.Context) error { return r.replica.Run(ctx) }

// Close releases everything, once no job runs any more.
func (r *Registry) Close() error {
	r.fetcher.Close()
	var err error
	if r.Runners != nil {
		err = r.Runners.Close()
	}
	if r.replica != nil {
		err = errors.Join(err, r.replica.Close())
	}
	return errors.Join(err, r.Cache.Close(), r.client.Close())
}

// openCache opens the cache of results. Its folder must not be shared: each
// process counts for itself what is there.
func openCache(cfg RegistryConfig, b *broker.Broker, log zerolog.Logger, reg prometheus.Registerer) (*cache.Cache, error) {
	c := cfg.Cache
	if c.Dir = ""; cfg.DataDir != "" {
		c.Dir = filepath.Join(cfg.DataDir, "cache")
	}
	// A small node has better uses for its memory.
	if most := memwatch.Limit() / cacheShare; c.MemoryBytes > most && most > 0 {
		c.MemoryBytes = max(most, 1<<20)
	}
	opened, err := cache.New(c, b, log, reg)
	if err != nil {
		return nil, fmt.Errorf("open the cache of results: %w", err)
	}
	return opened, nil
}

// cacheShare is the part of the memory limit that cached results may take: one in
// so many.
const cacheShare = 8
