package fetcher_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
)

// networked returns a client that uses the network of the machine.
func networked(t *testing.T, base string, seen *witness, settings promconfig.HTTPClientConfig) *fetcher.Client {
	t.Helper()
	return client(t, &wire{}, seen, func(o *fetcher.ClientOptions) {
		o.BaseURL, o.HTTP, o.DialContext = base, settings, nil
	})
}

func TestTLSSettingsAreUsed(t *testing.T) {
	f := &fake{}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := networked(t, server.URL+"/v1/", &witness{}, promconfig.HTTPClientConfig{TLSConfig: promconfig.TLSConfig{CAFile: ca}, EnableHTTP2: true})
	if r, err := c.Read(t.Context(), embeddings(t, minutes(3))); err != nil || book(t, r) != "3" {
		t.Errorf("with the authority: %v", err)
	}
	if got := f.asks()[0].path; got != "/v1/organization/usage/embeddings" {
		t.Errorf("path = %s", got)
	}
}

func TestTheProxyIsUsed(t *testing.T) {
	f := &fake{}
	proxy := httptest.NewServer(f)
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	settings := promconfig.HTTPClientConfig{ProxyConfig: promconfig.ProxyConfig{ProxyURL: promconfig.URL{URL: u}}}
	c := networked(t, "http://nowhere.invalid/v1", &witness{}, settings)
	if r, err := c.Read(t.Context(), embeddings(t, minutes(3))); err != nil || book(t, r) != "3" {
		t.Errorf("through the proxy: %v", err)
	}
}

// A fileKey is a key of the configuration, as a client wants it.
type fileKey struct{ *config.Key }

func (k fileKey) Get() (string, error) {
	s, err := k.Key.Get()
	return s.Reveal(), err
}

func (k fileKey) Read() (string, error) {
	s, err := k.Key.Read()
	return s.Reveal(), err
}

func TestAChangedKeyFileEndsTheWaitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fresh = "sk-admin-the-new-one"
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Authorization") != "Bearer "+fresh && says(401, `{"error":{"code":"invalid_api_key"}}`)(w, r)
		}}
		path := filepath.Join(t.TempDir(), "key")
		seen := &witness{}
		c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.Key = fileKey{config.KeySource{File: path}.Open()} })
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: one(t, &script{})})
		pass(30 * time.Minute)
		if st := status(t, s, "embeddings"); !strings.Contains(st.Error, path+" does not exist") {
			t.Errorf("without a file: %+v", st)
		}
		for _, text := range []string{secret, secret, fresh} {
			// A new file takes the old one's place, as Kubernetes and editors do it. The same key is tried again too.
			if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			before := len(seen.of("embeddings"))
			pass(2 * time.Second)
			polls := seen.of("embeddings")[before:]
			if len(polls) == 0 {
				t.Fatal("the changed file was not noticed within two seconds")
			}
			var e *fetcher.Error
			if err := polls[0].err; text == fresh && err != nil || text == secret && (!errors.As(err, &e) || e.Class != fetcher.ClassUnauthorized) {
				t.Errorf("the poll with the new file: %v", err)
			}
			pass(20*time.Minute - 2*time.Second)
		}
	})
}
