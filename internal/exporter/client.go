package exporter

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/go-kit/log"
	"github.com/prometheus/common/version"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
)

// NewClient makes the client of an organization, for the exporter and for the commands that read the past.
func NewClient(o config.Organization, observer fetcher.Observer, logger log.Logger) (*fetcher.Client, error) {
	return newClient(o, observer, logger, nil)
}

// newClient makes a client whose requests the transport answers, if there is one.
func newClient(o config.Organization, observer fetcher.Observer, logger log.Logger, transport http.RoundTripper) (*fetcher.Client, error) {
	// An environment variable never changes, so a key that is missing there is no use waiting for; a file may come.
	if o.Key.Env != "" {
		if strings.TrimSpace(os.Getenv(o.Key.Env)) == "" {
			return nil, fmt.Errorf("no admin key: set %s to an admin key with the scope api.usage.read, name a file with api_key_file in the configuration, or try --demo", o.Key.Env)
		}
		if _, err := o.Key.Read(); err != nil {
			return nil, fmt.Errorf("no admin key: %w", err)
		}
	}
	return fetcher.NewClient(fetcher.ClientOptions{
		Organization:      o.Name,
		BaseURL:           o.BaseURL,
		Key:               key{o.Key.Open()},
		RequestsPerMinute: o.RequestsPerMinute,
		HTTP:              o.HTTP.Config(),
		Version:           version.Version,
		Logger:            log.With(logger, "organization", o.Name),
		Observer:          observer,
		Transport:         transport,
	})
}

// key reveals the admin key to the client alone.
type key struct{ *config.Key }

func (k key) Get() (string, error) { return reveal(k.Key.Get()) }

func (k key) Read() (string, error) { return reveal(k.Key.Read()) }

func reveal(s config.Secret, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return s.Reveal(), nil
}
