package ledger

import (
	"cmp"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// What is derived of a row, its estimated cost above all, is worked out when the row is booked and kept beside it. A
// row that the API repeats keeps it, so that a change of prices does not rewrite the past; a row that has changed is
// priced again as a whole, so that a restatement takes back exactly what was booked for it.

// price sets what is derived of the cells of a bucket that has changed, and returns what all of it costs by project. before
// are the cells on record, and hasDerived says whether the record tells what was derived of them.
func (st *stage) price(b *readBucket, before []cell, hasDerived bool, cells []cell) *account {
	f := st.f
	i := 0
	for j := range cells {
		c := &cells[j]
		for i < len(before) && before[i].id < c.id {
			i++
		}
		if hasDerived && i < len(before) && before[i].id == c.id && before[i].equal(c) {
			c.derived = before[i].derived
			continue
		}
		c.to.price = c
	}
	// Rows are priced one by one, since those that are added up in one cell may have different prices.
	by := f.asked()
	spent := newAccount()
	spent.split, spent.mix = st.read.project >= 0, mixOf(b.rows)
	payers := st.read.payers
	paid := slices.Grow(st.scratch.paid[:0], len(payers))[:len(payers)]
	clear(paid)
	for i := range b.rows {
		r := &b.rows[i]
		if r.set.pricedBy != st {
			r.set.pricedBy, r.set.rate = st, f.options.Price(by, r.set.pairs)
		}
		usd, unpriced := r.set.rate(b.start, r.values)
		paid[r.set.payer] = paid[r.set.payer].Add(usd)
		to := st.ownSeriesAt(0, r.set.shown[0]) // Measures of usage are one group.
		if to == nil {                          // It is folded, and was placed a moment ago.
			to = st.touch(st.places[string(st.scratch.key)].id)
		}
		if c := to.price; c != nil {
			c.derived[api.DerivedCost] = c.derived[api.DerivedCost].Add(usd)
			c.derived[api.DerivedUnpriced] = c.derived[api.DerivedUnpriced].Add(unpriced)
		}
	}
	for j := range cells {
		cells[j].to.price = nil
	}
	for payer, usd := range paid {
		spent.charge(payers[payer], Amounts{Estimated: usd})
	}
	st.scratch.paid = paid
	return spent
}

// spread puts the values of a group in the order of the endpoint's measures.
func (g *group) spread(sum []decimal.Fixed, measures int) []decimal.Fixed {
	values := make([]decimal.Fixed, measures)
	for i, m := range g.measures {
		values[m] = sum[i]
	}
	return values
}

// keepDerived lets the series of a span that changes hands keep what was derived of them in the old width, where the
// sums have not changed. Whatever other prices make of the parts goes to the last of them.
func keepDerived(was, is map[uint32]*cell, parts [][]cell) {
	for id, c := range is {
		old := was[id]
		if old == nil || !old.equal(c) || old.derived == c.derived {
			continue
		}
		for _, cells := range slices.Backward(parts) {
			i, found := slices.BinarySearchFunc(cells, id, func(c cell, id uint32) int { return cmp.Compare(c.id, id) })
			if !found {
				continue
			}
			for m := range c.derived {
				d := &cells[i].derived[m]
				*d = d.Add(old.derived[m]).Sub(c.derived[m])
			}
			break
		}
		c.derived = old.derived
	}
}

// bookDerived adds the difference between what was and what is derived of a cell, to the series that it is kept under. It
// returns the touch of the cell's series, if it has needed one.
func (st *stage) bookDerived(id uint32, to *touch, was, is *cell) *touch {
	for m := range derivations {
		var delta decimal.Fixed
		if is != nil {
			delta = is.derived[m]
		}
		if was != nil {
			delta = delta.Sub(was.derived[m])
		}
		if delta.IsZero() {
			continue
		}
		if to == nil {
			to = st.touch(id)
		}
		derived := st.derivedSeries(to, m)
		if derived == nil {
			derived = st.touch(st.bear(to, m))
		}
		derived.add(derivations, m, delta)
	}
	return to
}

// derivedSeries finds the series of a derived measure that belongs to a series of rows, or nil. Once there is one, it stays for
// as long as a stage is made.
func (st *stage) derivedSeries(to *touch, m int) *touch {
	if m >= len(st.f.derivedGroups) {
		return nil
	}
	if to.kin[m] == nil {
		if id, ok := st.findDerivedSeries(to.id, m); ok {
			to.kin[m] = st.touch(id)
		}
	}
	return to.kin[m]
}

func (st *stage) findDerivedSeries(id uint32, m int) (uint32, bool) {
	key := st.derivedKey(id, m)
	if p, ok := st.places[string(key)]; ok {
		return p.id, true
	}
	s := st.f.index[string(key)]
	if s == nil || st.current(s.id).ended {
		return 0, false
	}
	return s.id, true
}

// bear makes the series of a derived measure, or lets that of a former shape go on from its total.
func (st *stage) bear(to *touch, m int) uint32 {
	key := string(st.derivedKey(to.id, m))
	var derived uint32
	if former := st.f.index[key]; former != nil {
		c := *st.current(former.id)
		c.ended = false
		st.series[c.id] = &c
		derived = c.id
	} else {
		labels, err := labelsOf(key)
		if err != nil {
			panic(err) // The key was made a moment ago.
		}
		derived = st.born(firstDerivedGroup+m, key, labels, 1, max(st.current(to.id).seen, to.seen))
	}
	st.places[key] = place{id: derived}
	return derived
}

// derivedKey makes the key of the series that a derived measure of a series of rows is kept under: its labels, cut down.
// It is valid until the next key is made.
func (st *stage) derivedKey(id uint32, m int) []byte {
	g := &st.f.derivedGroups[m]
	st.scratch.key = append(st.scratch.key[:0], byte(firstDerivedGroup+m))
	for _, l := range st.current(id).labels {
		if slices.Contains(g.labels, l.Name) {
			st.scratch.key = appendString(appendString(st.scratch.key, l.Name), l.Value)
		}
	}
	return st.scratch.key
}

// dimensionProject is the dimension, and its label, that tells whose usage a row is.
const dimensionProject = "project_id"

func projectOf(labels []Label) string { return valueOf(labels, dimensionProject) }

func valueOf(labels []Label, name string) string {
	for _, l := range labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}
