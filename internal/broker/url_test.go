package broker

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, url, place, user, password string
		tls, cluster                     bool
	}{
		{name: "a plain address", url: "redis://localhost:6380/2", place: "localhost:6380 database 2"},
		{name: "a default port", url: "redis://localhost", place: "localhost:6379"},
		{name: "credentials", url: "redis://ann:s%40crt@h:1/0", place: "h:1", user: "ann", password: "s@crt"},
		{name: "TLS", url: "rediss://h:1", place: "h:1", tls: true},
		{name: "a socket", url: "unix:///run/redis.sock?db=3", place: "/run/redis.sock database 3"},
		{name: "sentinels", url: "redis-sentinel://:pw@a,b:7/yard/4", place: "a:26379,b:7 (sentinel, master yard) database 4", password: "pw"},
		{name: "a cluster", url: "redis://ann:pw@a:1,b,c:3", place: "a:1,b:6379,c:3", user: "ann", password: "pw", cluster: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := parseURL(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := place(o); got != tt.place {
				t.Errorf("place: got %q, want %q", got, tt.place)
			}
			if o.Username != tt.user || o.Password != tt.password || (o.TLSConfig != nil) != tt.tls || o.IsClusterMode != tt.cluster {
				t.Errorf("got user %q, password %q, tls %v, cluster %v", o.Username, o.Password, o.TLSConfig != nil, o.IsClusterMode)
			}
		})
	}
}

func TestParseURL_RefusesWithoutTellingThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@h", "redis://:hunter2@h:port", "redis://:hunter2@h:1/x", "redis-sentinel://:hunter2@h:1",
		"redis://:hunter2@a,b/3", "redis://a:hunter2%zz@a,b", "redis-sentinel://:hunter2@h:1/m/x", "redis://:hunter2@,a", "unix://",
	} {
		o, err := parseURL(url)
		if err == nil {
			t.Errorf("%q: got %v, want an error", url, place(o))
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis://u:p@h:1/2")
	f.Add("redis-sentinel://a,b/m")
	f.Fuzz(func(t *testing.T, url string) {
		if o, err := parseURL(url); err == nil && len(o.Addrs) == 0 {
			t.Errorf("%q: no address and no error", url)
		}
	})
}
