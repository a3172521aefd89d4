package ledger

import (
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// applyStock takes a level: per label set what the newest bucket says that has it. Polls reach back as far as a level may
// stand without being repeated, so every read makes the whole again and nothing is kept.
func (st *stage) applyStock(r *Read) {
	f := st.f
	to := f.reach()
	oldest := st.asOf - to.lookback
	oldest -= mod(oldest, to.width)
	newest := map[string][]decimal.Fixed{}
	for i := range slices.Backward(r.buckets) {
		if r.buckets[i].start.Unix() < oldest {
			break // The first read reaches further back, for the books.
		}
		for _, c := range r.buckets[i].cells[0] {
			if key := r.shown[0][c.set]; newest[key] == nil {
				newest[key] = c.values
			}
		}
	}
	// Label sets past the limit are summed into one; which ones they are depends on their names, not on chance.
	free := f.ledger.settings.MaxLabelSets - (f.ledger.ownLabelSets(f.options.Organization) - f.own)
	st.stock, st.stockOther = nil, 0
	var rest []decimal.Fixed
	g := &f.groups[0]
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		if len(st.stock) >= free {
			if rest == nil {
				rest = make([]decimal.Fixed, len(g.measures))
			}
			add(rest, newest[key])
			st.stockOther++
			continue
		}
		labels, err := labelsOf(indexKey(0, []byte(key)))
		if err != nil {
			panic(err) // The key was made by appendKey when the row was read.
		}
		st.stock = append(st.stock, Row{Labels: labels, Measures: g.measures, Values: newest[key]})
	}
	st.given = len(st.stock)
	if rest != nil {
		labels, err := labelsOf(f.otherKey(0))
		if err != nil {
			panic(err)
		}
		st.stock = append(st.stock, Row{Labels: labels, Measures: g.measures, Values: rest})
	}
}

// storeStock takes what a level costs into the books: for as long as a bucket lasts, what the bucket says. A bucket that is
// repeated keeps what it cost, so that a change of prices does not rewrite the past.
func (st *stage) storeStock(r *Read) {
	f := st.f
	if f.options.Price == nil {
		return
	}
	width := seconds(r.Window.Width.Duration)
	project, by := slices.Index(f.reads, dimensionProject), f.asked()
	for i := range r.buckets {
		b := &r.buckets[i]
		start := b.start.Unix()
		a, was := newAccount(), new(account)
		a.split, a.mix = project >= 0, mixOf(b.rows)
		if old := st.piece(bucketKey{start, width}); old != nil {
			if _, err := was.header(old); err == nil && was.mix == a.mix && (was.closed || st.asOf < start+width) {
				continue
			}
		}
		for _, row := range b.rows {
			usd, _ := f.options.Price(by, row.set.pairs)(b.start, lasting(row.values, r.Window.Width.Duration))
			id := ""
			if a.split {
				id = row.set.labels[project]
			}
			a.charge(id, Amounts{Estimated: usd})
		}
		// An hour at the edge of the window that is on record whole stays.
		st.enter(start, width, a, start-mod(start, secondsOfHour) >= r.Window.From.Unix())
	}
	st.closeBooks()
}

// lasting are levels for a time, in the measure's unit times hours.
func lasting(values []decimal.Fixed, d time.Duration) []decimal.Fixed {
	out := make([]decimal.Fixed, len(values))
	for i, v := range values {
		out[i] = v.Mul(decimal.FromInt(seconds(d))).Quo(decimal.FromInt(secondsOfHour))
	}
	return out
}
