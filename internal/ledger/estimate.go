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
	taken := st.taken
	clear(taken)
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
		taken[c.id] = c
	}
	// Rows are priced one by one, since those that are added up in one cell may have different prices.
	project, by := slices.Index(f.reads, "project_id"), f.asked()
	spent := newAccount()
	spent.split, spent.mix = project >= 0, mixOf(b.rows)
	for i := range b.rows {
		r := &b.rows[i]
		usd, unpriced := f.options.Price(b.start, by, r.set.pairs, r.values)
		if spent.split {
			spent.charge(r.set.labels[project], Amounts{Estimated: usd})
		} else {
			spent.charge("", Amounts{Estimated: usd})
		}
		id, ok := st.ownSeriesAt(0, r.set.shown[0]) // Measures of usage are one group.
		if !ok {                                    // It is folded, and was placed a moment ago.
			id = st.places[string(st.key)].id
		}
		if c := taken[id]; c != nil {
			c.derived[api.DerivedCost] = c.derived[api.DerivedCost].Add(usd)
			c.derived[api.DerivedUnpriced] = c.derived[api.DerivedUnpriced].Add(unpriced)
		}
	}
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

// bookDerived adds the difference between what was and what is derived of a cell, to the series that it is kept under.
func (st *stage) bookDerived(id uint32, was, is *cell) {
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
		derived, ok := st.derivedSeries(id, m)
		if !ok {
			derived = st.bear(id, m)
		}
		st.delta(derived, derivations, m, delta)
	}
}

// derivedSeries finds the series of a derived measure that belongs to a series of rows. Once there is one, it stays for as long
// as a stage is made.
func (st *stage) derivedSeries(id uint32, m int) (uint32, bool) {
	f := st.f
	if m >= len(f.derivedGroups) {
		return 0, false
	}
	kin := st.kin[id]
	if kin[m] != 0 {
		return uint32(kin[m] - 1), true
	}
	at, ok := st.findDerivedSeries(id, m)
	if ok {
		kin[m] = int64(at) + 1
		st.kin[id] = kin
	}
	return at, ok
}

func (st *stage) findDerivedSeries(id uint32, m int) (uint32, bool) {
	st.derivedKey(id, m)
	if p, ok := st.places[string(st.key)]; ok {
		return p.id, true
	}
	s := st.f.index[string(st.key)]
	if s == nil || st.current(s.id).ended {
		return 0, false
	}
	return s.id, true
}

// bear makes the series of a derived measure, or lets that of a former shape go on from its total.
func (st *stage) bear(id uint32, m int) uint32 {
	st.derivedKey(id, m)
	key := string(st.key)
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
		derived = st.born(firstDerivedGroup+m, key, labels, 1, max(st.current(id).seen, st.seen[id]))
	}
	st.places[key] = place{id: derived}
	return derived
}

// derivedKey makes the key of the series that a derived measure of a series of rows is kept under: its labels, cut down.
func (st *stage) derivedKey(id uint32, m int) {
	g := &st.f.derivedGroups[m]
	st.key = append(st.key[:0], byte(firstDerivedGroup+m))
	for _, l := range st.current(id).labels {
		if slices.Contains(g.labels, l.Name) {
			st.key = appendString(appendString(st.key, l.Name), l.Value)
		}
	}
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
