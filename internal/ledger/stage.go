package ledger

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log/level"
)

// A stage is a booking in the making: everything that will change, beside the feed as it is. It is committed to disk
// and then installed. A stage that fails on the way is dropped and has changed nothing, except for a verdict (see recall).
type stage struct {
	f     *Feed
	shape *shape // another one than the feed's where the stage begins it afresh
	meta  meta

	spans        map[int64]*span // new versions; nil for a span that goes
	buckets      map[bucketKey][]byte
	fingerprints map[bucketKey]*Fingerprint
	series       map[uint32]*series // new versions; nil for a series that goes
	read         *Read
	places       map[string]place // index keys resolved so far in this stage, but for those that had a series
	touched      map[uint32]*touch
	own          [][]*touch // series of the read's label sets, by group and place; see ownSeriesAt
	folded       map[uint64]int64
	pieces       map[bucketKey][]byte // of the books; nil for one that goes
	stats        []MeasureView
	given        int // label sets that this stage gives series of their own
	scratch      scratch

	stock      []Row
	stockOther int

	asOf int64
}

func (f *Feed) newStage() *stage {
	given := 0
	if f.options.Endpoint.Stock {
		given = f.own // A level's label sets are not series: they are counted whole with every read.
	}
	m := f.meta
	if f.staged != nil {
		m = f.staged.meta // Whose answers these are, which is all that can be staged by another feed.
	}
	return &stage{
		given: given,
		f:     f, shape: f.shape, meta: m,
		spans: map[int64]*span{}, buckets: map[bucketKey][]byte{}, fingerprints: map[bucketKey]*Fingerprint{}, series: map[uint32]*series{},
		places: map[string]place{}, touched: map[uint32]*touch{}, folded: map[uint64]int64{}, pieces: map[bucketKey][]byte{},
		stats: slices.Clone(f.stats),
		stock: f.stock, stockOther: f.stockOther,
	}
}

// apply works out what a read changes. is says what has been read, less what it lacks.
func (st *stage) apply(r *Read, is reading) error {
	to := st.f.reach()
	st.read, st.asOf = r, is.asOf
	if r.Organization != "" {
		st.meta.Owner = r.Organization
	}
	first := !st.meta.Begun
	if first {
		st.begin(is)
	}
	if to.level {
		st.meta.marks = st.meta.poll(is, to)
		st.applyStock(r)
		st.storeStock(r)
		return nil
	}
	if to.bill && is.audit {
		st.olderBill(r)
		return nil
	}
	// A span is booked in one width, so the buckets are taken span by span. By a Date that is behind, a read seems to end
	// where others went on, so it does not tell where the API's now is.
	for lo := 0; lo < len(r.buckets); {
		span := to.spanOf(r.buckets[lo].start.Unix())
		hi := lo + 1
		for hi < len(r.buckets) && r.buckets[hi].start.Unix() < span+to.span {
			hi++
		}
		part := spanRead{start: span, width: seconds(r.Window.Width.Duration), buckets: r.buckets[lo:hi], first: first, last: hi == len(r.buckets) && is.through >= st.meta.ReadThrough, audit: is.audit}
		if err := st.bookSpan(part, to); err != nil {
			return err
		}
		lo = hi
	}
	st.meta.marks = st.meta.poll(is, to).audit(is, to)
	st.fold()
	st.closeBooks()
	st.total()
	st.retire()
	return nil
}

// begin fixes where counting begins, with the first read of a shape.
func (st *stage) begin(is reading) {
	f, m := st.f, &st.meta
	origin, fixed := f.origin(time.Unix(is.asOf, 0))
	m.marks = m.begin(is, origin, fixed, f.reach())
	m.CountersStart = f.options.CountersStartText
	if !fixed {
		level.Info(f.logger()).Log("msg", "Counting started", "counts_from", "now")
		return
	}
	unit := "UTC hour"
	if f.options.Endpoint.IsCosts() {
		unit = "UTC day"
	}
	level.Info(f.logger()).Log("msg", "Counting started", "counts_from", time.Unix(origin, 0).UTC().Format(time.RFC3339), "floored_to", unit)
}

// total adds the differences to the series.
func (st *stage) total() {
	f := st.f
	for id, t := range st.touched {
		s := st.current(id)
		switch {
		case t.delta != nil:
			c := s.book(f.group(s.group), t.delta, f.ledger.settings.ZeroHold > 0)
			c.seen = max(c.seen, t.seen)
			st.series[id] = c
		case s.seen < t.seen:
			c := *s
			c.seen = t.seen
			st.series[id] = &c
		}
	}
}

func (st *stage) current(id uint32) *series {
	if s := st.series[id]; s != nil {
		return s
	}
	return st.f.list[st.f.position[id]]
}

// changes is what the stage writes to disk.
func (st *stage) changes() *changes {
	f := st.f
	c := &changes{feed: f.name, clear: st.afresh(), meta: &record{st.meta, st.shape.groupBy, st.shape.filters}, buckets: st.buckets, books: st.booked(), folded: map[uint64]int64{}, series: make(map[uint32][]byte, len(st.series))}
	for hash, seen := range st.folded {
		if st.afresh() || f.folded[hash] != seen {
			c.folded[hash] = seen
		}
	}
	for id, s := range st.series {
		if s == nil {
			c.series[id] = nil
			continue
		}
		// They wait for others to be written with, in no more room than they need.
		st.scratch.series = s.encode(st.scratch.series[:0], f.layouts.current, f.group(s.group), len(f.options.Endpoint.Measures))
		c.series[id] = bytes.Clone(st.scratch.series)
	}
	return c
}

// install makes the stage the feed's state. It must have been committed.
func (st *stage) install() {
	f := st.f
	if st.afresh() {
		f.spans, f.folded = map[int64]*span{}, map[uint64]int64{}
		clear(f.fingerprints)
		f.round, f.lastAudit = nil, time.Time{}
		f.refused, f.doubt = refused{hours: f.refused.hours, gaveUp: f.refused.gaveUp}, nil
		f.shape = st.shape
	}
	f.meta, f.unwritten = st.meta, false
	f.arrange()
	for at, sp := range st.spans {
		if sp == nil {
			delete(f.spans, at)
		} else {
			f.spans[at] = sp
		}
	}
	for hash, seen := range st.folded {
		if seen == 0 {
			delete(f.folded, hash)
		} else {
			f.folded[hash] = seen
		}
	}
	st.installFingerprints()
	st.installBooks()
	f.stats = st.stats
	f.stock, f.stockOther = st.stock, st.stockOther
	until := time.Now().Add(f.ledger.settings.ZeroHold)
	gone := false
	f.moved = f.moved || len(st.series) > 0
	for _, id := range slices.Sorted(maps.Keys(st.series)) {
		s := st.series[id]
		if s == nil {
			gone = true
			continue
		}
		f.keep(s, until)
		f.add(s)
	}
	if gone {
		st.remove()
	}
	if f.options.Endpoint.Stock {
		f.own = st.given
	}
}

// remove rebuilds the feed's tables without the series that went.
func (st *stage) remove() {
	f := st.f
	list := f.list
	f.list, f.position, f.index, f.own = nil, map[uint32]int{}, map[string]*series{}, 0
	for _, s := range list {
		if c, staged := st.series[s.id]; staged && c == nil {
			f.drop(s, new(series))
			continue
		}
		f.add(s)
	}
}
