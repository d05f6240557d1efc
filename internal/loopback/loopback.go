// Package loopback tells what comes from this machine: addresses that only it
// can reach, and HTTP requests that a page of another origin did not cause.
//
// A server on loopback is not safe by that alone. A page in the user's browser
// may post to it, or may point a name of its own at 127.0.0.1 and read the
// answers (DNS rebinding). Guard refuses both.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Is reports whether an address to listen on (host:port) can be reached from
// this machine only. Names other than localhost count as remote.
func Is(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && isHost(host)
}

func isHost(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// Foreign reports whether a page of another origin caused a request. Unlike Guard
// it judges those that only read too: they cost as much, and may last.
func Foreign(r *http.Request) bool {
	asWrite := *r
	asWrite.Method = http.MethodPost
	return http.NewCrossOriginProtection().Check(&asWrite) != nil
}

// ForeignWords say so to people.
const ForeignWords = "the request comes from a page of another origin"

// Guard passes on requests that a program of this machine sends, or a page of
// the same origin. Others are given to refuse with a sentence for people. If
// hosts is false, any Host header is accepted: where the server is meant to be
// reached from elsewhere, its names are not known.
func Guard(next http.Handler, hosts bool, refuse func(http.ResponseWriter, *http.Request, string)) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, ForeignWords)
	}))
	protected := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if hosts && !isHost(host) {
			refuse(w, r, "this server answers only to localhost and loopback addresses, not to the name in the Host header")
			return
		}
		protected.ServeHTTP(w, r)
	})
}
