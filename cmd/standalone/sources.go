package main

import (
	"bytes"
	"context"
	"embed"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/localregistry"
	"github.com/jobyard/jobyard/tasks"
)

//go:embed welcome
var welcome embed.FS

// Bounds of the documents that the demo reads.
const (
	maxDocuments     = 30
	maxDocumentBytes = 1 << 20
)

// document is one file for the demo.
type document struct{ name, text string }

// documents are the project's own where the demo runs in its checkout, else the
// ones that the program brings.
func documents(checkout fs.FS) (docs []document, own bool) {
	if mod, err := fs.ReadFile(checkout, "go.mod"); err == nil && bytes.HasPrefix(mod, []byte("module github.com/jobyard/jobyard\n")) {
		if docs = gather(checkout); len(docs) > 0 {
			return docs, true
		}
	}
	brought, err := fs.Sub(welcome, "welcome")
	if err != nil {
		panic(err) // only if the program was built without the folder
	}
	return gather(brought), false
}

// gather reads README.md, CHANGELOG.md and what lies in docs. Files that cannot
// be read are left out: it's a demo.
func gather(from fs.FS) []document {
	var docs []document
	add := func(name string) {
		info, err := fs.Stat(from, name)
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxDocumentBytes || len(docs) == maxDocuments {
			return
		}
		if text, err := fs.ReadFile(from, name); err == nil {
			docs = append(docs, document{name, strings.ToValidUTF8(string(text), "\uFFFD")})
		}
	}
	add("README.md")
	add("CHANGELOG.md")
	// A folder that is missing gives an error for its root and no files.
	_ = fs.WalkDir(from, "docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".md" {
			add(name)
		}
		return nil
	})
	return docs
}

// checkout is the folder that the demo was started in.
func checkout() fs.FS { return os.DirFS(".") }

// quick is how long a configured registry has to answer before the demo takes
// its own.
const quick = 5 * time.Second

// parcel is a package for the demo, and where it comes from.
type parcel struct {
	payload tasks.SDKFetchPayload
	// why it comes from the registry that is started here; empty if it does not.
	why string
}

func (p parcel) local() bool { return p.why != "" }

// from says where it comes from.
func (p parcel) from() string {
	if p.local() {
		return "from a registry that the demo brings: " + p.why
	}
	return "from the configured registry"
}

// parcels chooses the packages to fetch: well-known ones where the configured
// registries answer quickly, else those of a registry that is started here. It
// changes cfg so that the job asks there.
func parcels(ctx context.Context, a *app.App, cfg *sdkfetch.Config, offline bool) ([]parcel, error) {
	all := []parcel{
		{payload: tasks.SDKFetchPayload{Ecosystem: "go", Name: "github.com/google/uuid", Version: "latest"}},
		{payload: tasks.SDKFetchPayload{Ecosystem: "npm", Name: "clsx", Version: "^2"}},
	}
	var asking sync.WaitGroup
	for i := range all {
		asking.Go(func() {
			if all[i].why = "it was started with --offline"; !offline {
				all[i].why = silence(ctx, *cfg, all[i].payload)
			}
		})
	}
	asking.Wait()
	if !all[0].local() && !all[1].local() {
		return all, nil
	}
	registry, err := localregistry.New(localregistry.Example())
	if err != nil {
		return nil, err
	}
	l, err := app.Listen(ctx, "127.0.0.1:0", "listen")
	if err != nil {
		return nil, err
	}
	a.Serve("local registry", l, registry, time.Minute)
	at := "http://" + l.Addr().String()
	if all[0].local() {
		all[0].payload.Name = "example.test/greeter"
		cfg.Go.Proxy, cfg.Go.SumDB = at+localregistry.GoPath, registry.SumDB()
		cfg.Go.Private, cfg.Go.NoProxy, cfg.Go.NoSumDB = "", "", ""
	}
	if all[1].local() {
		all[1].payload.Name, all[1].payload.Version = "@example/greeter", "^1"
		cfg.NPM.Registry = at + localregistry.NPMPath
	}
	return all, nil
}

// silence says why the configured registry is of no use here, and nothing where
// it is. It tries the job itself, so that proxies and checksums are tried too.
func silence(ctx context.Context, cfg sdkfetch.Config, p tasks.SDKFetchPayload) string {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	p.Include = []string{"dependencies"}
	_, err := sdkfetch.New(cfg, sdkfetch.Extract, nil).Handle(ctx, p)
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil:
		return "the configured one did not answer within " + quick.String()
	}
	return fault.Of(err).Message
}
