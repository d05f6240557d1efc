package broker

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

const urlForms = "use redis://[user:password@]host:port/db, rediss://…, unix:///path/to.sock, " +
	"redis-sentinel://host:port,host:port/master/db, or several redis hosts for a cluster"

// parseURL reads a Redis address in any of the forms that urlForms names.
// Errors never hold the password.
func parseURL(raw string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, fmt.Errorf("redis address has no scheme: %s", urlForms)
	}
	switch scheme {
	case "redis-sentinel", "rediss-sentinel":
		return parseHosts(scheme, rest, true)
	case "redis", "rediss":
		if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host[strings.LastIndex(host, "@")+1:], ",") {
			return parseHosts(scheme, rest, false)
		}
	case "unix":
	default:
		return nil, fmt.Errorf("redis address has the unknown scheme %q: %s", clip(scheme, 20), urlForms)
	}
	o, err := redis.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("redis address cannot be read (%s): %s", withoutSecrets(err, raw), urlForms)
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, Protocol: o.Protocol,
	}, nil
}

// parseHosts reads the forms with several hosts, which net/url refuses.
func parseHosts(scheme, rest string, sentinel bool) (*redis.UniversalOptions, error) {
	authority, path, _ := strings.Cut(rest, "/")
	credentials, hosts := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		credentials, hosts = authority[:i], authority[i+1:]
	}
	o := &redis.UniversalOptions{Addrs: strings.Split(hosts, ",")}
	port := "6379"
	if sentinel {
		port = "26379"
	}
	for i, h := range o.Addrs {
		u, err := url.Parse("redis://" + h)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("redis address has the bad host %q: %s", clip(h, 60), urlForms)
		}
		if u.Port() == "" {
			o.Addrs[i] = h + ":" + port
		}
	}
	user, password, hasPassword := strings.Cut(credentials, ":")
	var err error
	if o.Username, err = url.PathUnescape(user); err != nil {
		return nil, fmt.Errorf("redis address has a user name that is not URL-escaped: %s", urlForms)
	}
	if hasPassword {
		if o.Password, err = url.PathUnescape(password); err != nil {
			return nil, fmt.Errorf("redis address has a password that is not URL-escaped: %s", urlForms)
		}
	}
	if strings.HasPrefix(scheme, "rediss") {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if !sentinel {
		if strings.Trim(path, "/") != "" && strings.Trim(path, "/") != "0" {
			return nil, fmt.Errorf("a redis cluster has only database 0, got %q", clip(path, 20))
		}
		o.IsClusterMode = true
		return o, nil
	}
	master, db, _ := strings.Cut(strings.Trim(path, "/"), "/")
	if master == "" {
		return nil, fmt.Errorf("redis-sentinel address names no master: %s", urlForms)
	}
	o.MasterName = master
	if db != "" {
		if _, err := fmt.Sscanf(db, "%d", &o.DB); err != nil {
			return nil, fmt.Errorf("redis-sentinel address has the bad database %q: %s", clip(db, 20), urlForms)
		}
	}
	return o, nil
}

// withoutSecrets says err, unless raw may hold a password that err repeats.
func withoutSecrets(err error, raw string) string {
	if strings.Contains(raw, "@") {
		return "it is malformed"
	}
	return err.Error()
}

// place says where Redis is, for people: hosts, never credentials.
func place(o *redis.UniversalOptions) string {
	at := strings.Join(o.Addrs, ",")
	if o.MasterName != "" {
		at += " (sentinel, master " + o.MasterName + ")"
	}
	if o.DB != 0 {
		at += fmt.Sprintf(" database %d", o.DB)
	}
	return at
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
