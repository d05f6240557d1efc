package loopback

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.8.9.10:80": true, "[::1]:80": true, "localhost:80": true, "LOCALHOST.:80": true, "[::ffff:127.0.0.1]:80": true,
		"0.0.0.0:80": false, ":80": false, "[::]:80": false, "192.168.1.2:80": false, "example.com:80": false, "localhost.example.com:80": false,
		"127.0.0.1": false, "": false,
	} {
		if got := Is(address); got != want {
			t.Errorf("Is(%q): got %v, want %v", address, got, want)
		}
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, host, origin, site string
		hosts                            bool
		want                             int
	}{
		{name: "a program on this machine", method: "POST", host: "127.0.0.1:8080", hosts: true, want: 200},
		{name: "by name", method: "GET", host: "localhost:8080", hosts: true, want: 200},
		{name: "over IPv6", method: "GET", host: "[::1]:8080", hosts: true, want: 200},
		{name: "without a port", method: "GET", host: "::1", hosts: true, want: 200},
		{name: "a rebound name", method: "GET", host: "evil.example:8080", hosts: true, want: 403},
		{name: "no host", method: "GET", host: "", hosts: true, want: 403},
		{name: "a foreign name where any is welcome", method: "GET", host: "jobs.example", want: 200},
		{name: "a foreign page posts", method: "POST", host: "127.0.0.1:8080", origin: "https://evil.example", hosts: true, want: 403},
		{name: "a foreign page deletes", method: "DELETE", host: "127.0.0.1:8080", origin: "https://evil.example", hosts: true, want: 403},
		{name: "a sandboxed page posts", method: "POST", host: "127.0.0.1:8080", origin: "null", hosts: true, want: 403},
		{name: "a page of another port posts", method: "POST", host: "127.0.0.1:8080", origin: "http://127.0.0.1:3000", hosts: true, want: 403},
		{name: "the browser says cross-site", method: "POST", host: "127.0.0.1:8080", site: "cross-site", hosts: true, want: 403},
		{name: "a page of ours posts", method: "POST", host: "127.0.0.1:8080", origin: "http://127.0.0.1:8080", hosts: true, want: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
			h := Guard(ok, tt.hosts, func(w http.ResponseWriter, _ *http.Request, why string) { http.Error(w, why, http.StatusForbidden) })
			r := httptest.NewRequest(tt.method, "/", nil)
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("got %d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, header, value string
		want                bool
	}{
		{"a program", "", "", false},
		{"a page of ours", "Sec-Fetch-Site", "same-origin", false},
		{"an address that somebody typed", "Sec-Fetch-Site", "none", false},
		{"a page of ours in an old browser", "Origin", "http://127.0.0.1:8080", false},
		{"a page of another site", "Sec-Fetch-Site", "cross-site", true},
		{"a page of another port", "Sec-Fetch-Site", "same-site", true},
		{"a page of another site in an old browser", "Origin", "https://evil.example", true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/queues", nil)
		r.Host = "127.0.0.1:8080"
		if tt.header != "" {
			r.Header.Set(tt.header, tt.value)
		}
		if got := Foreign(r); got != tt.want || r.Method != http.MethodGet {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
