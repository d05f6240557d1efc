package sdkfetch

import (
	"context"
	"fmt"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/gomod"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/npm"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// How much of a fetch is done once the version is found, the archive is there,
// and it has been read.
const (
	resolved   = 0.1
	downloaded = 0.6
	extracted  = 0.95
)

// maxVersions bounds the versions that a result lists.
const maxVersions = 1000

// Job handles tasks of the kind sdk_fetch. It is safe for concurrent use.
type Job struct {
	cfg   Config
	parse func(context.Context, Archive) (Extracted, error)
	index func(context.Context, library.Document) (string, error)
	mods  *gomod.Client
	npm   *npm.Client
}

// New makes a job. The parse function is Extract, or one that runs it
// elsewhere; index puts a document into the library and returns its token, and
// may be nil where there is no library.
func New(cfg Config, parse func(context.Context, Archive) (Extracted, error), index func(context.Context, library.Document) (string, error)) *Job {
	up := upstream.New(cfg.Limits, cfg.proxy())
	return &Job{cfg: cfg, parse: parse, index: index, mods: gomod.New(cfg.Go, up), npm: npm.New(cfg.NPM, up)}
}

// Handle fetches one version. On failure the result still tells which sources
// were asked.
func (j *Job) Handle(ctx context.Context, p tasks.SDKFetchPayload) (tasks.SDKFetchResult, error) {
	if err := p.Validate(); err != nil {
		return tasks.SDKFetchResult{}, err
	}
	if p.Index && j.index == nil {
		return tasks.SDKFetchResult{}, fault.PermanentError(tasks.ReasonRejected, "this worker has no library to index into; leave index away")
	}
	f := &fetch{job: j, payload: p, trace: &upstream.Trace{}, result: empty(p)}
	err := f.run(ctx)
	f.result.Sources = f.trace.Sources()
	return f.result, err
}

// empty is a result whose lists are there, so that callers see [] and not null.
func empty(p tasks.SDKFetchPayload) tasks.SDKFetchResult {
	return tasks.SDKFetchResult{Ecosystem: p.Ecosystem, Name: p.Name,
		Dependencies: map[string]string{}, PeerDependencies: map[string]string{}, Engines: map[string]string{},
		API: []tasks.SDKSymbol{}, Versions: []string{}, Tags: map[string]string{}, Sources: []tasks.SDKSource{}}
}

// fetch is one task being handled.
type fetch struct {
	job     *Job
	payload tasks.SDKFetchPayload
	trace   *upstream.Trace
	result  tasks.SDKFetchResult
}

func (f *fetch) warn(format string, args ...any) {
	f.result.Warnings = append(f.result.Warnings, fmt.Sprintf(format, args...))
}

// versions takes the list over, newest first, within its bound.
func (f *fetch) versions(newest []string) {
	f.result.Versions = append(f.result.Versions, newest[:min(len(newest), maxVersions)]...)
	if len(newest) > maxVersions {
		f.warn("the list of versions was cut at the newest %d of %d", maxVersions, len(newest))
	}
}

func (f *fetch) run(ctx context.Context) error {
	var x Extracted
	var err error
	if f.payload.Ecosystem == "go" {
		x, err = f.module(ctx)
	} else {
		x, err = f.node(ctx)
	}
	if err != nil || !f.payload.Index {
		return err
	}
	progress.Report(ctx, tasks.Progress{Fraction: extracted, Message: "index the package"})
	token, err := f.job.index(ctx, f.document(x))
	if err != nil {
		return fmt.Errorf("index %s@%s: %w", f.result.Name, f.result.Version, err)
	}
	f.result.Token = token
	return nil
}

// wantsArchive reports whether any part needs the archive opened.
func (f *fetch) wantsArchive() bool {
	p := f.payload
	return p.Index || p.Wants("readme") || p.Wants("api") || p.Wants("files")
}

// extract opens the archive and takes over what was asked for.
func (f *fetch) extract(ctx context.Context, data []byte) (Extracted, error) {
	p := f.payload
	x, err := f.job.parse(progress.Part(ctx, downloaded, extracted, "read the archive"), Archive{
		Ecosystem: p.Ecosystem, Name: p.Name, Version: f.result.Version, Data: data, Limits: f.job.cfg.Archive,
		Readme: p.Wants("readme") || p.Index, API: p.Wants("api") || p.Index, Files: p.Wants("files"), Sections: p.Index,
	})
	if err != nil {
		return x, fmt.Errorf("read the archive of %s@%s: %w", p.Name, f.result.Version, err)
	}
	f.result.Dist.Size = int64(len(data))
	if p.Wants("readme") {
		f.result.Readme = x.Readme
	}
	if p.Wants("api") && x.API != nil {
		f.result.API, f.result.APITruncated = x.API, x.APITruncated
	}
	f.result.Files = x.Files
	f.result.Warnings = append(f.result.Warnings, x.Warnings...)
	return x, nil
}
