package collector

import (
	"cmp"
	"hash/fnv"
	"io"
	"maps"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/metrics"
)

// A page is everything that is shown at one moment, in the order in which it is written. It is never changed.
type page struct {
	version uint64
	columns []*column
}

// A column is a metric: the blocks of all origins that have it, in the order of the origins.
type column struct {
	metric  *metrics.Metric
	origins []origin
	blocks  []*block
}

// An origin is what makes blocks: an endpoint of an organization, the names of an organization, the process.
type origin struct {
	organization, endpoint string
	kind                   kind
}

// A kind is what an origin tells of.
type kind int

const (
	data kind = iota
	accuracy
	fullness
	naming
	limiting
	money
	status
	activity
	process
	kinds
)

func (s origin) compare(o origin) int {
	return cmp.Or(cmp.Compare(s.organization, o.organization), cmp.Compare(s.endpoint, o.endpoint), cmp.Compare(s.kind, o.kind))
}

// A desk is where the next page is made. What does not change is taken over from the page before.
type desk struct {
	columns map[string]*column
	own     map[*column]bool // those that no page has yet, which may be changed
	blocks  [kinds]map[origin][]*block
	page    *page
	changed bool
}

func newDesk() *desk {
	d := &desk{columns: make(map[string]*column), own: make(map[*column]bool), page: new(page)}
	for k := range d.blocks {
		d.blocks[k] = make(map[origin][]*block)
	}
	return d
}

// put says what an origin shows from now on.
func (d *desk) put(s origin, blocks []*block) {
	before := d.blocks[s.kind][s]
	for i, b := range blocks {
		at := slices.IndexFunc(before, func(o *block) bool { return o.metric == b.metric })
		if at >= 0 && before[at].equal(b) {
			blocks[i] = before[at]
			continue
		}
		b.edge = d.edge(s, b.metric)
		d.place(s, b)
	}
	for _, b := range before {
		if !slices.ContainsFunc(blocks, func(o *block) bool { return o.metric == b.metric }) {
			d.remove(s, b.metric)
		}
	}
	if len(blocks) == 0 {
		delete(d.blocks[s.kind], s)
		return
	}
	d.blocks[s.kind][s] = blocks
}

// keep removes the origins of a kind that are no longer there.
func (d *desk) keep(k kind, there map[origin]bool) {
	for s := range d.blocks[k] {
		if !there[s] {
			d.put(s, nil)
		}
	}
}

// column returns the column of a metric as one that may be changed.
func (d *desk) column(m *metrics.Metric) *column {
	c := d.columns[m.Name]
	switch {
	case c == nil:
		c = &column{metric: m}
	case d.own[c]:
		return c
	default:
		c = &column{m, slices.Clone(c.origins), slices.Clone(c.blocks)}
	}
	d.columns[m.Name], d.own[c], d.changed = c, true, true
	return c
}

func (d *desk) place(s origin, b *block) {
	c := d.column(b.metric)
	at, found := slices.BinarySearchFunc(c.origins, s, origin.compare)
	if found {
		c.blocks[at] = b
		return
	}
	c.origins, c.blocks = slices.Insert(c.origins, at, s), slices.Insert(c.blocks, at, b)
}

func (d *desk) remove(s origin, m *metrics.Metric) {
	c := d.column(m)
	at, _ := slices.BinarySearchFunc(c.origins, s, origin.compare)
	c.origins, c.blocks = slices.Delete(c.origins, at, at+1), slices.Delete(c.blocks, at, at+1)
	if len(c.blocks) == 0 {
		delete(d.columns, m.Name)
		delete(d.own, c)
	}
}

// edge says whether a chunk may begin with an origin's block of a metric. It depends on nothing else, so that a block that
// comes or goes moves no other chunk's edge.
func (d *desk) edge(s origin, m *metrics.Metric) bool {
	h := fnv.New32a()
	for _, text := range []string{s.organization, "\xff", s.endpoint, "\xff", m.Name} {
		_, _ = io.WriteString(h, text) // It can't fail.
	}
	return h.Sum32()%chunkBlocks == 0
}

// finish returns the page, which is the one before where nothing has changed.
func (d *desk) finish() *page {
	if d.changed {
		next := &page{version: d.page.version + 1, columns: make([]*column, 0, len(d.columns))}
		for _, name := range slices.Sorted(maps.Keys(d.columns)) {
			next.columns = append(next.columns, d.columns[name])
		}
		clear(d.own)
		d.page, d.changed = next, false
	}
	return d.page
}
