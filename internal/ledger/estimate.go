package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// What is derived of a row, its estimated cost above all, is worked out when the row is booked and kept beside it. A
// row that the API repeats keeps it, so that a change of prices does not rewrite the past; a row that has changed is
// priced anew as a whole, so that a restatement takes back exactly what was booked for it.

// price sets what is derived of the cells of a bucket that has changed. before are the cells on record, and derived
// says whether the record tells what was derived of them.
func (st *stage) price(b *readBucket, before []cell, derived bool, cells []cell) {
	f := st.f
	anew := make(map[uint32]*cell, len(cells))
	i := 0
	for j := range cells {
		c := &cells[j]
		for i < len(before) && before[i].id < c.id {
			i++
		}
		if derived && i < len(before) && before[i].id == c.id && before[i].equal(c) {
			c.derived = before[i].derived
			continue
		}
		anew[c.id] = c
	}
	if len(anew) == 0 {
		return
	}
	// Label sets are priced one by one, since those folded into one cell may have different prices.
	for gi, labelSets := range b.cells {
		for key, sum := range labelSets {
			id, ok := st.known(gi, key)
			if !ok { // It is folded, and was placed a moment ago.
				id = st.places[string(st.key)].id
			}
			c := anew[id]
			if c == nil {
				continue
			}
			labels, err := labelsOf(string(st.key))
			if err != nil {
				panic(err) // The key was made by appendKey when the row was read.
			}
			usd, unpriced := f.options.Price(b.start, f.groupBy, labels, f.groups[gi].spread(sum, len(c.values)))
			c.derived[api.DerivedCost] = c.derived[api.DerivedCost].Add(usd)
			c.derived[api.DerivedUnpriced] = c.derived[api.DerivedUnpriced].Add(unpriced)
		}
	}
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
			at, found := slices.BinarySearchFunc(cells, id, func(c cell, id uint32) int { return cmp.Compare(c.id, id) })
			if !found {
				continue
			}
			for m := range c.derived {
				d := &cells[at].derived[m]
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
		at, ok := st.derived(id, m)
		if !ok {
			at = st.bear(id, m)
		}
		st.delta(at, derivations, m, delta)
	}
}

// derived finds the series of a derived measure that belongs to a series of rows.
func (st *stage) derived(id uint32, m int) (uint32, bool) {
	f := st.f
	if m >= len(f.derived) {
		return 0, false
	}
	key, _ := st.derivedKey(id, m)
	if p, ok := st.places[key]; ok {
		return p.id, true
	}
	s := f.index[key]
	if s == nil || st.current(s.id).ended {
		return 0, false
	}
	return s.id, true
}

// bear makes the series of a derived measure, or lets that of a former shape go on from its total.
func (st *stage) bear(id uint32, m int) uint32 {
	key, labels := st.derivedKey(id, m)
	var at uint32
	if former := st.f.index[key]; former != nil {
		c := *st.current(former.id)
		c.ended = false
		st.series[c.id] = &c
		at = c.id
	} else {
		at = st.born(derivedGroups+m, key, labels, 1, max(st.current(id).seen, st.seen[id]))
	}
	st.places[key] = place{id: at}
	return at
}

// derivedKey is the key of the series that a derived measure of a series of rows is kept under: its labels, cut down.
func (st *stage) derivedKey(id uint32, m int) (string, []Label) {
	g := &st.f.derived[m]
	var b []byte
	var labels []Label
	for _, l := range st.current(id).labels {
		if slices.Contains(g.labels, l.Name) {
			b = appendString(appendString(b, l.Name), l.Value)
			labels = append(labels, l)
		}
	}
	return indexKey(derivedGroups+m, b), labels
}

const secondsOfDay = int64(24 * time.Hour / time.Second)

// estimate notes by how much the estimate of a day changes. It counts what was there before counting began, too.
func (st *stage) estimate(at int64, before, after []cell) {
	day := at - mod(at, secondsOfDay)
	for i := range before {
		st.estimateCell(day, &before[i], decimal.Fixed.Sub)
	}
	for i := range after {
		st.estimateCell(day, &after[i], decimal.Fixed.Add)
	}
}

func (st *stage) estimateCell(day int64, c *cell, to func(a, b decimal.Fixed) decimal.Fixed) {
	usd := c.derived[api.DerivedCost]
	if usd.IsZero() {
		return
	}
	if st.days[day] == nil {
		st.days[day] = map[string]decimal.Fixed{}
	}
	project := projectOf(st.current(c.id).labels)
	st.days[day][project] = to(st.days[day][project], usd)
}

// dimensionProject is the dimension, and its label, that tells whose usage a row is.
const dimensionProject = "project_id"

func projectOf(labels []Label) string {
	for _, l := range labels {
		if l.Name == dimensionProject {
			return l.Value
		}
	}
	return ""
}

// installDays makes the staged estimates part of the feed, and forgets days of which nothing is on record any more.
func (st *stage) installDays() {
	f := st.f
	for day, projects := range st.days {
		if f.days[day] == nil {
			f.days[day] = map[string]decimal.Fixed{}
		}
		for project, usd := range projects {
			f.days[day][project] = f.days[day][project].Add(usd)
		}
	}
	hours := f.hours()
	for day := range f.days {
		if hours[day] == 0 {
			delete(f.days, day)
		}
	}
}

// hours counts how many hours of each UTC day are on record.
func (f *Feed) hours() map[int64]int {
	hours := map[int64]int{}
	for at := range f.spans {
		hours[at-mod(at, secondsOfDay)]++
	}
	return hours
}

// recall adds a bucket from disk to the estimate of its day.
func (f *Feed) recall(start int64, bucket []byte) error {
	if len(f.derived) == 0 {
		return nil
	}
	cells, _, _, err := f.layouts.decodeCells(bucket)
	if err != nil {
		return err
	}
	day := start - mod(start, secondsOfDay)
	for i := range cells {
		at, ok := f.at[cells[i].id]
		if !ok {
			return errUnknownSeries
		}
		usd := cells[i].derived[api.DerivedCost]
		if usd.IsZero() {
			continue
		}
		if f.days[day] == nil {
			f.days[day] = map[string]decimal.Fixed{}
		}
		project := projectOf(f.list[at].labels)
		f.days[day][project] = f.days[day][project].Add(usd)
	}
	return nil
}

// estimates makes the view of the days.
func (f *Feed) estimates() []Estimate {
	if !f.options.estimates() {
		return nil
	}
	hours := f.hours()
	days := make([]int64, 0, len(hours))
	for day := range hours {
		days = append(days, day)
	}
	slices.Sort(days)
	out := make([]Estimate, 0, len(days))
	for _, day := range days {
		e := Estimate{Start: time.Unix(day, 0).UTC(), Hours: hours[day], ByProject: make(map[string]decimal.Fixed, len(f.days[day]))}
		for project, usd := range f.days[day] {
			e.ByProject[project] = usd
		}
		out = append(out, e)
	}
	return out
}
