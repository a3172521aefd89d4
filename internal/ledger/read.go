package ledger

import (
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

	shape        *shape       // the one of the feed that planned it
	probe        bool         // it is to tell whose answers these are, and is not booked
	told         bool         // it was planned just after an hour has told that, or could not be asked for
	fingerprints fingerprints // of buckets that are on record
}

// A Read is what the API said about a window: whole buckets of summed rows, as fine as they were asked for. It is filled
// by one goroutine, row by row as the response is decoded, and booked whole or not at all.
type Read struct {
	Window Window
	// AsOf is the API's clock when it answered.
	AsOf time.Time
	// Begin is where the request really began, where that is later than the window: the API may know what it was asked
	// for only from some date on. Zero means at the window's start.
	Begin time.Time
	// Organization is the API's id of the organization that the rows are of, or "" where they don't say one.
	Organization string
	// Key tells apart the admin keys that reads were made with. It is 0 where there were several, or nobody says.
	Key uint64

	columns []string
	asked   int            // how many of the columns were asked for
	groups  []group        // what rows are added up to where they are not booked
	every   group          // all columns
	cost    int            // index of the measure that tells charges from credits, or -1
	project int            // index of the column that tells whose a row is, or -1
	paying  map[string]int // the place of a payer
	payers  []string       // the projects that rows are of; "" alone where they don't tell
	buckets []readBucket
	newest  time.Time // start of the newest bucket
	open    int       // index of the bucket that takes rows
	key     []byte
	// Label sets come again in bucket after bucket: each is kept once.
	sets map[string]*labelSet
	// shown are the keys of the label sets that rows are added up to, by group. What is done with a label set in every bucket
	// goes by its place here, since keys are long.
	shown [][]string
	met   []int           // scratch of sum, all zero
	slab  []decimal.Fixed // room for sums, so that they need not be allocated one by one
}

// A labelSet is what rows that belong together have in common: the labels of all columns, and on the bill whether they
// are charged, free or credited.
type labelSet struct {
	labels []string // follow the columns
	pairs  []Label  // those that have a value, but for what rows carry on their own
	hash   uint64   // odd
	nature nature
	// The last row of the set is number at of bucket number bucket.
	bucket, at int
	// shown are the places in the read's shown of the label sets that it is added up to, by group.
	shown []int
	payer int // its place in the read's payers
	// rate is what a stage has its rows priced by.
	rate     Rate
	pricedBy *stage
}

// The nature of a row of the bill.
type nature byte

const (
	charged nature = iota
	free
	credited
)

// readBucket has the rows of a bucket, each label set once.
type readBucket struct {
	start       time.Time
	repeated    bool
	same        bool // its rows are those on record that have the fingerprint
	fingerprint Fingerprint
	rows        []readRow
	cells       [][]shownCell // the rows added up to what is shown, by group
}

// A shownCell has the sums of a label set that is shown, which follow the measures of its group.
type shownCell struct {
	set    int // its place in the read's shown
	values []decimal.Fixed
	own    bool // the values are not those of a row
}

// A readRow has the sums of a label set, which follow the endpoint's measures.
type readRow struct {
	set    *labelSet
	values []decimal.Fixed
}

// NewRead returns an empty read of a window of an endpoint, grouped by the dimensions asked for.
func NewRead(e *api.Endpoint, groupBy []string, w Window) *Read {
	r := &Read{Window: w, cost: -1, sets: make(map[string]*labelSet), paying: make(map[string]int)}
	r.columns, r.groups = layout(e, groupBy)
	r.asked = len(r.columns) - len(e.Attributes)
	r.project = slices.Index(r.columns, dimensionProject)
	for c, name := range r.columns {
		d, _ := e.Dimension(name)
		r.every.columns, r.every.labels = append(r.every.columns, c), append(r.every.labels, d.Label)
	}
	for i, m := range e.Measures {
		r.every.measures = append(r.every.measures, i)
		if m.Name == api.MeasureCost {
			r.cost = i
		}
	}
	return r
}

// reading checks that the buckets are those that were asked for, puts them in order and says which time they are of.
func (r *Read) reading() (reading, error) {
	slices.SortFunc(r.buckets, func(a, b readBucket) int { return a.start.Compare(b.start) })
	is := reading{asOf: r.AsOf.Unix(), from: r.Window.From.Unix(), audit: r.Window.Audit}
	width := seconds(r.Window.Width.Duration)
	for i, b := range r.buckets {
		start := b.start.Unix()
		if start < is.from || mod(start, width) != 0 || !r.Window.To.IsZero() && !b.start.Before(r.Window.To) {
			return is, fmt.Errorf("the API returned the bucket %s, which was not requested", b.start.UTC().Format(time.RFC3339))
		}
		if before := start - width; i > 0 && r.buckets[i-1].start.Unix() < before {
			is.lacked = before
		}
		if i > 0 && b.start.Equal(r.buckets[i-1].start) || b.repeated {
			return is, fmt.Errorf("the API returned the bucket %s twice", b.start.UTC().Format(time.RFC3339))
		}
		is.through = start + width
		if is.through <= is.asOf {
			is.closed = is.through
		}
	}
	return is, nil
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
	r.buckets = append(r.buckets, readBucket{start: start})
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
	if b.rows == nil && r.open > 0 {
		before := &r.buckets[r.open-1]
		b.rows = make([]readRow, 0, max(len(before.rows), before.fingerprint.Rows)) // Buckets are much of a size.
	}
	is := charged
	if r.cost >= 0 {
		is = natureOf(values[r.cost])
	}
	set := r.expected(b)
	if set == nil || set.nature != is || !slices.Equal(set.labels, labels) {
		r.key = appendKey(append(r.key[:0], byte(is)), &r.every, labels)
		if set = r.sets[string(r.key)]; set == nil {
			set = r.meet(labels, is)
		}
	}
	if set.bucket != r.open {
		set.bucket, set.at = r.open, len(b.rows)
		sum := r.sums(len(values))
		copy(sum, values)
		b.rows = append(b.rows, readRow{set, sum})
		return
	}
	add(b.rows[set.at].values, values)
}

// expected is the label set of the row that stands in the bucket before where the next one will in this, or nil: the API
// sends the rows of all buckets in much the same order.
func (r *Read) expected(b *readBucket) *labelSet {
	if r.open > 0 {
		if before := r.buckets[r.open-1].rows; len(b.rows) < len(before) {
			return before[len(b.rows)].set
		}
	}
	return nil
}

// meet makes the label set of the key at hand.
func (r *Read) meet(labels []string, is nature) *labelSet {
	key := string(r.key)
	set := &labelSet{labels: slices.Clone(labels), hash: hashKey(key) | 1, nature: is, bucket: -1}
	for c, value := range labels[:r.asked] {
		if value != "" {
			set.pairs = append(set.pairs, Label{r.every.labels[c], value})
		}
	}
	r.sets[key] = set
	payer := ""
	if r.project >= 0 {
		payer = labels[r.project]
	}
	place, met := r.paying[payer]
	if !met {
		place = len(r.payers)
		r.paying[payer], r.payers = place, append(r.payers, payer)
	}
	set.payer = place
	return set
}

func natureOf(usd decimal.Fixed) nature {
	switch usd.Sign() {
	case 0:
		return free
	case -1:
		return credited
	}
	return charged
}

// show adds up the rows of every bucket to the label sets of groups, whose columns are some of the read's.
func (r *Read) show(columns []string, groups []group) {
	at := make([]int, len(columns))
	for i, name := range columns {
		at[i] = slices.Index(r.columns, name)
	}
	labels := make([]string, len(columns))
	r.shown = make([][]string, len(groups))
	places := make([]map[string]int, len(groups))
	for gi := range groups {
		places[gi] = make(map[string]int)
	}
	for _, set := range r.sets {
		for i, c := range at {
			labels[i] = set.labels[c]
		}
		set.shown = make([]int, len(groups))
		for gi := range groups {
			r.key = appendKey(r.key[:0], &groups[gi], labels)
			place, met := places[gi][string(r.key)]
			if !met {
				key := string(r.key)
				place = len(r.shown[gi])
				places[gi][key], r.shown[gi] = place, append(r.shown[gi], key)
			}
			set.shown[gi] = place
		}
	}
	for i := range r.buckets {
		b := &r.buckets[i]
		if b.same {
			continue
		}
		b.cells = make([][]shownCell, len(groups))
		for gi := range groups {
			if !groups[gi].absent {
				b.cells[gi] = r.sum(b.rows, gi, groups[gi].measures)
			}
		}
	}
}

// sum adds up rows to the label sets of a group, in the order in which these come first.
func (r *Read) sum(rows []readRow, gi int, measures []int) []shownCell {
	whole := len(measures) == len(r.every.measures)
	if n := len(r.shown[gi]); len(r.met) < n {
		r.met = make([]int, n)
	}
	cells := make([]shownCell, 0, min(len(rows), len(r.shown[gi])))
	for _, row := range rows {
		set := row.set.shown[gi]
		i := r.met[set] - 1
		if i < 0 {
			i = len(cells)
			r.met[set] = i + 1
			if whole {
				// Most label sets have one row, whose values they share until there is another.
				cells = append(cells, shownCell{set: set, values: row.values})
				continue
			}
			cells = append(cells, shownCell{set: set, values: r.sums(len(measures)), own: true})
		}
		c := &cells[i]
		if !c.own {
			c.values, c.own = append(r.sums(len(measures))[:0], c.values...), true
		}
		for j, m := range measures {
			c.values[j] = c.values[j].Add(row.values[m])
		}
	}
	for i := range cells {
		r.met[cells[i].set] = 0
	}
	return cells
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

// Rows is the number of distinct label sets over all buckets, for logs.
func (r *Read) Rows() int {
	n := 0
	for i := range r.buckets {
		if b := &r.buckets[i]; b.same {
			n += b.fingerprint.Rows
		} else {
			n += len(b.rows)
		}
	}
	return n
}
