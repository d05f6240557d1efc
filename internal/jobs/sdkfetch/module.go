package sdkfetch

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/gomod"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// module fetches a Go module.
func (f *fetch) module(ctx context.Context) (Extracted, error) {
	c := f.job.mods
	found, err := c.Resolve(progress.Part(ctx, 0, resolved, "find the version"), f.trace, f.payload.Name, f.payload.Version)
	if err != nil {
		return Extracted{}, err
	}
	f.moduleVersion(found)
	var mod, zip []byte
	var vouched gomod.Vouched
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		mod, err = c.Mod(gctx, f.trace, f.payload.Name, found.Version)
		return err
	})
	if f.wantsArchive() {
		g.Go(func() (err error) {
			zip, err = c.Zip(progress.Part(gctx, resolved, downloaded, "download the archive"), f.trace, f.payload.Name, found.Version)
			return err
		})
	}
	g.Go(func() (err error) {
		vouched, err = c.Sum(gctx, f.trace, f.payload.Name, found.Version)
		return err
	})
	if err := g.Wait(); err != nil {
		return Extracted{}, err
	}
	if err := f.moduleFacts(mod, vouched); err != nil {
		return Extracted{}, err
	}
	if zip == nil {
		f.result.Dist.Integrity = vouched.Zip
		f.warn("the archive was not fetched, so license and API are not known")
		return Extracted{}, nil
	}
	return f.moduleZip(ctx, zip, vouched)
}

// moduleVersion takes over what is known once the version is.
func (f *fetch) moduleVersion(found gomod.Found) {
	r := &f.result
	r.Version, r.PublishedAt = found.Version, found.Time
	r.Repository = gomod.Repository(f.payload.Name, found.Info)
	newest := slices.Clone(found.Versions)
	slices.Reverse(newest)
	f.versions(newest)
	if newest := cmp.Or(found.Newest(), found.Latest); newest != "" {
		r.Tags["latest"] = newest
	}
	if found.LatestMod == nil {
		f.warn("the latest version's go.mod could not be read, so deprecation and retraction are not known")
		return
	}
	r.Deprecated = &found.LatestMod.Deprecated
	r.Retracted = found.LatestMod.Retracted(found.Version)
	if len(r.Retracted) > 0 {
		f.warn("the author retracted this version: %s", r.Retracted[0])
	}
}

// moduleFacts reads go.mod once its bytes are vouched for.
func (f *fetch) moduleFacts(mod []byte, vouched gomod.Vouched) error {
	hash, err := gomod.Hash1Mod(mod)
	if err != nil {
		return err
	}
	if vouched.Mod != "" && vouched.Mod != hash {
		return mismatch("go.mod", f.payload.Name, f.result.Version)
	}
	facts, err := gomod.ParseMod(mod)
	if err != nil {
		return err
	}
	if facts.Go != "" {
		f.result.Engines["go"] = facts.Go
	}
	if f.payload.Wants("dependencies") {
		f.result.Dependencies = facts.Requires
	}
	return nil
}

// moduleZip opens the archive and compares its hash with what is vouched for.
// The hash is over the unpacked files, so that it is computed where they are
// unpacked; nothing of them is handed out before it is compared.
func (f *fetch) moduleZip(ctx context.Context, zip []byte, vouched gomod.Vouched) (Extracted, error) {
	x, err := f.extract(ctx, zip)
	if err != nil {
		return x, err
	}
	if vouched.Zip != "" && vouched.Zip != x.Hash {
		f.result.API, f.result.Readme, f.result.Files = []tasks.SDKSymbol{}, "", nil
		return x, mismatch("archive", f.payload.Name, f.result.Version)
	}
	f.result.Dist.Integrity = x.Hash
	if vouched.Zip != "" {
		f.result.Dist.Verified, f.result.Dist.VerifiedBy = true, "sumdb"
	} else {
		f.warn("%s", vouched.Unverified)
	}
	f.result.License, f.result.Description = x.License, x.Synopsis
	return x, nil
}

func mismatch(what, name, version string) error {
	return fault.PermanentError(tasks.ReasonIntegrity, "the %s of %s@%s does not match the checksum database; do not use it", what, name, version)
}
