package monitor

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// pageFiles are served as they are: the page has no build step.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page use only what this server holds.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// servePage adds the page and its parts to the routes.
func servePage(mux *http.ServeMux) {
	entries, err := fs.ReadDir(pageFiles, "page")
	if err != nil {
		panic("monitor: the page is not embedded: " + err.Error())
	}
	for _, e := range entries {
		body, err := pageFiles.ReadFile("page/" + e.Name())
		if err != nil {
			panic("monitor: the page is not embedded: " + err.Error())
		}
		route := "/page/" + e.Name()
		if e.Name() == "index.html" {
			route = "/{$}"
		}
		mux.Handle("GET "+route, pageFile(e.Name(), body))
	}
}

// pageFile serves one part. Browsers ask each time and are told that nothing
// changed, so that a new version is never mixed with an old one.
func pageFile(name string, body []byte) http.Handler {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	kind := mime.TypeByExtension(path.Ext(name))
	if path.Ext(name) == ".js" {
		kind = "text/javascript; charset=utf-8" // some systems' tables say otherwise
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(body) //nolint:errcheck // the client went away
	})
}
