package sdkfetch

import (
	"context"

	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/npm"
	"github.com/jobyard/jobyard/internal/progress"
)

// node fetches an npm package.
func (f *fetch) node(ctx context.Context) (Extracted, error) {
	if err := npm.CheckName(f.payload.Name); err != nil {
		return Extracted{}, err
	}
	if err := npm.CheckSpec(f.payload.Version); err != nil {
		return Extracted{}, err
	}
	p, err := f.job.npm.Packument(progress.Part(ctx, 0, resolved, "find the version"), f.trace, f.payload.Name)
	if err != nil {
		return Extracted{}, err
	}
	version, err := p.Pick(f.payload.Version)
	if err != nil {
		return Extracted{}, err
	}
	f.packument(p, version)
	in := p.Versions[version].Integrity()
	f.result.Dist.Integrity = in.Text
	if !f.wantsArchive() {
		f.manifest(p.Versions[version].Manifest)
		f.warn("the archive was not fetched, so its bytes are not verified")
		return Extracted{}, nil
	}
	data, err := f.job.npm.Tarball(progress.Part(ctx, resolved, downloaded, "download the archive"), f.trace, p, version)
	if err != nil {
		return Extracted{}, err
	}
	f.integrity(in, data)
	x, err := f.extract(ctx, data)
	if err != nil {
		return x, err
	}
	if x.Manifest != nil {
		f.manifest(*x.Manifest)
	}
	f.manifest(p.Versions[version].Manifest)
	if f.result.License == "" {
		f.result.License = x.License
	}
	return x, nil
}

// packument takes over what the registry says.
func (f *fetch) packument(p *npm.Packument, version string) {
	r := &f.result
	r.Version = version
	r.PublishedAt = p.Times[version]
	f.versions(p.Numbers(len(p.Versions)))
	r.Tags = p.Tags
	r.Deprecated = p.Notice(version)
	if r.PublishedAt.IsZero() {
		f.warn("the registry does not say when the version was published")
	}
	if r.Deprecated == nil {
		f.warn("the registry does not pass notices of deprecation on, so that is not known")
	} else if *r.Deprecated != "" {
		f.warn("the author deprecated this version: %s", *r.Deprecated)
	}
}

// manifest takes over a manifest. The packument's comes last and counts where it
// has a field: it is what npm itself goes by. Short packuments have few fields.
func (f *fetch) manifest(m npm.Manifest) {
	r := &f.result
	for into, text := range map[*string]string{&r.Description: string(m.Description), &r.Homepage: string(m.Homepage),
		&r.License: m.SPDX(), &r.Repository: string(m.Repository)} {
		if text != "" {
			*into = text
		}
	}
	if len(m.Engines) > 0 {
		r.Engines = m.Engines
	}
	if len(m.Peers) > 0 {
		r.PeerDependencies = m.Peers
	}
	if requires := m.Requires(); len(requires) > 0 && f.payload.Wants("dependencies") {
		r.Dependencies = requires
	}
	if !f.payload.Wants("dependencies") {
		r.PeerDependencies = map[string]string{}
	}
}

// integrity notes by what the bytes, which match already, are vouched for.
func (f *fetch) integrity(in npm.Integrity, data []byte) {
	d := &f.result.Dist
	if !in.Stated() {
		d.Integrity = npm.Compute(data)
		f.warn("the registry states no hash for the tarball, so its bytes are not verified")
		return
	}
	d.Verified, d.VerifiedBy = true, "sri"
	if in.Weak {
		f.warn("the registry states only a SHA-1 hash for the tarball, which is weak")
	}
}
