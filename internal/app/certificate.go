package app

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// certificateEvery is how often a handshake may look whether the files of a
// certificate have changed.
const certificateEvery = time.Second

// TLS returns the settings of a server with the certificate in two PEM files.
// When they change, the next handshake uses the new one; as long as they cannot
// be read or don't fit together, the old one goes on, which is logged.
func TLS(certFile, keyFile string, log zerolog.Logger) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}, nil
}

type certificate struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	version [2]time.Time // of both files
	looked  time.Time
}

func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) > certificateEvery {
		c.looked = now
		if version, err := c.modified(); err == nil && version != c.version {
			c.reload(version)
		}
	}
	return c.loaded
}

// reload is load for a server that runs; a version that fails is tried once.
func (c *certificate) reload(version [2]time.Time) {
	if err := c.load(); err != nil {
		c.version = version
		c.log.Error().Err(err).Msg("the new certificate is not used")
		return
	}
	c.log.Info().Msg("certificate reloaded")
}

func (c *certificate) modified() (v [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return v, err
		}
		v[i] = info.ModTime()
	}
	return v, nil
}

func (c *certificate) load() error {
	version, err := c.modified()
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	c.loaded, c.version = &pair, version
	return nil
}
