package exporter

import (
	"context"
	"time"

	"github.com/go-kit/log/level"
)

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
		warn(e.logger, valid)
		if was, is := e.current.Load().config.Counters().Start, valid.Counters().Start; !is.Equal(was) {
			level.Info(e.logger).Log("msg", "A changed counters.start has no effect on existing state", "configured", is, "before", was)
		}
		e.start(next)
		return nil
	}()
	e.collector.Reload(err == nil, time.Now())
	if err != nil {
		level.Error(e.logger).Log("msg", "The configuration was not reloaded, and the previous one stays in use", "err", err)
		return err
	}
	level.Info(e.logger).Log("msg", "Configuration reloaded")
	return nil
}

func (e *exporter) reloadOnHangup(ctx context.Context, started <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-started: // Before that the plan of the start would take the place of the reloaded one.
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.hangup:
			_ = e.reload(ctx) // It has said what went wrong, in the log and in a metric.
		}
	}
}
