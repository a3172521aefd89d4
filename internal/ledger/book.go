package ledger

import (
	"bytes"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A spanRead is what a read has of one span.
type spanRead struct {
	start, width int64
	buckets      []readBucket
	first        bool // of the first read of a shape
	last         bool // its last bucket is the read's, which goes to the API's now
	audit        bool
}

// through is how far the buckets go from the span's start on without a gap, or false if there is one.
func (r *spanRead) through() (end int64, gapless bool) {
	for i := range r.buckets {
		if r.buckets[i].start.Unix() != r.start+int64(i)*r.width {
			return 0, false
		}
	}
	return r.start + int64(len(r.buckets))*r.width, true
}

// bookSpan books what a read has of a span: bucket by bucket, or as a whole where it is on record in another width. A
// span changes hands only when the read has it whole, from its start to its end or to the API's now; what is left out
// waits for a read that has.
func (st *stage) bookSpan(r spanRead, to reach) error {
	end, gapless := r.through()
	whole := gapless && end >= r.start+to.span
	toItsEnd := whole || gapless && r.last
	held := st.f.spans[r.start]
	switch {
	case held == nil && !st.meta.admits(r.start, whole):
		return nil
	case held != nil && held.width != r.width:
		if !toItsEnd {
			return nil
		}
		st.fingerprint(r.buckets, r.width)
		return st.replace(replacement{
			at: r.start, end: end, read: r.buckets, width: r.width, old: held.buckets, oldWidth: held.width,
			how: st.meta.meet(r.start, false, true), whole: true,
			// What a downtime left out of the span is no finding of the audit.
			audit: r.audit && int64(len(held.buckets))*held.width == to.span,
		})
	}
	renew := r.width < secondsOfHour && st.f.options.estimates() && st.piece(bucketKey{r.start, secondsOfHour}) != nil
	if !to.bill && (!renew || toItsEnd) {
		// What the books do not take now has to be read again.
		st.fingerprint(r.buckets, r.width)
	}
	for i := range r.buckets {
		start := r.buckets[i].start.Unix()
		if r.buckets[i].same {
			st.close(start, r.width)
			continue
		}
		if st.f.options.Endpoint.IsCosts() {
			st.bill(&r.buckets[i])
		}
		one := replacement{at: start, end: start + r.width, read: r.buckets[i : i+1], width: r.width, oldWidth: r.width, whole: toItsEnd, renew: renew && toItsEnd}
		if old := held.at(start); old != nil {
			one.old = []bucket{{start, old}}
		}
		one.how = st.meta.meet(start, r.first, one.old != nil)
		one.audit = r.audit && one.how == compare
		if err := st.replace(one); err != nil {
			return err
		}
	}
	return nil
}

// A replacement is buckets that were read and what is on record of the same time: one bucket for one of its width, or all
// of a span.
type replacement struct {
	at, end         int64
	read            []readBucket
	old             []bucket
	width, oldWidth int64
	how             mode
	whole           bool // it is a part of a span that was read to its end, or to the API's now
	renew           bool // the books have its hour as one, and take all of its parts now
	audit           bool // a difference is a finding of the audit
}

// replace puts what was read in the place of what is on record, and books after minus before.
func (st *stage) replace(r replacement) error {
	f := st.f
	parts, encoded := st.scratch.parts(len(r.read))
	spent := make([]*account, len(r.read))
	for i := range r.read {
		parts[i] = st.cells(parts[i][:0], &r.read[i])
		encoded[i] = encodeCells(encoded[i][:0], f.layouts.current, parts[i])
	}
	same := r.width == r.oldWidth
	repeated := same && r.old != nil && unchanged(r.old[0].cells, encoded[0], len(parts[0]))
	if repeated && !r.renew && st.same(r.at, r.width, r.read[0].rows) {
		return nil
	}
	before, covered, err := st.recorded(r.old)
	if err != nil {
		return err
	}
	if f.options.estimates() {
		for i := range r.read {
			if same {
				// The same sums of other rows cost something else.
				spent[i] = st.price(&r.read[i], before, covered.derived && (!repeated || r.renew), parts[i])
			} else {
				spent[i] = st.price(&r.read[i], nil, true, parts[i])
			}
		}
	}
	after := parts[0]
	if !same {
		after = st.sum(before, covered, parts)
	}
	if f.options.estimates() {
		st.spend(r, spent, covered.derived && slices.EqualFunc(before, after, func(a, b cell) bool { return a.id == b.id && a.equal(&b) }))
	}
	st.book(r, before, covered, after)
	if r.width != r.oldWidth {
		for _, b := range r.old {
			st.buckets[bucketKey{b.start, r.oldWidth}] = nil
		}
	}
	next := st.draft(f.spanOf(r.at), r.width)
	for i := range r.read {
		start := r.read[i].start.Unix()
		st.see(parts[i], start)
		if f.options.estimates() {
			encoded[i] = encodeDerived(encoded[i], parts[i])
		}
		kept := bytes.Clone(encoded[i]) // It stays for days, in no more room than it needs.
		next.put(start, kept)
		st.buckets[bucketKey{start, r.width}] = kept
	}
	return nil
}

// recorded decodes buckets on record and adds them up, with what all of them could record.
func (st *stage) recorded(old []bucket) (before []cell, covered coverage, err error) {
	covered = st.covers()
	if len(old) == 0 {
		return nil, covered, nil
	}
	var sum map[uint32]*cell
	for _, b := range old {
		cells, could, err := st.decode(b.cells)
		if err != nil {
			return nil, covered, err
		}
		covered.restrict(could)
		if len(old) == 1 {
			return cells, covered, nil
		}
		if sum == nil {
			sum = make(map[uint32]*cell, len(cells))
		}
		addCells(sum, cells)
	}
	return sortCells(sum), covered, nil
}

// sum adds up the buckets of a span that changes hands. They keep what was derived of the former ones where it still
// holds.
func (st *stage) sum(before []cell, covered coverage, parts [][]cell) []cell {
	is := map[uint32]*cell{}
	for _, cells := range parts {
		addCells(is, cells)
	}
	if covered.derived {
		was := make(map[uint32]*cell, len(before))
		for i := range before {
			was[before[i].id] = &before[i]
		}
		keepDerived(was, is, parts)
	}
	return sortCells(is)
}

// draft is the span as the stage leaves it, in the width that it is written in now.
func (st *stage) draft(at, width int64) *span {
	next := st.spans[at]
	if next == nil || next.width != width {
		next = &span{width: width}
		if held := st.f.spans[at]; held != nil && held.width == width {
			next = held.clone()
		}
		st.spans[at] = next
	}
	return next
}

// book adds the difference between what was and what is.
func (st *stage) book(r replacement, before []cell, covered coverage, after []cell) {
	if r.how == baseline {
		return
	}
	// Growth is a restatement when it comes this long after the bucket's end.
	const growsFor = 15 * 60
	late := r.how == compare && st.asOf > r.end+growsFor
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		var id uint32
		var was, is *cell
		var to *touch
		switch {
		case j == len(after) || i < len(before) && before[i].id < after[j].id:
			// The label set is gone from the bucket: it counts as zero.
			id, was = before[i].id, &before[i]
			i++
		case i == len(before) || after[j].id < before[i].id:
			id, is, to = after[j].id, &after[j], after[j].to
			j++
		default:
			id, was, is, to = before[i].id, &before[i], &after[j], after[j].to
			i++
			j++
		}
		if covered.derived {
			to = st.bookDerived(id, to, was, is)
		}
		for m := range covered.measures {
			if !covered.measures[m] {
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
			if to == nil {
				to = st.touch(id)
			}
			to.add(len(covered.measures), m, delta)
			stats := &st.stats[m]
			switch {
			case delta.Sign() < 0:
				stats.RestatedDown = stats.RestatedDown.Sub(delta)
				if r.audit {
					stats.AuditDown = stats.AuditDown.Sub(delta)
				}
			default:
				if late {
					stats.RestatedUp = stats.RestatedUp.Add(delta)
				}
				if r.audit {
					stats.AuditUp = stats.AuditUp.Add(delta)
				}
			}
		}
	}
}

// see notes that the API has the series in a bucket.
func (st *stage) see(cells []cell, start int64) {
	for i := range cells {
		c := &cells[i]
		c.to.see(start)
		for m := range c.derived {
			if c.derived[m].IsZero() {
				continue
			}
			if derived := st.derivedSeries(c.to, m); derived != nil {
				derived.see(start)
			}
		}
	}
}
