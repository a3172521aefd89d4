package exporter

import (
	"context"
	"net/http"
	"sync"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// UnservedOptions are what the whole needs where nobody serves it.
type UnservedOptions struct {
	Load        func() (*config.Valid, error)
	StoragePath string
	// Transport answers the requests of an organization in place of HTTP.
	Transport func(organization string) http.RoundTripper
	Logger    log.Logger
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
	e := &exporter{load: o.Load, logger: o.Logger, shard: shard.Shard{Count: 1}, transport: o.Transport, reloading: make(chan struct{}, 1)}
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

// Stop ends everything and closes the state.
func (u *Unserved) Stop() error {
	u.cancel()
	u.e.scheduler.Close()
	u.background.Wait()
	return u.e.ledger.Close()
}
