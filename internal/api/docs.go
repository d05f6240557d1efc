package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
)

//go:embed page
var page embed.FS

// pagePolicy lets the page load nothing but its own files.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// describe serves the OpenAPI document and the page to try it.
func (s *server) describe(mux *http.ServeMux) error {
	s.describeRefusals()
	spec, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("write the OpenAPI description: %w", err)
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(spec) //nolint:errcheck // the client has gone
	})
	for path, f := range map[string]struct{ name, contentType string }{
		"/docs": {"docs.html", "text/html; charset=utf-8"}, "/docs/docs.js": {"docs.js", "text/javascript; charset=utf-8"},
		"/docs/docs.css": {"docs.css", "text/css; charset=utf-8"},
	} {
		raw, err := page.ReadFile("page/" + f.name)
		if err != nil {
			return fmt.Errorf("read the page: %w", err)
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", f.contentType)
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "no-referrer")
			w.Write(raw) //nolint:errcheck // the client has gone
		})
	}
	return nil
}
