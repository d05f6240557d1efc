package monitor

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// pageFiles are served as they are: the pages have no build step. Only the
// frame that all of them share is put around each when the program starts.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets a page use only what this server holds.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// page is one of the monitor's pages: the file NAME.html in the frame, and the
// script NAME.js. A new page takes these two files and an entry in pages.
type page struct {
	Name, Title string
	// Curves are those of the history that it draws, with commas between.
	Curves string
	routes []string
	Body   template.HTML
	Pages  []page
	// Login tells that one can sign out.
	Login bool
}

func pages() []page {
	return []page{
		{Name: "overview", Title: "Overview", Curves: "rate,waiting,rss,heap", routes: []string{"/{$}"}},
		{Name: "queues", Title: "Queues", Curves: "waiting,wait", routes: []string{"/queues"}},
		{Name: "nodes", Title: "Nodes", Curves: "rss,heap", routes: []string{"/nodes"}},
		{Name: "tasks", Title: "Tasks", routes: []string{"/tasks"}},
		{Name: "cache", Title: "Cache", routes: []string{"/cache"}},
		{Name: "leaks", Title: "Leaks", Curves: "live", routes: []string{"/leaks"}},
		{Name: "dead", Title: "Dead letters", routes: []string{"/dead"}},
		{Name: "task", Title: "Task", routes: []string{"/tasks/{id}"}},
	}
}

// Path is where the page is; a page of a single thing is in no menu and has none.
func (p page) Path() string {
	switch route := p.routes[0]; {
	case route == "/{$}":
		return "/"
	case strings.Contains(route, "{"):
		return ""
	default:
		return route
	}
}

// Current reports whether the menu marks an entry as where one is.
func (p page) Current(entry page) bool {
	return p.Name == entry.Name || p.Name == "task" && entry.Name == "tasks"
}

// serveParts adds what the pages are made of to the routes. Nothing of the yard
// is in it.
func serveParts(mux *http.ServeMux) {
	entries, err := fs.ReadDir(pageFiles, "page")
	if err != nil {
		panic("monitor: the page is not embedded: " + err.Error())
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".html" {
			mux.Handle("GET /page/"+e.Name(), pageFile(e.Name(), embedded(e.Name())))
		}
	}
}

// servePages adds the pages to the routes.
func servePages(mux *http.ServeMux, login bool) {
	frame := template.Must(template.New("frame").Parse(string(embedded("frame.html"))))
	for _, p := range pages() {
		p.Login = login
		p.Body, p.Pages = template.HTML(embedded(p.Name+".html")), pages() //nolint:gosec // our own file
		var out bytes.Buffer
		if err := frame.Execute(&out, p); err != nil {
			panic("monitor: page " + p.Name + ": " + err.Error())
		}
		for _, route := range p.routes {
			mux.Handle("GET "+route, pageFile("page.html", out.Bytes()))
		}
	}
}

func embedded(name string) []byte {
	body, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic("monitor: the page is not embedded: " + err.Error())
	}
	return body
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
