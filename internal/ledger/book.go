package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// Book takes over what was read, durably, or changes nothing.
func (f *Feed) Book(ctx context.Context, r *Read) error {
	l := f.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Window.shape != f.shape || !slices.Equal(r.columns, f.columns) {
		return ErrReshaped
	}
	gap, err := f.admit(r)
	if err != nil {
		return fmt.Errorf("book %s: %w", f.options.Endpoint.Name, err)
	}
	if len(r.buckets) == 0 {
		// It says nothing: it begins nothing, ends nothing and takes nothing away.
		f.audited(r.Window, r.AsOf)
		return nil
	}
	st := f.newStage()
	st.gap = gap
	if err := st.apply(r); err != nil {
		return fmt.Errorf("book %s: %w", f.options.Endpoint.Name, err)
	}
	if err := l.commit([]*stage{st}); err != nil {
		return err
	}
	st.install()
	f.audited(r.Window, r.AsOf)
	l.publish(f)
	l.wakeUp()
	return nil
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
