package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// maxSources bounds a trace; a fetch asks about ten times, a checksum database
// adds a few dozen tiles.
const maxSources = 50

// Trace gathers how each source of one fetch answered. The zero value is ready.
type Trace struct {
	mu      sync.Mutex
	sources []tasks.SDKSource
}

func (t *Trace) add(source string, h http.Header, err error) {
	s := tasks.SDKSource{Source: source, OK: err == nil, ETag: fault.Clean(h.Get("ETag"), 200)}
	if age, bad := strconv.ParseInt(h.Get("Age"), 10, 64); bad == nil && age > 0 {
		s.AgeS = age
	}
	if err != nil {
		s.Error = fault.Of(err).Task().Message
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sources) < maxSources {
		t.sources = append(t.sources, s)
	}
}

// Sources returns the answers in the order in which they were complete.
func (t *Trace) Sources() []tasks.SDKSource {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]tasks.SDKSource{}, t.sources...)
}

// retryAfter reads the header, seconds or a date, as a duration for people.
func retryAfter(v string) string {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 && n < 1<<31 {
		return (time.Duration(n) * time.Second).String()
	}
	if at, err := http.ParseTime(v); err == nil {
		return "until " + at.UTC().Format(time.RFC3339)
	}
	return ""
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host)
}
