package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// selfSigned writes a certificate for a name, dated so that files written in
// one instant differ.
func selfSigned(t *testing.T, dir, name string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(serial) * time.Minute)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS_UsesANewCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := selfSigned(t, dir, "one", 1)
	c := &certificate{certFile: cert, keyFile: key, log: zerolog.Nop()}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	shows := func() string { return c.current().Leaf.Subject.CommonName }
	if got := shows(); got != "one" {
		t.Errorf("got %s", got)
	}
	selfSigned(t, dir, "two", 2)
	c.looked = time.Time{}
	if got := shows(); got != "two" {
		t.Errorf("got %s, want the new one", got)
	}
	if err := os.WriteFile(cert, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.looked = time.Time{}
	if got := shows(); got != "two" {
		t.Errorf("got %s, want the last good one", got)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	c.looked = time.Time{}
	if got := shows(); got != "two" {
		t.Errorf("got %s, want the last good one", got)
	}
}

func TestTLS_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	if _, err := TLS("/nowhere", "/nowhere", zerolog.Nop()); err == nil {
		t.Error("got no error")
	}
	cert, key := selfSigned(t, t.TempDir(), "x", 1)
	cfg, err := TLS(cert, key, zerolog.Nop())
	if err != nil || cfg.MinVersion != tls.VersionTLS12 {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
