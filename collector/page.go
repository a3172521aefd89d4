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

// A column is a metric: the runs of all origins that have it, in the order of the origins.
type column struct {
	metric  *metrics.Metric
	origins []origin
	runs    []*run
}

// A run is what one origin has of a metric: blocks in the order of their labels, at least one.
type run struct {
	metric *metrics.Metric
	blocks []*block
}

// blocks goes through the blocks of a column.
func (c *column) blocks(yield func(*block) bool) {
	for _, r := range c.runs {
		for _, b := range r.blocks {
			if !yield(b) {
				return
			}
		}
	}
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
	lookups
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
	runs    [kinds]map[origin][]*run
	page    *page
	changed bool
}

func newDesk() *desk {
	d := &desk{columns: make(map[string]*column), own: make(map[*column]bool), page: new(page)}
	for k := range d.runs {
		d.runs[k] = make(map[origin][]*run)
	}
	return d
}

// put says what an origin shows from now on.
func (d *desk) put(s origin, runs []*run) {
	before := d.runs[s.kind][s]
	for i, r := range runs {
		if slices.Contains(before, r) {
			continue
		}
		r.blocks[0].edge = d.edge(s, r.metric)
		place := slices.IndexFunc(before, func(o *run) bool { return o.metric == r.metric })
		if place >= 0 && r.takeOver(before[place]) {
			runs[i] = before[place]
			continue
		}
		d.place(s, r)
	}
	for _, r := range before {
		if !slices.ContainsFunc(runs, func(o *run) bool { return o.metric == r.metric }) {
			d.remove(s, r.metric)
		}
	}
	if len(runs) == 0 {
		delete(d.runs[s.kind], s)
		return
	}
	d.runs[s.kind][s] = runs
}

// takeOver puts blocks of the time before in place of those that are equal to them, and says whether that is all.
func (r *run) takeOver(before *run) bool {
	same, at := len(r.blocks) == len(before.blocks), 0
	for i, b := range r.blocks {
		for at < len(before.blocks) && compareLabels(before.blocks[at].samples[0].labels, b.samples[0].labels) < 0 {
			at++
		}
		if at < len(before.blocks) && b.equal(before.blocks[at]) {
			r.blocks[i] = before.blocks[at]
			continue
		}
		same = false
		if len(r.blocks) > 1 {
			b.samples = slices.Clone(b.samples) // Else one block that stays would hold on to the samples of all.
		}
	}
	return same
}

// keep removes the origins of a kind that are no longer there.
func (d *desk) keep(k kind, there map[origin]bool) {
	for s := range d.runs[k] {
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
		c = &column{m, slices.Clone(c.origins), slices.Clone(c.runs)}
	}
	d.columns[m.Name], d.own[c], d.changed = c, true, true
	return c
}

func (d *desk) place(s origin, r *run) {
	c := d.column(r.metric)
	i, found := slices.BinarySearchFunc(c.origins, s, origin.compare)
	if found {
		c.runs[i] = r
		return
	}
	c.origins, c.runs = slices.Insert(c.origins, i, s), slices.Insert(c.runs, i, r)
}

func (d *desk) remove(s origin, m *metrics.Metric) {
	c := d.column(m)
	at, _ := slices.BinarySearchFunc(c.origins, s, origin.compare)
	c.origins, c.runs = slices.Delete(c.origins, at, at+1), slices.Delete(c.runs, at, at+1)
	if len(c.runs) == 0 {
		delete(d.columns, m.Name)
		delete(d.own, c)
	}
}

// edge says whether a chunk begins with an origin's run of a metric. It depends on nothing else, so that a run that comes or
// goes moves no other chunk's edge.
func (d *desk) edge(s origin, m *metrics.Metric) bool {
	h := fnv.New32a()
	for _, text := range []string{s.organization, "\xff", s.endpoint, "\xff", m.Name} {
		_, _ = io.WriteString(h, text) // It can't fail.
	}
	return h.Sum32()%chunkRuns == 0
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
