package exporter

import (
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

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

// zeroHold is how long a step is shown as zero first.
func (e *exporter) zeroHold() time.Duration {
	p := e.current.Load()
	if p == nil {
		return 0
	}
	return p.config.Counters().ZeroHold
}

func (e *exporter) config() string { return string(e.current.Load().config.Redacted()) }
