// Package exporter is the running whole: it loads a configuration, makes a plan of it, starts that, reloads and stops.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/server"
	"github.com/openai-exporter/openai_exporter/internal/shard"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// Options are what the command line says about the whole.
type Options struct {
	ConfigFile  string // "" takes the default configuration
	StoragePath string
	// Demo serves a simulated organization, with a configuration and a directory of its own in place of those above.
	Demo      bool
	demoStart time.Time    // what time it is there at first; zero for now
	gateway   http.Handler // of the demo
	Shard     shard.Shard

	Addresses       []string
	WebConfigFile   string
	TelemetryPath   string
	EnableLifecycle bool

	Logger    log.Logger
	WebLogger *slog.Logger
}

// load reads the configuration.
func (o Options) load() (*config.Valid, error) {
	if o.ConfigFile == "" {
		return config.Default(), nil
	}
	return config.Load(o.ConfigFile)
}

// Check reads a configuration as Run does, and starts nothing.
func Check(ctx context.Context, o Options) error {
	load := o.load
	if o.Demo {
		d, err := startDemo(ctx, o.Logger, o.demoStart)
		if err != nil {
			return fmt.Errorf("start demo: %w", err)
		}
		defer d.stop()
		load = d.load
	}
	valid, err := load()
	if err == nil {
		_, err = moneySettings(valid)
		for _, o := range valid.Organizations() {
			if _, httpErr := promconfig.NewRoundTripperFromConfig(o.HTTP.Config(), "openai_"+o.Name); httpErr != nil {
				err = errors.Join(err, fmt.Errorf("organization %s: set up http: %w", o.Name, httpErr))
			}
		}
	}
	// Everything that is wrong is said at once.
	err = errors.Join(err, server.Check(server.Options{WebConfigFile: o.WebConfigFile, TelemetryPath: o.TelemetryPath}))
	if valid != nil {
		warn(o.Logger, valid)
	}
	return err
}

// warn says what of a valid configuration is probably not meant.
func warn(logger log.Logger, valid *config.Valid) {
	for _, w := range valid.Warnings() {
		level.Warn(logger).Log("msg", "Check the configuration", "warning", w)
	}
}

// An exporter is the running whole: it carries a configuration into the ledger and the scheduler.
type exporter struct {
	load      func() (*config.Valid, error)
	logger    log.Logger
	shard     shard.Shard
	collector *collector.Collector
	watch     *watch
	ledger    *ledger.Ledger
	directory *directory.Directory
	books     *spend.Books
	regions   *regions
	scheduler *fetcher.Scheduler
	seams     seams

	current atomic.Pointer[plan]
	// warnedProjects are the mentions of projects that the log has named because nobody has them.
	warnedProjects sync.Map
	// reloading admits one reload at a time. It is a channel so that who waits for it can give up.
	reloading chan struct{}
	hangup    chan os.Signal
}

// Run polls and serves until the context ends.
func Run(ctx context.Context, o Options) error {
	e := &exporter{load: o.load, logger: o.Logger, shard: o.Shard, reloading: make(chan struct{}, 1), hangup: make(chan os.Signal, 1)}
	// A hangup while it starts is not the end of it, but a reload once it has started.
	signal.Notify(e.hangup, syscall.SIGHUP)
	defer signal.Stop(e.hangup)
	if o.Demo {
		d, err := startDemo(ctx, o.Logger, o.demoStart)
		if d == nil && ctx.Err() != nil {
			return nil // It was told to stop before there was anything to stop.
		}
		if err != nil {
			return fmt.Errorf("start demo: %w", err)
		}
		defer d.stop()
		e.load, o.StoragePath, o.gateway = d.load, d.dir, d.gateway
	}
	valid, err := e.load()
	if err != nil {
		return err
	}

	if err := limitMemory(o.WebLogger, memlimit.FromCgroup); err != nil {
		return err
	}
	if err := e.open(o.StoragePath); err != nil {
		return err
	}
	// The ledger goes last: whatever a poll still books on its way out is committed.
	defer func() {
		if err := e.ledger.Close(); err != nil {
			level.Error(o.Logger).Log("msg", "The state was not closed cleanly", "err", err)
		}
	}()
	plan, err := e.plan(valid)
	if err != nil {
		return err
	}
	warn(o.Logger, valid) // Only now, so that an error that says the same stands alone.

	err = e.serve(ctx, o, plan)
	if err == nil {
		level.Info(o.Logger).Log("msg", "Stopped")
	}
	return err
}

// open opens the state and wires together what works on it.
func (e *exporter) open(dir string) (err error) {
	e.books = spend.New(e)
	e.collector = collector.New(collector.Options{
		Views: e, Statuses: e, Directory: e, Books: e.books, StateBytes: e.stateBytes,
		Shard: e.shard.Index, Shards: e.shard.Count, Logger: e.logger, Now: e.now, ZeroHold: e.zeroHold,
	})
	e.watch = newWatch(e.collector, e, e.logger)
	e.watch.listed = e.unknownProjects
	if e.ledger, err = ledger.Open(ledger.Options{Dir: dir, Logger: e.logger, Committed: e.collector.Commit, Pace: commitPace}); err != nil {
		return err
	}
	e.directory = directory.Open(dir, e.logger)
	e.regions = &regions{snapshots: e}
	e.scheduler = fetcher.NewScheduler(fetcher.SchedulerOptions{Logger: e.logger, Observer: e.watch})
	return nil
}

// serve starts the plan once the addresses are known to be free, and returns when everything that it started has ended.
func (e *exporter) serve(ctx context.Context, o Options, p *plan) error {
	started := make(chan struct{})
	srv := server.New(server.Options{
		Addresses: o.Addresses, WebConfigFile: o.WebConfigFile, TelemetryPath: o.TelemetryPath,
		Metrics: e.collector.Handler(), Views: e, Statuses: e, Allowances: e.scheduler, Books: e.books, Directory: e,
		Shard: e.shard, Idle: e.idle, Gateway: o.gateway,
		EnableLifecycle: o.EnableLifecycle, Reload: e.reload,
		Version: version.Version, Started: time.Now(), Config: e.config,
		// Nothing is asked of the API before the addresses are known to be free.
		Listening: func(addresses []net.Addr) {
			for _, a := range addresses {
				level.Info(e.logger).Log("msg", "Listening", "address", a, "version", version.Version)
			}
			e.start(p)
			close(started)
			if o.Demo {
				open := server.Scheme(o.WebConfigFile) + "://" + visitable(addresses[0])
				level.Info(e.logger).Log("msg", "Demo of a simulated organization", "open", open+"/", "metrics", open+o.TelemetryPath)
			}
		},
		Logger: e.logger, WebLogger: o.WebLogger, Now: e.now, Local: time.Now,
	})
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	background.Go(func() { e.ledger.Run(ctx) })
	background.Go(func() { e.reloadOnHangup(ctx, started) })
	err := srv.Serve(ctx)
	cancel()
	e.scheduler.Close()
	background.Wait()
	return err
}

// start puts a plan to work.
func (e *exporter) start(p *plan) {
	e.current.Store(p)
	e.scheduler.Apply(p.organizations)
	if e.shard.Sharded() {
		level.Info(e.logger).Log("msg", "Polling the part of the work that belongs to this shard", "shard", e.shard, "by", e.shard.Unit, "organizations", len(p.organizations), "of", len(p.config.Organizations()))
	}
	for _, o := range p.organizations {
		level.Debug(e.logger).Log("msg", "Polling", "organization", o.Name, "endpoints", len(o.Endpoints))
	}
}

// commitPace lets the polls of many organizations share commits. Each syncs the disk twice, which makes at most 14 syncs a
// second. A commit that comes alone does not wait.
const commitPace = 150 * time.Millisecond

// visitable is the address as a person on this machine can open it.
func visitable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err != nil || ip != nil && !ip.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", port)
}
