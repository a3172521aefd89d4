package ledger

import (
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// PollWindow is what a poll at this time of the API has to read.
func (f *Feed) PollWindow(now time.Time) Window {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	width := int64(f.options.Width.Duration / time.Second)
	back := now.Add(-f.options.Lookback).Unix()
	from := back
	if f.meta.Started && f.meta.Settled != 0 {
		from = min(from, f.meta.Settled)
	}
	switch {
	case f.options.Endpoint.Stock:
		from = back
	case f.options.Endpoint.IsCosts():
		month := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
		from = min(from, month.Unix())
		if origin, explicit := f.start(now); explicit && !f.meta.Started {
			from = min(from, origin)
		}
		if !f.meta.Started {
			from = min(from, now.Add(-billHistory).Unix())
		}
	default:
		// Hours that ended before the lookback are the audit's. The hour at its edge is read whole when it is not on
		// record, because the ledger starts or the lookback has grown: an hour is on record whole or not at all, else
		// an audit would take the rest of it for growth. It is read whole, too, when it was last held in another width,
		// and after a downtime.
		edge := f.spanOf(back)
		from = max(from, edge)
		if sp := f.spans[edge]; sp == nil || sp.width != width {
			from = edge
		}
	}
	from -= mod(from, width)
	return Window{Width: f.options.Width, From: time.Unix(from, 0).UTC(), shape: f.shape}
}

// billHistory is how far back, beside the running day, the bill is read once when the ledger starts, and how long its
// days are held after that: a month's rhythm can be told from nothing shorter.
const billHistory = 34 * 24 * time.Hour

// start is where counting starts when there is no state; explicit is false for "now".
func (f *Feed) start(now time.Time) (origin int64, explicit bool) {
	if f.options.Start == nil || f.meta.Afresh {
		return 0, false
	}
	t, explicit := f.options.Start(now)
	return t.Unix(), explicit
}

// A round of audits goes through the closed hours from the oldest that may still change to the newest.
type round struct{ cursor, end int64 }

// AuditWindow is the next page of closed hours that is due to be read again.
func (f *Feed) AuditWindow(now time.Time) (Window, bool) {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	o := &f.options
	if o.AuditWindow == 0 || o.Endpoint.Stock || o.Endpoint.IsCosts() || !f.meta.Started {
		return Window{}, false
	}
	hour := int64(time.Hour / time.Second)
	if f.round == nil {
		// The distance is taken both ways because the clock may have been set back.
		if !f.lastAudit.IsZero() && now.Sub(f.lastAudit).Abs() < o.AuditInterval {
			return Window{}, false
		}
		r := &round{
			cursor: min(f.spanOf(now.Add(-o.AuditWindow).Unix()), f.meta.Final),
			end:    f.spanOf(now.Add(-o.Lookback).Unix()),
		}
		if r.cursor >= r.end {
			return Window{}, false
		}
		f.round = r
	}
	// A read is held in memory until it is booked: with very many label sets it takes some hours at a time.
	page := max(min(int64(api.Hour.Max), auditRows/max(int64(f.own), 1)), 1) * hour
	return Window{
		Width: api.Hour,
		From:  time.Unix(f.round.cursor, 0).UTC(),
		To:    time.Unix(min(f.round.cursor+page, f.round.end), 0).UTC(),
		Audit: true,
		shape: f.shape,
	}, true
}

// auditRows is how many rows an audit reads at a time at most, unless one hour has more.
const auditRows = 500_000

// audited moves the round of audits on, past a page that was answered or given up.
func (f *Feed) audited(w Window, asOf time.Time) {
	if !w.Audit || f.round == nil {
		return
	}
	if f.round.cursor = w.To.Unix(); f.round.cursor >= f.round.end {
		f.round, f.lastAudit = nil, asOf
	}
}
