package ledger

import (
	"maps"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// applyStock takes a level: per label set what the newest bucket says that has it. The window reaches back as far as a
// level may stand without being repeated, so every read makes the whole again and nothing is kept.
func (st *stage) applyStock(r *Read) {
	f := st.f
	newest := map[string][]decimal.Fixed{}
	for i := range slices.Backward(r.buckets) {
		for key, values := range r.buckets[i].cells[0] {
			if newest[key] == nil {
				newest[key] = values
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
	st.own = len(st.stock)
	if rest != nil {
		labels, err := labelsOf(f.otherKey(0))
		if err != nil {
			panic(err)
		}
		st.stock = append(st.stock, Row{Labels: labels, Measures: g.measures, Values: rest})
	}
}
