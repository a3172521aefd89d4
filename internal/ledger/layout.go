package ledger

import (
	"encoding/binary"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A group is the measures of an endpoint that share their labels, and thereby their series.
type group struct {
	measures []int    // indexes of the endpoint's measures, or of the derived ones
	rare     Set      // the places in measures of those that most label sets never have
	columns  []int    // indexes of a row's columns
	labels   []string // the Prometheus label of each column
	// absent says that the API tells these measures by a dimension that is not asked for or not shown, and without it they
	// say nothing.
	absent bool
}

// firstDerivedGroup is the number of the first group of derived measures: each derived measure is a group of its own,
// numbered so that no change of the measures that are read moves it.
const firstDerivedGroup = 64

// layoutDerived says under which labels the derived measures of an endpoint are kept when it is grouped so.
func layoutDerived(e *api.Endpoint, columns []string) []group {
	groups := make([]group, len(e.Derived))
	for i, m := range e.Derived {
		groups[i].measures = []int{i}
		for c, name := range columns {
			if slices.Contains(m.By, name) {
				d, _ := e.Dimension(name)
				groups[i].columns = append(groups[i].columns, c)
				groups[i].labels = append(groups[i].labels, d.Label)
			}
		}
	}
	return groups
}

// layout says which columns the rows of an endpoint have when grouped so, and which measures share labels.
func layout(e *api.Endpoint, groupBy []string) (columns []string, groups []group) {
	columns = e.GroupBy(groupBy)
	grouped := len(columns)
	for _, d := range e.Attributes {
		columns = append(columns, d.Name)
	}
	for i, m := range e.Measures {
		var cols []int
		if m.By == nil {
			for c := range grouped {
				cols = append(cols, c)
			}
		} else {
			for c, name := range columns {
				if slices.Contains(m.By, name) {
					cols = append(cols, c)
				}
			}
		}
		place := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.columns, cols) })
		if place < 0 {
			g := group{columns: cols, absent: len(cols) < len(m.By)}
			for _, c := range cols {
				d, _ := e.Dimension(columns[c])
				g.labels = append(g.labels, d.Label)
			}
			groups = append(groups, g)
			place = len(groups) - 1
		}
		if g := &groups[place]; m.Rare {
			g.rare = g.rare.With(len(g.measures))
		}
		groups[place].measures = append(groups[place].measures, i)
	}
	return columns, groups
}

// appendKey encodes the labels of a group: name and value of each label that has a value, length first. Names are part
// of the key so that a label set means the same in every shape that has it.
func appendKey(b []byte, g *group, labels []string) []byte {
	for i, c := range g.columns {
		if labels[c] == "" {
			continue
		}
		b = appendString(b, g.labels[i])
		b = appendString(b, labels[c])
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
