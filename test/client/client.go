// Package client gives tests of other packages a client of a simulated API.
package client

import (
	"net/http"
	"net/http/httptest"
	"testing"

	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

// Key is a key that never changes.
type Key string

// Get returns the key.
func (k Key) Get() (string, error) { return string(k), nil }

// Read returns the key.
func (k Key) Read() (string, error) { return string(k), nil }

// Changed is false.
func (k Key) Changed() bool { return false }

// New returns a client of the organization acme that reads what api serves, with a budget that no test uses up.
func New(t testing.TB, api http.Handler) *fetcher.Client {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	c, err := fetcher.NewClient(fetcher.ClientOptions{
		Organization: "acme", BaseURL: server.URL + "/v1", Key: Key("sk-admin-0123456789"), RequestsPerMinute: 1 << 20,
		HTTP: promconfig.DefaultHTTPClientConfig,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
