package server_test

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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/server"
)

// certificate writes a new self-signed certificate for 127.0.0.1 and its key, and returns a pool that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "exporter"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The password is "correct horse", at the lowest cost of bcrypt.
const users = "basic_auth_users:\n  prometheus: $2a$04$hJ789GKOLe6xcv5/kll0keYqUs7Tn8FnxoxrCgPnnQwhoS7p.ZZ8u\n"

func TestBasicAuthGuardsEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write(t, file, []byte(users))
	r := start(t, server.Options{WebConfigFile: file})
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/-/ready", "/-/reload"} {
		if a := r.do(t, http.MethodGet, path); a.code != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%s answers %d without a password", path, a.code)
		}
	}
	for password, want := range map[string]int{"correct horse": http.StatusOK, "wrong": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("prometheus", password)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("password %q: status %d, want %d", password, resp.StatusCode, want)
		}
	}
}

func TestTLSOnEveryAddressWithACertificateThatMayChange(t *testing.T) {
	dir := t.TempDir()
	old := certificate(t, dir)
	file := filepath.Join(dir, "web.yml")
	write(t, file, []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"))
	r := start(t, server.Options{WebConfigFile: file, Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}})
	try := func(a net.Addr, pool *x509.CertPool, maxVersion uint16) error {
		c, err := tls.Dial("tcp", a.String(), &tls.Config{RootCAs: pool, MaxVersion: maxVersion})
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, a := range r.addresses {
		if err := try(a, old, 0); err != nil {
			t.Errorf("handshake with %s: %v", a, err)
		}
		if err := try(a, old, tls.VersionTLS11); err == nil {
			t.Errorf("%s speaks TLS 1.1", a)
		}
	}
	renewed := certificate(t, dir)
	for _, a := range r.addresses {
		if err := try(a, renewed, 0); err != nil {
			t.Errorf("handshake with %s after the certificate was renewed: %v", a, err)
		}
		if err := try(a, old, 0); err == nil {
			t.Errorf("%s still has the old certificate", a)
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: renewed}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	resp, err := client.Get(strings.Replace(r.url, "http:", "https:", 1) + "/-/healthy")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s over %s", resp.Status, resp.Proto)
	}
	client.CloseIdleConnections()
	if a := r.do(t, http.MethodGet, "/metrics"); a.code != http.StatusBadRequest {
		t.Errorf("plain HTTP on a TLS address answers %d", a.code)
	}
}
