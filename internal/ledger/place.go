package ledger

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

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

// cells resolves the label sets of a read bucket and appends its cells to none, sorted.
func (st *stage) cells(cells []cell, b *readBucket) []cell {
	n := len(st.f.options.Endpoint.Measures)
	placed := st.scratch.placed[:0]
	for gi, shown := range b.cells {
		g := &st.f.groups[gi]
		put := func(t *touch, sum []decimal.Fixed) {
			if len(sum) != n {
				sum = g.spread(sum, n)
			}
			placed = append(placed, cell{id: t.id, values: sum, to: t})
		}
		var unplaced []shownCell
		for _, c := range shown {
			if t := st.ownSeriesAt(gi, c.set); t != nil {
				put(t, c.values)
			} else {
				unplaced = append(unplaced, c)
			}
		}
		// In the order of the keys, so that which label sets are the first past the limit does not depend on chance.
		keys := st.read.shown[gi]
		slices.SortFunc(unplaced, func(a, b shownCell) int { return strings.Compare(keys[a.set], keys[b.set]) })
		for _, c := range unplaced {
			put(st.touch(st.resolve(gi, keys[c.set], b.start.Unix())), c.values)
		}
	}
	// Numbers are sorted faster than cells: the id, and where the cell is.
	order := st.scratch.order[:0]
	for i := range placed {
		order = append(order, uint64(placed[i].id)<<32|uint64(i))
	}
	slices.Sort(order)
	for _, at := range order {
		cells = append(cells, placed[uint32(at)])
	}
	st.scratch.placed, st.scratch.order = placed, order
	return mergeCells(cells)
}

// ownSeriesAt returns the series of a label set of the read that has one of its own, or nil. It keeps it for as long as a
// stage is made, so it is looked up once for all buckets.
func (st *stage) ownSeriesAt(gi, set int) *touch {
	for len(st.own) <= gi {
		st.own = append(st.own, make([]*touch, len(st.read.shown[len(st.own)])))
	}
	if st.own[gi][set] == nil {
		if id, ok := st.ownSeries(gi, st.read.shown[gi][set]); ok {
			st.own[gi][set] = st.touch(id)
		}
	}
	return st.own[gi][set]
}

// ownSeries returns the series of a label set that has one of its own, without a search for room. Its key is left in the
// scratch.
func (st *stage) ownSeries(gi int, key string) (uint32, bool) {
	ik := append(append(st.scratch.key[:0], byte(gi)), key...)
	st.scratch.key = ik
	if p, ok := st.places[string(ik)]; ok {
		return p.id, p.folded == 0
	}
	s := st.f.index[string(ik)]
	if s == nil || st.current(s.id).ended {
		return 0, false
	}
	return s.id, true
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
		if folded || f.ledger.ownLabelSets(f.options.Organization)+st.given >= f.ledger.settings.MaxLabelSets {
			if len(f.folded) == 0 && len(st.folded) == 0 {
				level.Warn(f.logger()).Log("msg", "The limit of label sets is reached; new label sets are counted as \"other\"", "max_label_sets", f.ledger.settings.MaxLabelSets)
			}
			return place{st.resolve(gi, other[1:], start), hash}
		}
		st.given++
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

// counts is 1 for a series that takes a place of its own under the limit.
func (f *Feed) counts(s *series) int {
	// Derived series take no place: there are never more of them than of the series they are derived of.
	if s.ended || s.isDerived() || s.key == f.otherKey(s.group) {
		return 0
	}
	return 1
}

// otherKey is the key of the series that label sets past the limit fold into.
func (f *Feed) otherKey(groupIndex int) string {
	var b []byte
	for _, name := range f.groups[groupIndex].labels {
		b = appendString(b, name)
		b = appendString(b, Other)
	}
	return indexKey(groupIndex, b)
}
