package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A Window is a stretch of time to read from the API. From is aligned to the width; To is exclusive, and zero where the
// read should go on to the API's now.
type Window struct {
	Width api.Width
	From  time.Time
	To    time.Time
	// Audit marks the slow path: closed hours read again.
	Audit bool

	shape *shape // the one of the feed that planned it
	probe bool   // it is to tell whose answers these are, and is not booked
}

// A Read is what the API said about a window: whole buckets of summed rows. It is filled by one goroutine, row by row
// as the response is decoded, and booked whole or not at all.
type Read struct {
	Window Window
	// AsOf is the API's clock when it answered.
	AsOf time.Time
	// Begin is where the request really began, where that is later than the window: the API may know what it was asked
	// for only from some date on. Zero means at the window's start.
	Begin time.Time
	// Organization is the API's id of the organization that the rows are of, or "" where they don't say one.
	Organization string

	columns []string
	groups  []group
	buckets []readBucket
	newest  time.Time // start of the newest bucket
	open    int       // index of the bucket that takes rows
	key     []byte
	// Label sets come again in bucket after bucket: each is kept once.
	keys map[string]string
	slab []decimal.Fixed // room for sums, so that they need not be allocated one by one
}

// readBucket maps each group's label key to the summed values of that group.
type readBucket struct {
	start    time.Time
	repeated bool
	cells    []map[string][]decimal.Fixed // by group
}

// NewRead returns an empty read of a window of an endpoint, grouped by the dimensions asked for.
func NewRead(e *api.Endpoint, groupBy []string, w Window) *Read {
	columns, groups := layout(e, groupBy)
	return &Read{Window: w, columns: columns, groups: groups, keys: make(map[string]string)}
}

// reading checks that the buckets are those that were asked for, puts them in order and says which time they are of.
func (r *Read) reading() (reading, error) {
	slices.SortFunc(r.buckets, func(a, b readBucket) int { return a.start.Compare(b.start) })
	at := reading{asOf: r.AsOf.Unix(), from: r.Window.From.Unix(), audit: r.Window.Audit}
	width := seconds(r.Window.Width.Duration)
	for i, b := range r.buckets {
		start := b.start.Unix()
		if start < at.from || mod(start, width) != 0 || !r.Window.To.IsZero() && !b.start.Before(r.Window.To) {
			return at, fmt.Errorf("the API answered with a bucket that was not asked for: %s", b.start.UTC().Format(time.RFC3339))
		}
		if i > 0 && b.start.Equal(r.buckets[i-1].start) || b.repeated {
			return at, fmt.Errorf("the API answered with the bucket %s twice", b.start.UTC().Format(time.RFC3339))
		}
		at.through = start + width
		if at.through <= at.asOf {
			at.closed = at.through
		}
	}
	return at, nil
}

// gap is the first bucket that the answer leaves out although it was asked for. The buckets must be in order. What an
// open window lacks at its end is no gap: the API has not come so far yet, and the next read asks for it again.
func (r *Read) gap() (start time.Time, found bool) {
	at, width := r.Window.From, r.Window.Width.Duration
	if r.Begin.After(at) {
		at = r.Begin
	}
	for i := range r.buckets {
		if at.Before(r.buckets[i].start) {
			return at, true
		}
		at = r.buckets[i].start.Add(width)
	}
	return at, at.Before(r.Window.To)
}

// Columns are the names of the dimensions of a row, in the order that Row takes their values: the grouping asked for,
// then what rows carry on their own.
func (r *Read) Columns() []string { return r.columns }

// Bucket opens the bucket that starts at start. An empty bucket counts as read: what it held before is gone. The same
// bucket twice is a contradiction that Book refuses, since nobody can tell whether to add or to replace.
func (r *Read) Bucket(start time.Time) {
	if start.After(r.newest) {
		r.add(start) // As they come, nearly always.
		return
	}
	for i := range slices.Backward(r.buckets) {
		if r.buckets[i].start.Equal(start) {
			r.open = i
			r.buckets[i].repeated = true
			return
		}
	}
	r.add(start)
}

func (r *Read) add(start time.Time) {
	r.buckets = append(r.buckets, readBucket{start: start, cells: make([]map[string][]decimal.Fixed, len(r.groups))})
	r.open = len(r.buckets) - 1
	if start.After(r.newest) {
		r.newest = start
	}
}

// Row adds a row to the open bucket. Labels follow Columns, "" where the row has none; values follow the endpoint's
// measures. Rows with equal labels are summed, because the API does not promise that rows are unique. Both slices may
// be reused by the caller.
func (r *Read) Row(labels []string, values []decimal.Fixed) {
	b := &r.buckets[r.open]
	for gi := range r.groups {
		g := &r.groups[gi]
		r.key = appendKey(r.key[:0], g, labels)
		if b.cells[gi] == nil {
			// Buckets are much of a size.
			size := 0
			if r.open > 0 {
				size = len(r.buckets[r.open-1].cells[gi])
			}
			b.cells[gi] = make(map[string][]decimal.Fixed, size)
		}
		sum := b.cells[gi][string(r.key)]
		if sum == nil {
			key, met := r.keys[string(r.key)]
			if !met {
				key = string(r.key)
				r.keys[key] = key
			}
			sum = r.sums(len(g.measures))
			b.cells[gi][key] = sum
		}
		for i, m := range g.measures {
			sum[i] = sum[i].Add(values[m])
		}
	}
}

// sums returns zeros for n measures.
func (r *Read) sums(n int) []decimal.Fixed {
	const several = 64
	if len(r.slab) < n {
		r.slab = make([]decimal.Fixed, several*n)
	}
	s := r.slab[:n:n]
	r.slab = r.slab[n:]
	return s
}

// Rows is the number of distinct label sets of the fullest group over all buckets, for logs.
func (r *Read) Rows() int {
	n := 0
	for i := range r.buckets {
		for _, c := range r.buckets[i].cells {
			n += len(c)
		}
	}
	return n
}

// A group is the measures of an endpoint that share their labels, and thereby their series.
type group struct {
	measures []int    // indexes of the endpoint's measures, or of the derived ones
	rare     Set      // the places in measures of those that most label sets never have
	columns  []int    // indexes of a row's columns
	labels   []string // the Prometheus label of each column
}

// derivedGroups are the number of the first group of derived measures: each derived measure is a group of its own,
// numbered so that no change of the measures that are read moves it.
const derivedGroups = 64

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
		at := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.columns, cols) })
		if at < 0 {
			g := group{columns: cols}
			for _, c := range cols {
				d, _ := e.Dimension(columns[c])
				g.labels = append(g.labels, d.Label)
			}
			groups = append(groups, g)
			at = len(groups) - 1
		}
		if g := &groups[at]; m.Rare {
			g.rare = g.rare.With(len(g.measures))
		}
		groups[at].measures = append(groups[at].measures, i)
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
