package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
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

// serveCommand is the main job, and the default command.
type serveCommand struct {
	configFile    string
	configCheck   bool
	storagePath   string
	addresses     []string
	webConfigFile string
	telemetryPath string
	lifecycle     bool
	demo          bool
	shard         shard.Shard
}

func newServeCommand(app *kingpin.Application) *serveCommand {
	c := &serveCommand{}
	cmd := app.Command("serve", "Poll the API and serve metrics. This is the default command.").Default()
	cmd.Flag("config.file", "Configuration file. Without one the admin key is taken from $"+config.DefaultKeyEnv+".").PlaceHolder("FILE").StringVar(&c.configFile)
	cmd.Flag("config.check", "Check the configuration and exit.").BoolVar(&c.configCheck)
	cmd.Flag("storage.path", "Directory of the state, which keeps counters exact over restarts.").Default("data").StringVar(&c.storagePath)
	cmd.Flag("web.listen-address", "Address to listen on. Repeatable.").Default(defaultListen).StringsVar(&c.addresses)
	cmd.Flag("web.config.file", "Web configuration file (TLS, basic auth), see the exporter-toolkit's documentation.").PlaceHolder("FILE").StringVar(&c.webConfigFile)
	cmd.Flag("web.telemetry-path", "Path under which to expose metrics.").Default("/metrics").StringVar(&c.telemetryPath)
	cmd.Flag("web.enable-lifecycle", "Enable reload via HTTP request.").BoolVar(&c.lifecycle)
	c.shard = shard.Shard{Count: 1}
	cmd.Flag("shard", "Which one of how many replicas this is, counted from 0: 0/3 is the first of three. Each polls what no other does. All there is by default.").PlaceHolder("I/N").SetValue(shardValue{&c.shard})
	cmd.Flag("shard.by", "What stays together on one replica: an organization, or an endpoint of one.").Default(string(shard.Organization)).EnumVar((*string)(&c.shard.Unit), string(shard.Organization), string(shard.Endpoint))
	cmd.Flag("demo", "Serve a simulated organization: no key needed, state in a temporary directory.").BoolVar(&c.demo)
	return c
}

func (c *serveCommand) run(ctx context.Context, logger log.Logger, slogger *slog.Logger, stdout io.Writer) error {
	load := func() (*config.Valid, error) { return config.Default(), nil }
	if c.configFile != "" {
		load = func() (*config.Valid, error) { return config.Load(c.configFile) }
	}
	if c.demo {
		if c.configFile != "" {
			return errors.New("--demo has a configuration of its own: leave out --config.file")
		}
		d, err := startDemo(ctx, logger)
		if err != nil {
			return fmt.Errorf("start demo: %w", err)
		}
		defer d.stop()
		load, c.storagePath = d.load, d.dir
	}
	valid, err := load()
	if err != nil {
		return err
	}
	warn := func() {
		for _, w := range valid.Warnings() {
			level.Warn(logger).Log("msg", "Check the configuration", "warning", w)
		}
	}
	if c.configCheck {
		if _, err := moneySettings(valid); err != nil {
			return err
		}
		warn()
		_, err := fmt.Fprintln(stdout, "The configuration is valid")
		return err
	}

	limitMemory(logger, memlimit.FromCgroup)
	e := &exporter{load: load, logger: logger, shard: c.shard, reloading: make(chan struct{}, 1)}
	e.books = spend.New(e)
	e.collector = collector.New(collector.Options{
		Views: e, Statuses: e, Names: e, Books: e.books, StateBytes: e.stateBytes,
		Shard: c.shard.Index, Shards: c.shard.Count, Logger: logger, Now: e.now,
	})
	e.watch = newWatch(e.collector, e, logger)
	if e.ledger, err = ledger.Open(ledger.Options{Dir: c.storagePath, Logger: logger, Committed: e.collector.Commit}); err != nil {
		return err
	}
	// The ledger goes last: whatever a poll still books on its way out is committed.
	defer func() {
		if err := e.ledger.Close(); err != nil {
			level.Error(logger).Log("msg", "The state was not closed cleanly", "err", err)
		}
	}()
	e.directory = directory.Open(c.storagePath, logger)
	e.scheduler = fetcher.NewScheduler(fetcher.SchedulerOptions{Logger: logger, Observer: e.watch})
	plan, err := e.plan(valid)
	if err != nil {
		return err
	}
	warn() // Only now, so that an error that says the same stands alone.

	srv := server.New(server.Options{
		Addresses: c.addresses, WebConfigFile: c.webConfigFile, TelemetryPath: c.telemetryPath,
		Metrics: e.collector.Handler(), Views: e, Statuses: e, Allowances: e.scheduler, Books: e.books,
		Shard: c.shard, Idle: e.idle,
		EnableLifecycle: c.lifecycle, Reload: e.reload,
		Version: version.Version, Started: time.Now(), Config: e.config,
		// Nothing is asked of the API before the addresses are known to be free.
		Listening: func(addresses []net.Addr) {
			for _, a := range addresses {
				level.Info(logger).Log("msg", "Listening", "address", a, "version", version.Version)
			}
			e.start(plan)
			if c.demo {
				level.Info(logger).Log("msg", "Demo of a simulated organization", "open", "http://"+visitable(addresses[0])+"/", "metrics", "http://"+visitable(addresses[0])+c.telemetryPath)
			}
		},
		Logger: logger, WebLogger: slogger, Now: e.now, Local: time.Now,
	})
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	background.Go(func() { e.ledger.Run(ctx) })
	background.Go(func() { e.reloadOnHangup(ctx) })
	err = srv.Serve(ctx)
	cancel()
	e.scheduler.Close()
	background.Wait()
	if err == nil {
		level.Info(logger).Log("msg", "Stopped")
	}
	return err
}

// visitable is the address as a person on this machine can open it.
func visitable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err != nil || ip != nil && !ip.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", port)
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
	scheduler *fetcher.Scheduler

	current atomic.Pointer[plan]
	// reloading admits one reload at a time. It is a channel so that who waits for it can give up.
	reloading chan struct{}
}

// View and Status show what there is, for the collector and the server.
func (e *exporter) View() *ledger.View { return e.ledger.View() }

// Snapshot shows what the look-ups have found.
func (e *exporter) Snapshot() *directory.Snapshot { return e.directory.Snapshot() }

// Status is empty until the first configuration has been put to work.
func (e *exporter) Status() []fetcher.Status { return e.scheduler.Status() }

// idle says whether nothing of the configuration falls to this shard.
func (e *exporter) idle() bool {
	p := e.current.Load()
	return p != nil && len(p.organizations) == 0
}

func (e *exporter) stateBytes() int64 { return e.ledger.Bytes() }

// now is the API's time where its answers have shown that the local clock is wrong: the day of "cost today" turns with
// the API's. Every organization's API is on UTC, so the first one speaks for all.
func (e *exporter) now() time.Time {
	p := e.current.Load()
	if p == nil || len(p.organizations) == 0 {
		return time.Now()
	}
	return p.organizations[0].Client.Now()
}

func (e *exporter) config() string { return string(e.current.Load().config.Redacted()) }

// reload loads the configuration again. All that can fail is done before anything changes: on an error the running
// configuration stays.
func (e *exporter) reload(ctx context.Context) error {
	select {
	case e.reloading <- struct{}{}:
		defer func() { <-e.reloading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := func() error {
		valid, err := e.load()
		if err != nil {
			return err
		}
		next, err := e.plan(valid)
		if err != nil {
			return err
		}
		for _, w := range valid.Warnings() {
			level.Warn(e.logger).Log("msg", "Check the configuration", "warning", w)
		}
		e.start(next)
		return nil
	}()
	e.collector.Reload(err == nil, time.Now())
	if err != nil {
		level.Error(e.logger).Log("msg", "The configuration was not reloaded, the running one stays", "err", err)
		return err
	}
	level.Info(e.logger).Log("msg", "Configuration reloaded")
	return nil
}

func (e *exporter) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = e.reload(ctx) // It has said what went wrong, in the log and in a metric.
		}
	}
}
