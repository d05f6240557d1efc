package localregistry

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
)

// serveModules adds the GOPROXY protocol and the checksum database.
func (r *Registry) serveModules(sources []source, signer string) error {
	lists, latest, sums := map[string][]string{}, map[string]source{}, map[string]string{}
	for _, s := range sources {
		escaped, err := module.EscapePath(s.name)
		if err != nil {
			return fmt.Errorf("serve %s: %w", s.name, err)
		}
		zipped, err := moduleZip(s)
		if err != nil {
			return fmt.Errorf("zip %s@%s: %w", s.name, s.version, err)
		}
		lines, err := goSum(s)
		if err != nil {
			return fmt.Errorf("hash %s@%s: %w", s.name, s.version, err)
		}
		sums[s.name+"@"+s.version] = lines
		at := GoPath + "/" + escaped + "/@v/" + s.version
		r.serve(at+".info", "application/json", info(s))
		r.serve(at+".mod", "text/plain; charset=utf-8", s.files["go.mod"])
		r.serve(at+".zip", "application/zip", zipped)
		lists[escaped] = append(lists[escaped], s.version)
		if semver.Compare(s.version, latest[escaped].version) > 0 {
			latest[escaped] = s
		}
	}
	for escaped, versions := range lists {
		semver.Sort(versions)
		r.serve(GoPath+"/"+escaped+"/@v/list", "text/plain; charset=utf-8", []byte(strings.Join(versions, "\n")+"\n"))
		r.serve(GoPath+"/"+escaped+"/@latest", "application/json", info(latest[escaped]))
	}
	r.serveSums(sums, signer)
	return nil
}

func (r *Registry) serveSums(sums map[string]string, signer string) {
	db := sumdb.NewServer(sumdb.NewTestServer(signer, func(path, version string) ([]byte, error) {
		lines, ok := sums[path+"@"+version]
		if !ok {
			return nil, fmt.Errorf("%s@%s is not here", path, version)
		}
		return []byte(lines), nil
	}))
	prefix := GoPath + "/sumdb/" + sumName
	r.serve(prefix+"/supported", "text/plain", nil)
	for _, p := range sumdb.ServerPaths {
		r.mux.Handle("GET "+prefix+p, http.StripPrefix(prefix, db))
	}
}

func info(s source) []byte {
	raw, _ := json.Marshal(struct { // two plain fields: it cannot fail
		Version string
		Time    time.Time
	}{s.version, s.published})
	return raw
}

// moduleZip packs the folder as a module zip, without times.
func moduleZip(s source) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, p := range s.paths {
		w, err := z.CreateHeader(&zip.FileHeader{Name: s.name + "@" + s.version + "/" + p, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(s.files[p]); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// goSum writes the two lines of go.sum that the checksum database signs.
func goSum(s source) (string, error) {
	prefix := s.name + "@" + s.version + "/"
	open := func(name string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(s.files[strings.TrimPrefix(name, prefix)])), nil
	}
	var names []string
	for _, p := range s.paths {
		names = append(names, prefix+p)
	}
	all, err := dirhash.Hash1(names, open)
	if err != nil {
		return "", err
	}
	mod, err := dirhash.Hash1([]string{"go.mod"}, open)
	return fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", s.name, s.version, all, s.name, s.version, mod), err
}

// serve answers a path with fixed bytes, with an ETag of them.
func (r *Registry) serve(at, contentType string, body []byte) {
	tag := etag(body)
	r.mux.HandleFunc("GET "+at, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", tag)
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
	})
}
