package ledger

// fold removes the record of spans that no poll and no audit reads any more. Their usage stays in the totals.
func (st *stage) fold() {
	f := st.f
	limit := st.meta.keep(st.asOf, f.reach())
	drop := func(at int64, sp *span) {
		if sp == nil || at >= limit {
			return
		}
		for _, b := range sp.buckets {
			st.buckets[bucketKey{b.start, sp.width}] = nil
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

// retire drops series that have been idle for so long that no window has them any more.
func (st *stage) retire() {
	f := st.f
	to := f.reach()
	through := st.meta.left(st.asOf, to)
	for _, s := range f.list {
		if c, staged := st.series[s.id]; staged {
			s = c
		}
		if s != nil && through-s.seen > to.idle {
			st.series[s.id] = nil
		}
	}
}
