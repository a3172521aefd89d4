package ledger

import (
	"maps"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// decode returns the cells of a recorded bucket, until the next one is decoded, and what it could record.
func (st *stage) decode(old []byte) (cells []cell, covered coverage, err error) {
	cells, layout, hasDerived, err := st.f.layouts.decodeInto(&st.scratch.before, old)
	if err != nil {
		return nil, covered, err
	}
	for i := range cells {
		if _, ok := st.f.position[cells[i].id]; !ok {
			return nil, covered, errUnknownSeries
		}
	}
	return cells, coverage{st.f.layouts.covers(layout), hasDerived}, nil
}

// covers is the coverage of what is recorded now.
func (st *stage) covers() coverage {
	return coverage{st.f.layouts.covers(st.f.layouts.current), true}
}

// A coverage is what a record could say: a measure that it could not is met for the first time.
type coverage struct {
	measures []bool // of today's table
	derived  bool
}

func (k *coverage) restrict(o coverage) {
	for i := range k.measures {
		k.measures[i] = k.measures[i] && o.measures[i]
	}
	k.derived = k.derived && o.derived
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
