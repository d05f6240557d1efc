package localregistry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // npm's shasum is SHA-1 by definition
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/semver"
)

// packument is a package's document, without the tarballs' addresses.
type packument struct {
	name     string
	versions map[string]map[string]any
	times    map[string]time.Time
	tags     map[string]string
	readme   string
}

// servePackages adds the npm registry.
func (r *Registry) servePackages(sources []source) error {
	docs := map[string]*packument{}
	for _, s := range sources {
		d := docs[s.name]
		if d == nil {
			d = &packument{name: s.name, versions: map[string]map[string]any{}, times: map[string]time.Time{}, tags: map[string]string{}}
			docs[s.name] = d
		}
		ball, err := tarball(s)
		if err != nil {
			return fmt.Errorf("pack %s@%s: %w", s.name, s.version, err)
		}
		if err := d.add(s, ball); err != nil {
			return err
		}
		r.serve(NPMPath+tarballPath(s.name, s.version), "application/octet-stream", ball)
	}
	r.mux.HandleFunc("GET "+NPMPath+"/", func(w http.ResponseWriter, req *http.Request) {
		// A scoped name comes as one element, its slash escaped.
		d := docs[strings.TrimPrefix(req.URL.Path, NPMPath+"/")]
		if d == nil {
			http.Error(w, `{"error":"Not found"}`, http.StatusNotFound)
			return
		}
		body := d.write("http://" + req.Host + NPMPath)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", etag(body))
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
	})
	return nil
}

func tarballPath(name, version string) string {
	return "/" + name + "/-/" + path.Base(name) + "-" + version + ".tgz"
}

// add takes a version's manifest, and its hashes in the place of dist.
func (d *packument) add(s source, ball []byte) error {
	var m map[string]any
	if err := json.Unmarshal(s.files["package.json"], &m); err != nil {
		return fmt.Errorf("read package.json of %s@%s: %w", s.name, s.version, err)
	}
	long, short := sha512.Sum512(ball), sha1.Sum(ball) //nolint:gosec // as above
	m["dist"] = map[string]any{"integrity": "sha512-" + base64.StdEncoding.EncodeToString(long[:]), "shasum": hex.EncodeToString(short[:])}
	v, err := semver.Parse(s.version, semver.Options{})
	if err != nil {
		return fmt.Errorf("serve %s: %w", s.name, err)
	}
	tag := "latest"
	if len(v.Pre) > 0 {
		tag = "next"
	}
	if old, err := semver.Parse(d.tags[tag], semver.Options{}); err != nil || v.Compare(old) > 0 {
		d.tags[tag] = s.version
		d.readme = string(s.files["README.md"])
	}
	d.versions[s.version], d.times[s.version] = m, s.published
	return nil
}

// write fills in the tarballs' addresses as the caller reaches us.
func (d *packument) write(base string) []byte {
	versions := map[string]any{}
	for v, m := range d.versions {
		one, dist := map[string]any{}, map[string]any{}
		maps.Copy(one, m)
		maps.Copy(dist, m["dist"].(map[string]any))
		dist["tarball"] = base + tarballPath(d.name, v)
		one["dist"] = dist
		versions[v] = one
	}
	raw, _ := json.Marshal(map[string]any{"name": d.name, "dist-tags": d.tags, "versions": versions, "time": d.times, "readme": d.readme})
	return raw
}

// tarball packs the folder as npm does, below package/ and without times.
func tarball(s source) ([]byte, error) {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, p := range s.paths {
		h := &tar.Header{Name: "package/" + p, Mode: 0o644, Size: int64(len(s.files[p])), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(s.files[p]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(w.Close(), gz.Close())
	return b.Bytes(), err
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}
