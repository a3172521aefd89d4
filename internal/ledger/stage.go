package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A stage is a booking in the making: everything that will change, beside the feed as it is. It is committed to disk
// and then installed; a stage that fails on the way is dropped and has changed nothing.
type stage struct {
	f     *Feed
	shape *shape // another one than the feed's where the stage begins it afresh
	meta  meta

	spans   map[int64]*span // new versions; nil for a span that goes
	buckets map[bucketKey][]byte
	series  map[uint32]*series // new versions; nil for a series that goes
	places  map[string]place   // index keys resolved so far in this stage, but for those that had a series
	key     []byte             // scratch
	folded  map[uint64]int64
	deltas  map[uint32][]decimal.Fixed
	seen    map[uint32]int64
	days    map[int64]map[string]decimal.Fixed // what is added to the feed's days
	stats   []MeasureView
	own     int // label sets that this stage gives series of their own

	stock      []Row
	stockOther int

	asOf     int64
	explicit bool  // counting starts at a given time
	gap      int64 // the first bucket that the read lacks, or 0
}

func (f *Feed) newStage() *stage {
	own := 0
	if f.options.Endpoint.Stock {
		own = f.own // A level's label sets are not series: they are counted whole with every read.
	}
	return &stage{
		own: own,
		f:   f, shape: f.shape, meta: f.meta,
		spans: map[int64]*span{}, buckets: map[bucketKey][]byte{}, series: map[uint32]*series{}, places: map[string]place{},
		folded: map[uint64]int64{}, deltas: map[uint32][]decimal.Fixed{}, seen: map[uint32]int64{},
		days:  map[int64]map[string]decimal.Fixed{},
		stats: slices.Clone(f.stats),
		stock: f.stock, stockOther: f.stockOther,
	}
}

// apply works out what a read changes.
func (st *stage) apply(r *Read) error {
	f := st.f
	st.asOf = r.AsOf.Unix()
	width := int64(r.Window.Width.Duration / time.Second)
	from := r.Window.From.Unix()
	slices.SortFunc(r.buckets, func(a, b readBucket) int { return a.start.Compare(b.start) })
	through := int64(0) // end of the newest bucket, which may be running
	for i, b := range r.buckets {
		start := b.start.Unix()
		if start < from || mod(start, width) != 0 || !r.Window.To.IsZero() && !b.start.Before(r.Window.To) {
			return fmt.Errorf("the API answered with a bucket that was not asked for: %s", b.start.UTC().Format(time.RFC3339))
		}
		if i > 0 && b.start.Equal(r.buckets[i-1].start) || b.repeated {
			return fmt.Errorf("the API answered with the bucket %s twice", b.start.UTC().Format(time.RFC3339))
		}
		through = start + width
		if end := start + width; end <= st.asOf && !r.Window.Audit {
			st.meta.ReadThrough = max(st.meta.ReadThrough, end)
		}
	}
	if !r.Window.Audit {
		st.meta.ReadAt = st.asOf
	}
	first := !st.meta.Started
	if first {
		st.start(r, from)
	}
	if f.options.Endpoint.Stock {
		st.applyStock(r)
		return nil
	}

	// Group the buckets by span: a span is booked in one width.
	for lo := 0; lo < len(r.buckets); {
		at := f.spanOf(r.buckets[lo].start.Unix())
		hi := lo
		for hi < len(r.buckets) && f.spanOf(r.buckets[hi].start.Unix()) == at {
			hi++
		}
		if err := st.applySpan(r, at, width, r.buckets[lo:hi], first); err != nil {
			return err
		}
		lo = hi
	}
	st.advance(r, from, through)
	st.fold()
	st.total()
	st.retire()
	return nil
}

// total adds the differences to the series.
func (st *stage) total() {
	f := st.f
	for id, start := range st.seen {
		if st.deltas[id] == nil {
			s := st.current(id)
			if s.seen < start {
				c := *s
				c.seen = start
				st.series[id] = &c
			}
		}
	}
	for id, delta := range st.deltas {
		s := st.current(id)
		c := s.book(f.group(s.group), delta, f.ledger.settings.ZeroHold > 0)
		c.seen = max(c.seen, st.seen[id])
		st.series[id] = c
	}
}

func (st *stage) current(id uint32) *series {
	if s := st.series[id]; s != nil {
		return s
	}
	return st.f.list[st.f.at[id]]
}

// changes is what the stage writes to disk.
func (st *stage) changes() *changes {
	f := st.f
	c := &changes{feed: f.name, clear: st.afresh(), meta: &record{st.meta, st.shape.groupBy, st.shape.filters}, buckets: st.buckets, folded: map[uint64]int64{}, series: make(map[uint32][]byte, len(st.series))}
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
		c.series[id] = s.encode(nil, f.layouts.current, f.group(s.group), len(f.options.Endpoint.Measures))
	}
	return c
}

// install makes the stage the feed's state. It must have been committed.
func (st *stage) install() {
	f := st.f
	if st.afresh() {
		f.spans, f.folded, f.days = map[int64]*span{}, map[uint64]int64{}, map[int64]map[string]decimal.Fixed{}
		f.round, f.lastAudit = nil, time.Time{}
		f.refused = refused{hours: f.refused.hours}
		f.shape = st.shape
	}
	f.meta = st.meta
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
	st.installDays()
	f.stats = st.stats
	f.stock, f.stockOther = st.stock, st.stockOther
	until := time.Now().Add(f.ledger.settings.ZeroHold)
	gone := false
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
		f.own = st.own
	}
}

// remove rebuilds the feed's tables without the series that went.
func (st *stage) remove() {
	f := st.f
	kept := f.list
	f.list, f.at, f.index, f.own = nil, map[uint32]int{}, map[string]*series{}, 0
	for _, s := range kept {
		if c, staged := st.series[s.id]; staged && c == nil {
			f.drop(s, new(series))
			continue
		}
		f.add(s)
	}
}
