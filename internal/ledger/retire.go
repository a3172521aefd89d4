package ledger

import "time"

// fold lets go of the spans that every window has left behind. They stay in the totals.
func (st *stage) fold() {
	f := st.f
	limit := st.meta.Final
	if f.options.AuditWindow > 0 {
		// A window that grew reads again what is already final. It must stay on record, else it would be met anew.
		limit = min(limit, f.spanOf(st.closed()-int64(f.options.AuditWindow/time.Second)))
	}
	limit = min(limit, f.keepFrom(st.closed()))
	drop := func(at int64, sp *span) {
		if sp == nil || at >= limit {
			return
		}
		for start, bucket := range sp.buckets {
			st.buckets[bucketKey{start, sp.width}] = nil
			// The estimate of a day is that of the hours on record, before and after a restart.
			if cells, _, err := st.decode(bucket); err == nil && f.options.estimates() {
				st.estimate(start, cells, nil)
			}
		}
		st.spans[at] = nil
	}
	for at, sp := range st.spans {
		drop(at, sp)
	}
	for at, sp := range f.spans {
		if _, staged := st.spans[at]; !staged {
			drop(at, sp)
		}
	}
	for hash, seen := range f.folded {
		if _, staged := st.folded[hash]; !staged && seen < limit {
			st.folded[hash] = 0
		}
	}
}

// keepFrom is the time from which spans stay on record although no window reads them any more, because the view shows
// them: days of the bill for prices and forecasts, hours of usage for the estimates of the last days. A series must not
// be retired while a record names it, which bounds how long.
func (f *Feed) keepFrom(asOf int64) int64 {
	keep := f.spanOf(asOf - int64(billHistory/time.Second))
	if !f.options.Endpoint.IsCosts() {
		keep = asOf - mod(asOf, secondsOfDay) - 2*secondsOfDay
	}
	return max(keep, asOf-int64(f.ledger.settings.IdleRetention/time.Second))
}

// retire drops series that have been idle for so long that no window has them any more. Idleness is measured against
// what was read and will not be read again, so that neither a downtime nor a jump of the clock looks like idleness.
func (st *stage) retire() {
	f := st.f
	through := min(st.meta.Final, st.closed()-int64(f.options.AuditWindow/time.Second))
	retention := int64(f.ledger.settings.IdleRetention / time.Second)
	for _, s := range f.list {
		if c, staged := st.series[s.id]; staged {
			s = c
		}
		if s != nil && through-s.seen > retention {
			st.series[s.id] = nil
		}
	}
}
