package ledger

import (
	"time"

	"github.com/go-kit/log/level"
)

// start fixes where counting begins, with the first read of a shape.
func (st *stage) start(r *Read, from int64) {
	f, m := st.f, &st.meta
	m.Started = true
	m.StartedAt = r.AsOf.Unix()
	origin, explicit := f.start(r.AsOf)
	st.explicit = explicit
	m.CountsFrom, m.Fixed = origin, explicit
	if !explicit {
		m.CountsFrom = m.StartedAt
		// What this read says is the baseline. A bucket that it does not have is one of which the API says nothing
		// yet, so all of it will count.
		origin = from
	}
	m.Origin = origin
	// Hours before the start belong to the audit window too: they have a baseline and may still grow.
	m.Final = f.spanOf(min(origin, from, st.asOf-int64(f.options.AuditWindow/time.Second)))
	m.Afresh = false
	m.Start = f.options.StartText
	if explicit {
		unit := "UTC hour"
		if f.options.Endpoint.IsCosts() {
			unit = "UTC day"
		}
		level.Info(f.logger()).Log("msg", "Ledger started", "counts_from", time.Unix(origin, 0).UTC().Format(time.RFC3339), "floored_to", unit)
	} else {
		level.Info(f.logger()).Log("msg", "Ledger started", "counts_from", "now")
	}
}

// advance moves the feed's marks forward.
func (st *stage) advance(r *Read, from, through int64) {
	f, m := st.f, &st.meta
	if st.gap != 0 {
		through = min(through, st.gap) // What is missing stays open.
	}
	settled := min(through, st.asOf) - int64(f.options.Lookback/time.Second)
	switch {
	case r.Window.Audit:
		m.Audited = max(m.Audited, through)
		// A round that was interrupted goes on later than it began: what lies between was not read again since.
		if from <= m.Final {
			m.Final = max(m.Final, min(through, f.spanOf(st.closed()-int64(f.options.AuditWindow/time.Second))))
		}
	case f.options.Endpoint.IsCosts():
		m.Settled = settled
		m.Final = max(m.Final, from)
	default:
		m.Settled = settled
	}
}

// closed is the time up to which buckets are over by what was read of them. A clock that is ahead says more, for a while.
func (st *stage) closed() int64 {
	if st.meta.ReadThrough == 0 {
		return st.asOf
	}
	return min(st.asOf, st.meta.ReadThrough)
}
