package ledger

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A stage is a booking in the making: everything that will change, beside the feed as it is. It is committed to disk
// and then installed; a stage that fails on the way is dropped and has changed nothing.
type stage struct {
	f    *Feed
	meta meta

	clear   bool            // forget all spans and folded label sets first
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
		f:   f, meta: f.meta,
		spans: map[int64]*span{}, buckets: map[bucketKey][]byte{}, series: map[uint32]*series{}, places: map[string]place{},
		folded: map[uint64]int64{}, deltas: map[uint32][]decimal.Fixed{}, seen: map[uint32]int64{},
		days:  map[int64]map[string]decimal.Fixed{},
		stats: slices.Clone(f.stats),
		stock: f.stock, stockOther: f.stockOther,
	}
}

// startAfresh begins a new shape: its first read will be a baseline, and series of the old shape end. One whose label
// set exists in the new shape too will go on from its total.
func (st *stage) startAfresh(groupBy []string) {
	m := &st.meta
	m.GroupBy = groupBy
	m.Afresh = m.Afresh || m.Started
	m.Started = false
	m.Origin, m.CountsFrom, m.Settled, m.Final, m.Audited, m.Fixed = 0, 0, 0, 0, 0, false
	st.clear = true
	for _, s := range st.f.list {
		c := *s
		c.ended = true
		st.series[s.id] = &c
	}
	st.stock, st.stockOther, st.own = nil, 0, 0
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

// How the buckets of a span are to be taken.
type mode int

const (
	compare  mode = iota // book the difference to what is recorded
	fresh                // nothing is recorded because there was nothing: book it all
	baseline             // it is not to count: record only
)

// meet says how a bucket is taken.
func (st *stage) meet(start int64, first, recorded bool) mode {
	switch {
	case st.meta.Fixed && start < st.meta.Origin:
		return baseline
	case recorded:
		return compare
	case first && !st.explicit, start < max(st.meta.Origin, st.meta.Final):
		return baseline
	}
	return fresh
}

// applySpan books the buckets that a read has of one span.
func (st *stage) applySpan(r *Read, at, width int64, read []readBucket, first bool) error {
	f := st.f
	held := f.spans[at]
	if held != nil && held.width != width {
		return st.changeHands(r, at, width, held, read)
	}
	var next *span
	for i := range read {
		start := read[i].start.Unix()
		var old []byte
		if held != nil {
			old = held.buckets[start]
		}
		cells := st.cells(&read[i])
		encoded := encodeCells(nil, f.layouts.current, cells)
		if old != nil && unchanged(old, encoded, len(cells)) {
			continue
		}
		how := st.meet(start, first, old != nil)
		var before []cell
		known := st.knows()
		if old != nil {
			var err error
			if before, known, err = st.decode(old); err != nil {
				return err
			}
		}
		if f.options.estimates() {
			st.price(&read[i], before, known.derived, cells)
			encoded = encodeDerived(encoded, cells)
		}
		st.estimate(start, before, cells)
		st.book(how, start+width, before, known, cells, r.Window.Audit && how == compare)
		if next == nil {
			if next = (&span{width, map[int64][]byte{}}); held != nil {
				next = held.clone()
			}
			st.spans[at] = next
		}
		next.buckets[start] = encoded
		st.buckets[bucketKey{start, width}] = encoded
		st.see(cells, start)
	}
	return nil
}

// changeHands replaces a span held in one width by what was read in another. It does so only when the read has the
// span whole, from its start to its end or to the API's now; what is left out waits for a read that has.
func (st *stage) changeHands(r *Read, at, width int64, held *span, read []readBucket) error {
	f := st.f
	for i := range read {
		if read[i].start.Unix() != at+int64(i)*width {
			return nil
		}
	}
	end := at + int64(len(read))*width
	if end < at+f.spanSize() && !read[len(read)-1].start.Equal(r.buckets[len(r.buckets)-1].start) {
		return nil
	}
	was, is := map[uint32]*cell{}, map[uint32]*cell{}
	known := st.knows()
	for start, old := range held.buckets {
		cells, k, err := st.decode(old)
		if err != nil {
			return err
		}
		addCells(was, cells)
		known.restrict(k)
		st.buckets[bucketKey{start, held.width}] = nil
	}
	before := sortCells(was)
	parts := make([][]cell, len(read))
	for i := range read {
		parts[i] = st.cells(&read[i])
		if f.options.estimates() {
			st.price(&read[i], nil, true, parts[i])
		}
		addCells(is, parts[i])
	}
	if known.derived {
		keepDerived(was, is, parts)
	}
	next := &span{width, map[int64][]byte{}}
	for i := range read {
		start := read[i].start.Unix()
		st.see(parts[i], start)
		encoded := encodeCells(nil, f.layouts.current, parts[i])
		if f.options.estimates() {
			encoded = encodeDerived(encoded, parts[i])
		}
		next.buckets[start] = encoded
		st.buckets[bucketKey{start, width}] = encoded
	}
	st.spans[at] = next
	after := sortCells(is)
	st.estimate(at, before, after)
	// What a downtime left out of the span is no finding of the audit.
	complete := int64(len(held.buckets))*held.width == f.spanSize()
	st.book(st.meet(at, false, true), end, before, known, after, r.Window.Audit && complete)
	return nil
}

func addCells(sum map[uint32]*cell, cells []cell) {
	for _, c := range cells {
		have := sum[c.id]
		if have == nil {
			c.values = slices.Clone(c.values)
			sum[c.id] = &c
			continue
		}
		add(have.values, c.values)
		add(have.derived[:], c.derived[:])
	}
}

func add(sum, values []decimal.Fixed) {
	for i, v := range values {
		sum[i] = sum[i].Add(v)
	}
}

func sortCells(m map[uint32]*cell) []cell {
	cells := make([]cell, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		cells = append(cells, *m[id])
	}
	return cells
}

// A knowledge is what a record could say: a measure that it could not is met for the first time.
type knowledge struct {
	measures []bool // of today's table
	derived  bool
}

func (k *knowledge) restrict(o knowledge) {
	for i := range k.measures {
		k.measures[i] = k.measures[i] && o.measures[i]
	}
	k.derived = k.derived && o.derived
}

// knows is the knowledge of what is recorded now.
func (st *stage) knows() knowledge {
	return knowledge{st.f.layouts.knows(st.f.layouts.current), true}
}

// decode returns the cells of a recorded bucket and what it could record.
func (st *stage) decode(old []byte) (cells []cell, known knowledge, err error) {
	cells, layout, derived, err := st.f.layouts.decodeCells(old)
	if err != nil {
		return nil, known, err
	}
	for i := range cells {
		if _, ok := st.f.at[cells[i].id]; !ok {
			return nil, known, errUnknownSeries
		}
	}
	return cells, knowledge{st.f.layouts.knows(layout), derived}, nil
}

// cells resolves the label sets of a read bucket and returns its cells, sorted.
func (st *stage) cells(b *readBucket) []cell {
	n := len(st.f.options.Endpoint.Measures)
	size := 0
	for _, labelSets := range b.cells {
		size += len(labelSets)
	}
	cells := make([]cell, 0, size)
	for gi, labelSets := range b.cells {
		g := &st.f.groups[gi]
		put := func(id uint32, sum []decimal.Fixed) {
			if len(sum) != n {
				sum = g.spread(sum, n)
			}
			cells = append(cells, cell{id: id, values: sum})
		}
		var unknown []string
		for key, sum := range labelSets {
			if id, ok := st.known(gi, key); ok {
				put(id, sum)
			} else {
				unknown = append(unknown, key)
			}
		}
		// In the order of the keys, so that which label sets are the first past the limit does not depend on chance.
		slices.Sort(unknown)
		for _, key := range unknown {
			put(st.resolve(gi, key, b.start.Unix()), labelSets[key])
		}
	}
	slices.SortFunc(cells, func(a, b cell) int { return cmp.Compare(a.id, b.id) })
	return mergeCells(cells)
}

// mergeCells adds up neighbours of one series: label sets that are folded into it, or groups of measures that share it.
// The values of cells are those of the read until then, and must not be changed.
func mergeCells(cells []cell) []cell {
	out := cells[:0]
	merged := false
	for _, c := range cells {
		if len(out) == 0 || out[len(out)-1].id != c.id {
			out, merged = append(out, c), false
			continue
		}
		last := &out[len(out)-1]
		if !merged {
			last.values, merged = slices.Clone(last.values), true
		}
		add(last.values, c.values)
	}
	return out
}

// known returns the series of a label set that has one of its own, without a search for room.
func (st *stage) known(gi int, key string) (uint32, bool) {
	st.key = append(append(st.key[:0], byte(gi)), key...)
	if p, ok := st.places[string(st.key)]; ok {
		return p.id, p.folded == 0
	}
	s := st.f.index[string(st.key)]
	if s == nil || st.current(s.id).ended {
		return 0, false
	}
	return s.id, true
}

// book adds the difference between two states of a bucket or span that ends at end.
func (st *stage) book(how mode, end int64, before []cell, known knowledge, after []cell, audit bool) {
	if how == baseline {
		return
	}
	// Growth is a restatement when it comes this long after the bucket's end.
	const growsFor = 15 * 60
	late := how == compare && st.asOf > end+growsFor
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		var id uint32
		var was, is *cell
		switch {
		case j == len(after) || i < len(before) && before[i].id < after[j].id:
			// The label set is gone from the bucket: it counts as zero.
			id, was = before[i].id, &before[i]
			i++
		case i == len(before) || after[j].id < before[i].id:
			id, is = after[j].id, &after[j]
			j++
		default:
			id, was, is = before[i].id, &before[i], &after[j]
			i++
			j++
		}
		if known.derived {
			st.bookDerived(id, was, is)
		}
		for m := range known.measures {
			if !known.measures[m] {
				continue // The record is older than this measure: what is read now is its baseline.
			}
			var delta decimal.Fixed
			if is != nil {
				delta = is.values[m]
			}
			if was != nil {
				delta = delta.Sub(was.values[m])
			}
			if delta.IsZero() {
				continue
			}
			st.delta(id, len(known.measures), m, delta)
			stats := &st.stats[m]
			switch {
			case delta.Sign() < 0:
				stats.RestatedDown = stats.RestatedDown.Sub(delta)
				if audit {
					stats.AuditDown = stats.AuditDown.Sub(delta)
				}
			default:
				if late {
					stats.RestatedUp = stats.RestatedUp.Add(delta)
				}
				if audit {
					stats.AuditUp = stats.AuditUp.Add(delta)
				}
			}
		}
	}
}

// delta adds a difference of one measure of a series.
func (st *stage) delta(id uint32, measures, m int, delta decimal.Fixed) {
	sum := st.deltas[id]
	if sum == nil {
		sum = make([]decimal.Fixed, measures)
		st.deltas[id] = sum
	}
	sum[m] = sum[m].Add(delta)
}

// see notes that the API has the series in a bucket.
func (st *stage) see(cells []cell, start int64) {
	for i := range cells {
		c := &cells[i]
		st.seen[c.id] = max(st.seen[c.id], start)
		for m := range c.derived {
			if id, ok := st.derived(c.id, m); ok && !c.derived[m].IsZero() {
				st.seen[id] = max(st.seen[id], start)
			}
		}
	}
}

// A place is where a label set is booked. The hash of a folded one is kept to note when it was last seen.
type place struct {
	id     uint32
	folded uint64 // 0 for a label set with a series of its own
}

func hashKey(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // A hash never fails.
	return max(h.Sum64(), 1)
}

// resolve returns the series that a label set is booked to, making one if need be.
func (st *stage) resolve(gi int, key string, start int64) uint32 {
	ik := indexKey(gi, []byte(key))
	p, ok := st.places[ik]
	if !ok {
		p = st.place(gi, ik, start)
		st.places[ik] = p
	}
	if p.folded != 0 {
		st.folded[p.folded] = max(st.folded[p.folded], st.f.folded[p.folded], start)
	}
	return p.id
}

func (st *stage) place(gi int, ik string, start int64) place {
	f := st.f
	s := f.index[ik]
	if s != nil && st.series[s.id] != nil {
		s = st.series[s.id]
	}
	if s != nil && !s.ended {
		return place{id: s.id}
	}
	if other := f.otherKey(gi); ik != other {
		// A folded label set stays so until every window has left the buckets behind in which it was folded: moving
		// it earlier would book them twice.
		hash := hashKey(ik)
		_, folded := f.folded[hash]
		if folded || f.ledger.ownLabelSets(f.options.Organization)+st.own >= f.ledger.settings.MaxLabelSets {
			if len(f.folded) == 0 && len(st.folded) == 0 {
				level.Warn(f.logger()).Log("msg", "The limit of label sets is reached: new ones are counted as \"other\"", "max_label_sets", f.ledger.settings.MaxLabelSets)
			}
			return place{st.resolve(gi, other[1:], start), hash}
		}
		st.own++
	}
	if s != nil {
		c := *s
		c.ended = false
		st.series[s.id] = &c
		return place{id: s.id}
	}
	labels, err := labelsOf(ik)
	if err != nil {
		panic(err) // The key was made by appendKey a moment ago.
	}
	n := len(f.groups[gi].measures)
	return place{id: st.born(gi, ik, labels, n, start)}
}

// born makes a series that counts from zero.
func (st *stage) born(gi int, key string, labels []Label, measures int, start int64) uint32 {
	id := st.meta.NextID
	st.meta.NextID++
	zero := make([]decimal.Fixed, measures)
	st.series[id] = &series{
		id: id, group: gi, key: key, labels: labels, total: zero, high: zero,
		born: time.Now().UTC().Truncate(time.Millisecond), seen: start,
		held: st.f.ledger.settings.ZeroHold > 0,
	}
	return id
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
		c := s.book(f.group(s.group), delta)
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

// changes is what the stage writes to disk.
func (st *stage) changes() *changes {
	f := st.f
	c := &changes{feed: f.name, clear: st.clear, meta: &st.meta, buckets: st.buckets, folded: map[uint64]int64{}, series: make(map[uint32][]byte, len(st.series))}
	for hash, seen := range st.folded {
		if st.clear || f.folded[hash] != seen {
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
	if st.clear {
		f.spans, f.folded, f.days = map[int64]*span{}, map[uint64]int64{}, map[int64]map[string]decimal.Fixed{}
		f.round, f.lastAudit = nil, time.Time{}
		f.shape++
	}
	f.meta = st.meta
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
	st.installDays()
	f.stats = st.stats
	f.stock, f.stockOther = st.stock, st.stockOther
	hold := time.Now().Add(f.ledger.settings.ZeroHold)
	gone := false
	for _, id := range slices.Sorted(maps.Keys(st.series)) {
		s := st.series[id]
		if s == nil {
			gone = true
			continue
		}
		if _, waits := f.held[id]; !s.held {
			delete(f.held, id)
		} else if !waits {
			f.held[id] = hold
		}
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
			delete(f.held, s.id)
			continue
		}
		f.add(s)
	}
}
