package exporter

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// UnservedOptions are what the whole needs where nobody serves it.
type UnservedOptions struct {
	Load        func() (*config.Valid, error)
	StoragePath string
	// Transport answers the requests of an organization in place of HTTP.
	Transport func(organization string) http.RoundTripper
	// Jitter draws a pause below the limit in place of chance. It may be nil.
	Jitter func(organization string, limit time.Duration) time.Duration
	// Feed stands between what is read and the ledger, and sees what is booked. What it returns for a feed must be the
	// same each time. It may be nil.
	Feed   func(organization, endpoint string, f fetcher.Feed) fetcher.Feed
	Logger log.Logger
}

// An Unserved is the running whole without a server and without signals, for a simulation that brings a clock and an
// API of its own.
type Unserved struct {
	e          *exporter
	cancel     context.CancelFunc
	background sync.WaitGroup
}

// StartUnserved opens the state, loads the configuration and starts to poll.
func StartUnserved(o UnservedOptions) (*Unserved, error) {
	e := &exporter{load: o.Load, logger: o.Logger, shard: shard.Shard{Count: 1}, seams: seams{o.Transport, o.Jitter, o.Feed}, reloading: make(chan struct{}, 1)}
	valid, err := e.load()
	if err != nil {
		return nil, err
	}
	if err := e.open(o.StoragePath); err != nil {
		return nil, err
	}
	p, err := e.plan(valid)
	if err != nil {
		_ = e.ledger.Close() // The error before it says what is wrong.
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	u := &Unserved{e: e, cancel: cancel}
	u.background.Go(func() { e.ledger.Run(ctx) })
	e.start(p)
	return u, nil
}

// Reload loads the configuration again, as a signal does.
func (u *Unserved) Reload(ctx context.Context) error { return u.e.reload(ctx) }

// Metrics is the exposition.
func (u *Unserved) Metrics() http.Handler { return u.e.collector.Handler() }

// Status says where polls and look-ups stand.
func (u *Unserved) Status() []fetcher.Status { return u.e.Status() }

// View is what the ledger shows.
func (u *Unserved) View() *ledger.View { return u.e.View() }

// A Pricer says what rows are estimated to cost, and how much of them has no price.
type Pricer = func(groupBy []string, labels []ledger.Label) ledger.Rate

// Pricer prices the rows of an endpoint as they are priced when they are booked.
func (u *Unserved) Pricer(organization string, e *api.Endpoint) Pricer {
	return u.e.books.Pricer(organization, e)
}

// Stop ends everything and closes the state.
func (u *Unserved) Stop() error {
	u.cancel()
	u.e.scheduler.Close()
	u.background.Wait()
	return u.e.ledger.Close()
}
