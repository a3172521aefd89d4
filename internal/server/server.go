// Package server answers HTTP: metrics, a status page and its JSON, health, readiness, reload.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// Views shows the ledger. View must not block.
type Views interface{ View() *ledger.View }

// Statuses shows where the polled endpoints stand, all of them. Status must not block.
type Statuses interface{ Status() []fetcher.Status }

// Allowances shows what is left of the budgets of requests, by organization. It must not block.
type Allowances interface {
	Allowances() map[string]fetcher.Allowance
}

// Options are what a server needs.
type Options struct {
	// Addresses to listen on, host:port each.
	Addresses []string
	// WebConfigFile is an exporter-toolkit web configuration (TLS, basic auth); "" for neither.
	WebConfigFile string
	// TelemetryPath is where metrics are, /metrics unless set.
	TelemetryPath string
	// Metrics answers scrapes.
	Metrics http.Handler

	Views    Views
	Statuses Statuses
	// Allowances may be nil.
	Allowances Allowances

	// Books may be nil.
	Books collector.Books
	// Names may be nil.
	Directory collector.Directory

	// Shard is which of several replicas this is.
	Shard shard.Shard
	// Idle says whether there is nothing to poll, which a shard has to be ready with. It may be nil, and must not block.
	Idle func() bool

	// Gateway, of a demo alone, shows what a gateway in front of it has seen, as metrics. It may be nil.
	Gateway http.Handler

	// EnableLifecycle allows POST /-/reload.
	EnableLifecycle bool
	// Reload loads the configuration again and returns why it could not. It must return when its context is done.
	Reload func(context.Context) error

	// Version of the exporter, and when it started.
	Version string
	Started time.Time
	// Config is the effective configuration as text, without secrets: the status page shows it.
	Config func() string

	// Listening is called once with the bound addresses, before the first request is answered.
	Listening func([]net.Addr)
	// Grace is how long requests under way may take once the server is to stop; 5 s unless set.
	Grace time.Duration

	Logger log.Logger
	// WebLogger is for exporter-toolkit and net/http, which can't write to a go-kit logger.
	WebLogger *slog.Logger
	// Now is the clock that everything is shown by, time.Now unless it is the API's or a test's.
	Now func() time.Time
	// Local is the clock that Started and the times of the Statuses are from, Now unless set.
	Local func() time.Time
}

// Limits against clients that are slow or mean. A scrape of the largest organization over a slow line fits the write
// timeout; a connection outlives the pause between two scrapes.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute
	idleTimeout       = 5 * time.Minute
	maxHeaderBytes    = 64 << 10
	defaultGrace      = 5 * time.Second
)

// A Server answers on every one of its addresses.
type Server struct{ options Options }

// New returns a server that does not listen yet.
func New(o Options) *Server {
	if o.TelemetryPath == "" {
		o.TelemetryPath = "/metrics"
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	if o.WebLogger == nil {
		o.WebLogger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Local == nil {
		o.Local = o.Now
	}
	if o.Started.IsZero() {
		o.Started = o.Local()
	}
	return &Server{options: o}
}

// Check says what would keep a server with these options from serving, apart from its addresses.
func Check(o Options) error {
	return errors.Join(checkTelemetryPath(o.TelemetryPath), checkWebConfig(o.WebConfigFile))
}

// Serve listens and answers until ctx is done, lets requests under way finish, and returns nil; or it returns why it
// could not.
func (s *Server) Serve(ctx context.Context) error {
	if err := Check(s.options); err != nil {
		return err
	}
	handler := s.handler()
	listeners, err := listen(ctx, s.options.Addresses)
	if err != nil {
		return err
	}
	// One http.Server per address: exporter-toolkit writes to the server that it serves.
	servers := make([]*http.Server, len(listeners))
	ended := make(chan error, len(listeners))
	addresses := make([]net.Addr, len(listeners))
	limited := make([]*boundedListener, len(listeners))
	for i, l := range listeners {
		defer l.Close()
		addresses[i], limited[i] = l.Addr(), newBoundedListener(l)
		servers[i] = &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ConnState:         limited[i].state,
			ErrorLog:          slog.NewLogLogger(s.options.WebLogger.Handler(), slog.LevelWarn),
		}
	}
	if s.options.Listening != nil {
		s.options.Listening(addresses)
	}
	for i, l := range limited {
		go func() {
			ended <- web.Serve(l, servers[i], &web.FlagConfig{WebConfigFile: &s.options.WebConfigFile}, s.options.WebLogger)
		}()
	}

	running := len(servers)
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-ended: // One address that fails takes the others with it.
		running--
	}
	s.shutdown(ctx, servers)
	for range running {
		// What a server says after Shutdown is ErrServerClosed, and that is success.
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return fmt.Errorf("serve: %w", failed)
	}
	return nil
}

// shutdown stops all servers at once and cuts off what is still under way after the grace.
func (s *Server) shutdown(ctx context.Context, servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Grace)
	defer cancel()
	var all sync.WaitGroup
	for _, srv := range servers {
		all.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				srv.Close()
				level.Info(s.options.Logger).Log("msg", "Requests still under way at the end were cut off", "grace", s.options.Grace)
			}
		})
	}
	all.Wait()
}

// listen binds all addresses, or none.
func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	if len(addresses) == 0 {
		return nil, errors.New("no address to listen on: set --web.listen-address")
	}
	var listeners []net.Listener
	for _, a := range addresses {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", a)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, fmt.Errorf("listen on %s: %w; see --web.listen-address", a, Plainly(err))
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// Plainly leaves out of an error of listening what the message around it says already.
func Plainly(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var address *net.AddrError
	if errors.As(err, &address) {
		return errors.New(address.Err)
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
