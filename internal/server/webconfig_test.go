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

// An authority signs certificates of both sides.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.make("ca", template, nil, nil)
	return a
}

// make writes a certificate and its key, signed by a parent or by itself.
func (a *authority) make(name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write(a.t, a.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(a.t, a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// sign writes a certificate that this authority vouches for.
func (a *authority) sign(name string, usage x509.ExtKeyUsage) tls.Certificate {
	a.t.Helper()
	a.make(name, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, a.cert, a.key)
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func TestWithClientCertificatesOnlyTheirHoldersGetIn(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.sign("server", x509.ExtKeyUsageServerAuth)
	right, wrong, misused := ours.sign("prometheus", x509.ExtKeyUsageClientAuth), theirs.sign("prometheus", x509.ExtKeyUsageClientAuth), ours.sign("other", x509.ExtKeyUsageServerAuth)
	file := ours.file("web.yml")
	write(t, file, []byte("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"+users))
	r := start(t, server.Options{WebConfigFile: file})
	for _, tc := range []struct {
		name     string
		trusts   *authority
		shows    []tls.Certificate
		password string
		want     int // 0 where there is no answer
	}{
		{"the right certificate and password", ours, []tls.Certificate{right}, "correct horse", http.StatusOK},
		{"the right certificate, a wrong password", ours, []tls.Certificate{right}, "battery staple", http.StatusUnauthorized},
		{"the right certificate, no password", ours, []tls.Certificate{right}, "", http.StatusUnauthorized},
		{"no certificate", ours, nil, "correct horse", 0},
		{"a certificate of another authority", ours, []tls.Certificate{wrong}, "correct horse", 0},
		{"a certificate for servers", ours, []tls.Certificate{misused}, "correct horse", 0},
		{"a client that trusts another authority", theirs, []tls.Certificate{right}, "correct horse", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, path := range []string{"/metrics", "/", "/api/v1/status", "/-/healthy", "/-/ready"} {
				transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
					RootCAs: tc.trusts.pool(),
					// Whatever the server asks for, this is what it gets.
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if len(tc.shows) == 0 {
							return new(tls.Certificate), nil
						}
						return &tc.shows[0], nil
					},
				}}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(r.url, "http:", "https:", 1)+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if tc.password != "" {
					req.SetBasicAuth("prometheus", tc.password)
				}
				resp, err := (&http.Client{Transport: transport}).Do(req)
				if err != nil {
					if tc.want != 0 {
						t.Errorf("%s: %v", path, err)
					}
					continue
				}
				resp.Body.Close()
				want := tc.want
				if path == "/metrics" && want == http.StatusOK {
					want = http.StatusNotFound // This server has no metrics.
				}
				if resp.StatusCode != want {
					t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
				}
			}
		})
	}
}

// A probe that has neither certificate nor password learns that the exporter serves, and nothing else.
func TestWhereCertificatesMayBeLeftOutAProbeIsAnsweredAndNobodyElse(t *testing.T) {
	ours := newAuthority(t)
	ours.sign("server", x509.ExtKeyUsageServerAuth)
	file := ours.file("web.yml")
	write(t, file, []byte("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n"+users))
	r := start(t, server.Options{WebConfigFile: file})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ours.pool()}}}
	for _, path := range []string{"/-/healthy", "/metrics"} {
		resp, err := client.Get(strings.Replace(r.url, "http:", "https:", 1) + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d, want 401", path, resp.StatusCode)
		}
	}
}

func TestTheSchemeIsThatOfTheWebConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	if got := server.Scheme(""); got != "http" {
		t.Errorf("without a web configuration: %s", got)
	}
	for text, want := range map[string]string{
		"":                                     "http",
		users:                                  "http",
		"http_server_config: {http2: false}\n": "http",
		"tls_server_config: {}\n":              "http",
		"tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n" + users: "https",
		"tls_server_config: {cert: text, key: text}\n":                          "https",
	} {
		write(t, file, []byte(text))
		if got := server.Scheme(file); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
