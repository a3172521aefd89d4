package ledger

// whole is everything that was committed of the feeds, as if none of it had been written.
func (l *Ledger) whole() []*changes {
	all := make([]*changes, len(l.feeds))
	for i, f := range l.feeds {
		all[i] = f.whole()
	}
	return all
}

// whole is all of the feed as it is, in place of whatever is on disk.
func (f *Feed) whole() *changes {
	c := &changes{feed: f.name, whole: true, meta: &record{f.meta, f.groupBy, f.filters}, buckets: map[bucketKey][]byte{}, books: f.books.whole(), folded: f.folded, series: make(map[uint32][]byte, len(f.list))}
	for _, s := range f.list {
		c.series[s.id] = s.encode(nil, f.layouts.current, f.group(s.group), len(f.options.Endpoint.Measures))
	}
	for _, sp := range f.spans {
		for _, b := range sp.buckets {
			c.buckets[bucketKey{b.start, sp.width}] = b.cells
		}
	}
	return c
}
