package simulator

import (
	"slices"
	"strings"
	"sync"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// simulated are the dimensions that streams have labels for. A dimension that the table gets later has made-up values
// until somebody gives it real ones.
var simulated = []string{"project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source", "size", "source", "vector_store_id", "context_level"}

// label is the stream's value of a dimension, "" where it has none.
func (st *stream) label(dimension string) string {
	if v, ok := st.labels[dimension]; ok || slices.Contains(simulated, dimension) {
		if v == "" && dimension == "api_source" {
			return "unlabeled" // All records without a published source, says the official client.
		}
		return v
	}
	return dimension + "_" + identifier(st.id%3, 1)
}

// label is the bill item's value of a dimension.
func (it *billItem) label(dimension string) string {
	switch dimension {
	case "line_item":
		return it.line
	case "quantity_unit":
		return it.unit
	}
	return it.src.dense[it.stream].label(dimension)
}

// A group is a row to be: what streams have in common.
type group struct {
	labels  []string // of the dimensions grouped by
	project string   // what the row says of the project where it is not grouped by
	unit    string
	blank   bool // the project is spelled "" instead of null
	free    bool
}

// A grouping says which group each stream, or each item of the bill, belongs to.
type grouping struct {
	groups []group
	rows   []int32 // the group of each, or -1
}

// groupings remembers the last groupings, as a client asks for the same again and again.
type groupings struct {
	mu sync.Mutex
	m  map[string]*grouping
}

func (g *groupings) get(key string, compute func() *grouping) *grouping {
	const limit = 100
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.m[key]; x != nil {
		return x
	}
	if g.m == nil || len(g.m) >= limit {
		g.m = make(map[string]*grouping)
	}
	x := compute()
	g.m[key] = x
	return x
}

func groupingKey(e *api.Endpoint, groupBy []string, filters map[string][]string) string {
	key := e.Name + "\x00" + strings.Join(groupBy, ",")
	if len(filters) == 0 {
		return key
	}
	for _, f := range e.Filters {
		d := strings.TrimSuffix(f, "s")
		key += "\x00" + d + "=" + strings.Join(filters[d], ",")
	}
	return key
}

type labelled interface{ label(dimension string) string }

func passes(l labelled, filters map[string][]string) bool {
	for d, allowed := range filters {
		if !slices.Contains(allowed, l.label(d)) {
			return false
		}
	}
	return true
}

// A grouper collects groups that differ in their labels or in what keeps rows apart.
type grouper struct {
	grouping
	index map[string]int32
	key   []byte
}

func (g *grouper) put(l labelled, groupBy []string, apart string, start func(labels []string) group) {
	g.key = append(g.key[:0], apart...)
	for _, d := range groupBy {
		g.key = append(append(g.key, 0), l.label(d)...)
	}
	i, ok := g.index[string(g.key)]
	if !ok {
		i = int32(len(g.groups))
		g.index[string(g.key)] = i
		var labels []string
		for _, d := range groupBy {
			labels = append(labels, l.label(d))
		}
		g.groups = append(g.groups, start(labels))
	}
	g.rows = append(g.rows, i)
}

// usageGroups groups the streams of an endpoint. Streams that are variants of the same labels stay rows of their own
// once anything is grouped by: rows are not unique.
func (s *Simulator) usageGroups(src *source, groupBy []string, filters map[string][]string) *grouping {
	return s.groupings.get(groupingKey(src.endpoint, groupBy, filters), func() *grouping {
		g := grouper{index: map[string]int32{}}
		for i := range src.len() {
			st := src.stream(i)
			if !passes(st, filters) {
				g.rows = append(g.rows, -1)
				continue
			}
			apart := ""
			if len(groupBy) > 0 {
				apart = st.variant
			}
			g.put(st, groupBy, apart, func(labels []string) group {
				return group{labels: labels, blank: apart == "playground 1"}
			})
		}
		return &g.grouping
	})
}

// billGroups groups the items of the bill, two entries an item: what is paid for, and what is free. A line item is
// split by project even where only the line item is asked for, and quantities appear only with it.
func (s *Simulator) billGroups(e *api.Endpoint, groupBy []string, filters map[string][]string) *grouping {
	return s.groupings.get(groupingKey(e, groupBy, filters), func() *grouping {
		g := grouper{index: map[string]int32{}}
		byLine := slices.Contains(groupBy, "line_item")
		for i := range s.org.items {
			it := &s.org.items[i]
			if !passes(it, filters) {
				g.rows = append(g.rows, -1, -1)
				continue
			}
			for _, free := range []bool{false, true} {
				apart, template := "", group{}
				if byLine {
					template = group{project: it.label("project_id"), unit: it.unit, free: free}
					apart = template.project + "\x00" + template.unit
					if free {
						apart += "\x00free"
					}
				}
				g.put(it, groupBy, apart, func(labels []string) group {
					template.labels = labels
					return template
				})
			}
		}
		return &g.grouping
	})
}
