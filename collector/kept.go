package collector

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	names "github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

// kept is what changes with a poll or a look-up and not with a scrape, and the bytes that were made of it: encoded once
// per format and coding, served many times.
type kept struct {
	// families are sorted by name. A name may come several times, from a part each.
	families []*dto.MetricFamily
	coder    *coder

	mu       sync.Mutex
	variants map[variant]*encoded
	before   map[variant]*encoded // of what was kept before, to take over what has not changed
	order    []variant            // of either map, the one that was asked for last at the end

	merge sync.Once
	whole []*dto.MetricFamily
}

// A variant is a form that a scrape may ask for.
type variant struct {
	format expfmt.Format
	coding coding
}

// variantOf returns what there is to make for a format that was negotiated: one variant for all formats of which the bytes
// are the same. All our names are legal without escaping, so no way of escaping changes them; and versions of a text
// format differ in nothing that we write, apart from OpenMetrics 2.0.
func variantOf(negotiated expfmt.Format, c coding) variant {
	f := negotiated.WithEscapingScheme(names.NoEscaping)
	switch {
	case f.FormatType() == expfmt.TypeTextPlain:
		f = expfmt.FmtText
	case f.FormatType() == expfmt.TypeOpenMetrics && f.Version() != expfmt.OpenMetricsVersion_2_0_0:
		f = expfmt.FmtOpenMetrics_1_0_0
	}
	return variant{f, c}
}

// encoded is the bytes of a variant.
type encoded struct {
	once   sync.Once
	ready  atomic.Bool
	chunks []*chunk
	sum    checked // of the chunks
	err    error
}

// encoded returns the bytes of a variant. Who asks first makes them; others that ask meanwhile wait for them, as they
// would for their own.
func (k *kept) encoded(v variant) (*encoded, error) {
	k.mu.Lock()
	if k.variants == nil {
		k.variants = make(map[variant]*encoded)
	}
	e, before := k.variants[v], k.before[v]
	if e == nil {
		e = new(encoded)
		k.variants[v] = e
	}
	k.order = append(slices.DeleteFunc(k.order, func(o variant) bool { return o == v }), v)
	if len(k.order) > mostVariants {
		delete(k.variants, k.order[0])
		delete(k.before, k.order[0])
		k.order = k.order[1:]
	}
	k.mu.Unlock()
	e.once.Do(func() {
		families := k.families
		if !splits(v.format) {
			families = k.merged()
		}
		e.chunks, e.err = encodeChunks(families, v, before, k.coder)
		for _, c := range e.chunks {
			e.sum = e.sum.and(c.checked)
		}
		e.ready.Store(e.err == nil)
		k.mu.Lock()
		delete(k.before, v)
		k.mu.Unlock()
	})
	return e, e.err
}

// follow takes over what there is of variants, the latest first: of the ones before or, where nobody has asked since, of
// what was kept before them.
func (k *kept) follow(old *kept, variants []variant) {
	old.mu.Lock()
	defer old.mu.Unlock()
	k.before = make(map[variant]*encoded, len(variants))
	for _, v := range slices.Backward(variants) {
		e := old.variants[v]
		if e == nil || !e.ready.Load() {
			e = old.before[v]
		}
		if e != nil {
			k.before[v] = e
			k.order = append(k.order, v)
		}
	}
}

// merged returns the families with one for each name.
func (k *kept) merged() []*dto.MetricFamily {
	k.merge.Do(func() {
		for group := range sameName(k.families) {
			if len(group) == 1 {
				k.whole = append(k.whole, group[0])
				continue
			}
			f := header(group[0])
			for _, part := range group {
				f.Metric = append(f.Metric, part.Metric...)
			}
			slices.SortStableFunc(f.Metric, compareMetrics)
			k.whole = append(k.whole, f)
		}
	})
	return k.whole
}

// sameName goes through sorted families, all of a name at a time.
func sameName(families []*dto.MetricFamily) func(yield func([]*dto.MetricFamily) bool) {
	return func(yield func([]*dto.MetricFamily) bool) {
		for len(families) > 0 {
			n := 1
			for n < len(families) && families[n].GetName() == families[0].GetName() {
				n++
			}
			if !yield(families[:n:n]) {
				return
			}
			families = families[n:]
		}
	}
}

// header is a family without its samples.
func header(f *dto.MetricFamily) *dto.MetricFamily {
	return &dto.MetricFamily{Name: proto.String(f.GetName()), Help: f.Help, Type: f.Type, Unit: f.Unit}
}

// wanted remembers which variants are asked for, because what nobody reads is not worth making ahead.
type wanted struct {
	mu    sync.Mutex
	asked map[variant]time.Time
}

const (
	// lately is longer than anybody lets pass between two scrapes.
	lately = 5 * time.Minute
	// mostVariants bounds the memory that odd wishes can fill: servers of one version all ask for the same.
	mostVariants = 4
)

func (w *wanted) ask(v variant, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked == nil {
		w.asked = make(map[variant]time.Time)
	}
	w.asked[v] = now
}

// recent returns the variants that were asked for lately, the latest ones if they are many.
func (w *wanted) recent(now time.Time) []variant {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []variant
	for v, at := range w.asked {
		if now.Sub(at) > lately {
			delete(w.asked, v)
			continue
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b variant) int { return w.asked[b].Compare(w.asked[a]) })
	return out[:min(len(out), mostVariants)]
}
