package collector

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A sample is the value of a series of a counter or a gauge.
type sample struct {
	labels *labelSet
	value  float64
	// created is when a counter began to count from zero, in Unix milliseconds; 0 where it is no counter.
	created int64
}

// A block is some of what one origin has of a metric, sorted by labels. It is never changed once it is on a page, so equal
// blocks are equal bytes.
type block struct {
	metric  *metrics.Metric
	samples []sample
	// histograms follow the samples, whose values mean nothing then. Only a histogram has them.
	histograms []*dto.Histogram
	// sorted says that the samples came in the order of their labels.
	sorted bool
	// edge says that a chunk begins here.
	edge bool
	// sized is the length of the samples in protobuf once it is known, else 0.
	sized atomic.Int64
}

// families collects the samples of an origin into blocks.
type families struct {
	table  map[string]*metrics.Metric
	byName map[string]*block
	// former are the label sets of the time before, by the address of their own part, which lives as long as the series; used
	// are those of this time, where they are to be found again the next time.
	former, used map[*ledger.Label]*labelSet
	// room are the runs of the time before, whose sizes are a good guess, and stays are those of them that are the same now.
	room, stays []*run
}

func newFamilies(table map[string]*metrics.Metric) *families {
	return &families{table: table, byName: make(map[string]*block)}
}

// family returns the block of a metric of the table.
func (fs *families) family(name string) *block {
	b := fs.byName[name]
	if b == nil {
		b = &block{metric: fs.table[name]}
		if i := slices.IndexFunc(fs.room, func(o *run) bool { return o.metric == b.metric }); i >= 0 {
			b.samples = make([]sample, 0, fs.room[i].size())
		}
		fs.byName[name] = b
	}
	return b
}

// labels makes a label set.
func (fs *families) labels(base, own []ledger.Label) *labelSet {
	if fs.used == nil || len(own) == 0 {
		return newLabelSet(base, own)
	}
	s := fs.used[&own[0]]
	if s != nil {
		return s
	}
	if s = fs.former[&own[0]]; s == nil {
		s = newLabelSet(base, own)
	}
	fs.used[&own[0]] = s
	return s
}

// counter adds a sample of a counter that counts from zero since created.
func (fs *families) counter(b *block, labels *labelSet, value float64, created int64) {
	b.samples = append(b.samples, sample{labels, value, created})
}

// gauge adds a sample of a gauge.
func (fs *families) gauge(b *block, labels *labelSet, value float64) {
	b.samples = append(b.samples, sample{labels: labels, value: value})
}

// histogram adds a sample of a histogram. A block of histograms has one sample, or comes sorted.
func (fs *families) histogram(b *block, labels *labelSet, h *dto.Histogram) {
	b.samples = append(b.samples, sample{labels: labels})
	b.histograms = append(b.histograms, h)
}

// finish returns what has samples.
func (fs *families) finish() []*run {
	out := slices.Clone(fs.stays)
	for _, b := range fs.byName {
		if len(b.samples) == 0 {
			continue
		}
		byLabels := func(a, b sample) int { return compareLabels(a.labels, b.labels) }
		if b.histograms == nil && !b.sorted && !slices.IsSortedFunc(b.samples, byLabels) {
			slices.SortStableFunc(b.samples, byLabels)
		}
		b.samples = sumEqual(b.samples)
		out = append(out, &run{b.metric, b.split()})
	}
	return out
}

// split cuts a block where the labels say so: the series that come or go move no edge but their own.
func (b *block) split() []*block {
	out := []*block{b}
	if b.histograms != nil {
		return out
	}
	from, all := 0, b.samples
	for i := 1; i < len(all); i++ {
		if all[i].labels.edge {
			out[len(out)-1].samples = all[from:i:i]
			out, from = append(out, &block{metric: b.metric, edge: true}), i
		}
	}
	out[len(out)-1].samples = all[from:]
	return out
}

// size is how many samples a run has.
func (r *run) size() (n int) {
	for _, b := range r.blocks {
		n += len(b.samples)
	}
	return n
}

// sumEqual adds up neighbours with equal labels, which two label sets become when both are made valid UTF-8: a repeated
// series would void the scrape, and a dropped one the sum.
func sumEqual(samples []sample) []sample {
	if !slices.ContainsFunc(samples, func(s sample) bool { return s.labels.repaired }) {
		return samples
	}
	out := samples[:1]
	for _, s := range samples[1:] {
		last := &out[len(out)-1]
		if !last.labels.equal(s.labels) {
			out = append(out, s)
			continue
		}
		last.value += s.value
		last.created = min(last.created, s.created)
	}
	return out
}

// equal says whether two blocks of a metric are the same bytes in every form, and the same in where a chunk begins.
func (b *block) equal(o *block) bool {
	return b.edge == o.edge && b.histograms == nil && o.histograms == nil && slices.EqualFunc(b.samples, o.samples, func(x, y sample) bool {
		return cmp.Compare(x.value, y.value) == 0 && x.created == y.created && x.labels.equal(y.labels)
	})
}

// timestamp is a time as samples have it, 0 for the zero time.
func timestamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// seconds is a time as Prometheus wants it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
