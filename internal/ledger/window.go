package ledger

import (
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// billHistory is how far back, beside the running day, the bill is read once when the ledger starts, and how long its
// days are held after that: a month's rhythm can be told from nothing shorter.
const (
	billHistory = 34 * 24 * time.Hour
	billDays    = int64(billHistory / time.Second)
)

// stockDays is how far back levels are read once when the ledger starts, for the days that a settled bill is compared with.
const stockDays = 5 * secondsOfDay

// pollFrom is where a poll begins to read. held is the width in which a span is on record, or 0; origin is where counting
// is to begin, if that is fixed.
func (m marks) pollFrom(now, origin int64, fixed bool, to reach, held func(span int64) int64) int64 {
	back := now - to.lookback
	from := back
	if m.Begun && m.Settled != 0 {
		from = min(from, m.Settled)
	}
	switch {
	case to.level:
		if from = back; !m.Begun {
			from = min(from, now-stockDays)
		}
	case to.bill:
		t := time.Unix(now, 0).UTC()
		from = min(from, time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Unix())
		if fixed && !m.Begun {
			from = min(from, origin)
		}
		if !m.Begun {
			from = min(from, now-billDays)
		}
	default:
		// Hours that ended before the lookback are the audit's. The hour at its edge is read whole when it is not on
		// record, because the ledger starts or the lookback has grown: see what the marks hold to. It is read whole, too,
		// when it was last held in another width, and after a downtime.
		edge := to.spanOf(back)
		from = max(from, edge)
		if held(edge) != to.width {
			from = edge
		}
	}
	return from - mod(from, to.width)
}

// round is the next round of audits: from the oldest hour that may still change to the newest that lies wholly outside
// what polls read.
func (m marks) round(now int64, to reach) round {
	return round{min(to.spanOf(now-to.audits), m.Final), to.spanOf(now - to.lookback)}
}

// A round of audits goes through the closed hours from the oldest that may still change to the newest.
type round struct{ cursor, end int64 }

// PollWindow is what a poll at this time of the API has to read.
func (f *Feed) PollWindow(now time.Time) Window {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	w, due, told := f.probe(now)
	if due {
		return w
	}
	origin, fixed := f.origin(now)
	from := f.meta.pollFrom(now.Unix(), origin, fixed, f.reach(), func(span int64) int64 {
		if sp := f.spans[span]; sp != nil {
			return sp.width
		}
		return 0
	})
	return Window{Width: f.options.Width, From: time.Unix(from, 0).UTC(), shape: f.shape, told: told, fingerprints: f.fingerprintsOf(from, now.Unix(), seconds(f.options.Width.Duration))}
}

// origin is where counting starts when there is no state; fixed is false for "now".
func (f *Feed) origin(now time.Time) (origin int64, fixed bool) {
	if f.options.CountersStart == nil || f.meta.Afresh {
		return 0, false
	}
	if !f.meta.Begun && f.meta.CountsFrom != 0 {
		return f.meta.CountsFrom, true
	}
	t, fixed := f.options.CountersStart(now)
	return t.Unix(), fixed
}

// reach is how far back the endpoint is read and kept.
func (f *Feed) reach() reach {
	o := &f.options
	r := reach{
		span:     int64(time.Hour / time.Second),
		width:    seconds(o.Width.Duration),
		lookback: seconds(o.Lookback),
		audits:   seconds(o.AuditWindow),
		idle:     seconds(f.ledger.settings.IdleRetention),
		bill:     o.Endpoint.IsCosts(),
		level:    o.Endpoint.Stock,
	}
	if r.bill {
		r.span = seconds(api.CostDay.Duration)
	}
	return r
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// AuditWindow is the next page of closed hours that is due to be read again, or of older days of the bill that are due to
// be read at all.
func (f *Feed) AuditWindow(now time.Time) (Window, bool) {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	o := &f.options
	if o.Endpoint.IsCosts() {
		return f.olderBill(now)
	}
	if o.AuditWindow == 0 || o.Endpoint.Stock || !f.meta.Begun {
		return Window{}, false
	}
	newest := f.meta.round(now.Unix(), f.reach()).end
	if f.round != nil {
		// A Date that was ahead planned further than there is anything to audit, into what polls read.
		if f.round.end = min(f.round.end, newest); f.round.cursor >= f.round.end {
			f.round = nil
		}
	}
	if f.round == nil {
		// The distance is taken both ways because the clock may have been set back.
		if !f.lastAudit.IsZero() && now.Sub(f.lastAudit).Abs() < o.AuditInterval {
			return Window{}, false
		}
		r := f.meta.round(now.Unix(), f.reach())
		if r.cursor >= r.end {
			return Window{}, false
		}
		f.round = &r
	}
	page := auditHours(f.own) * seconds(time.Hour)
	from, to := f.round.cursor, min(f.round.cursor+page, f.round.end)
	return Window{
		Width: api.Hour, From: time.Unix(from, 0).UTC(), To: time.Unix(to, 0).UTC(), Audit: true,
		shape: f.shape, fingerprints: f.fingerprintsOf(from, to, seconds(time.Hour)),
	}, true
}

// auditRows is how many rows an audit reads at a time at most, unless one hour has more.
const auditRows = 500_000

// auditHours is how many hours an audit reads at a time. A read is held in memory until it is booked: with very many label
// sets these are few.
func auditHours(labelSets int) int64 {
	return max(min(int64(api.Hour.Max), auditRows/max(int64(labelSets), 1)), 1)
}

// audited moves the round of audits on, past a page that was answered or given up.
func (f *Feed) audited(w Window, asOf time.Time) {
	if !w.Audit || f.round == nil {
		return
	}
	if f.round.cursor = w.To.Unix(); f.round.cursor >= f.round.end {
		f.round, f.lastAudit = nil, asOf
	}
}
