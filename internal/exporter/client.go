package exporter

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/common/version"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
)

// NewClient makes the client of an organization, for the exporter and for the commands that read the past.
func NewClient(o config.Organization, observer fetcher.Observer, logger log.Logger) (*fetcher.Client, error) {
	return newClient(o, observer, logger, seams{})
}

// seams are where a simulation takes the place of chance and of the network. All of them may be nil.
type seams struct {
	transport func(organization string) http.RoundTripper
	jitter    func(organization string, limit time.Duration) time.Duration
	feed      func(organization, endpoint string, f fetcher.Feed) fetcher.Feed
}

func newClient(o config.Organization, observer fetcher.Observer, logger log.Logger, s seams) (*fetcher.Client, error) {
	// An environment variable never changes, so a key that is missing there is no use waiting for; a file may come.
	if o.Key.Env != "" {
		if strings.TrimSpace(os.Getenv(o.Key.Env)) == "" {
			return nil, fmt.Errorf("no admin key: set %s to an admin key with the scope api.usage.read, name a file with api_key_file in the configuration, or try --demo", o.Key.Env)
		}
		if _, err := o.Key.Read(); err != nil {
			return nil, fmt.Errorf("no admin key: %w", err)
		}
	}
	options := fetcher.ClientOptions{
		Organization:      o.Name,
		BaseURL:           o.BaseURL,
		Key:               key{o.Key.Open()},
		RequestsPerMinute: o.RequestsPerMinute,
		HTTP:              o.HTTP.Config(),
		Version:           version.Version,
		Logger:            log.With(logger, "organization", o.Name),
		Observer:          observer,
	}
	if s.transport != nil {
		options.Transport = s.transport(o.Name)
	}
	if s.jitter != nil {
		options.Jitter = func(limit time.Duration) time.Duration { return s.jitter(o.Name, limit) }
	}
	return fetcher.NewClient(options)
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
