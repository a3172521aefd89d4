// Package collector translates what the ledger and the fetcher show into Prometheus metrics. It makes no request and
// waits for nobody: a scrape reads one immutable view.
package collector

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// Views shows the ledger. View must not block, and returns the same view as long as nothing has changed.
type Views interface{ View() *ledger.View }

// Statuses shows where the polled endpoints stand, all of them. Status must not block.
type Statuses interface{ Status() []fetcher.Status }

// Names shows what the look-ups have found. Snapshot must not block, and returns the same one as long as nothing has
// changed.
type Names interface{ Snapshot() *directory.Snapshot }

// Books say what usage is worth, and what a month costs. Report must not block.
type Books interface {
	Report(v *ledger.View, now time.Time) []spend.Organization
}

// Options are what a collector needs.
type Options struct {
	Views    Views
	Statuses Statuses
	// Names may be nil where nothing is looked up.
	Names Names
	// Books may be nil where nothing is priced.
	Books Books
	// StateBytes is the size of the state on disk; it must not block. Without it the metric is absent.
	StateBytes func() int64
	// Shard is which of Shards replicas this is, counted from 0; both are 0 where there is one alone.
	Shard, Shards int
	// Logger takes what goes wrong while a scrape is answered.
	Logger log.Logger
	// Now is the clock, time.Now unless a test has another.
	Now func() time.Time
}

// A Collector gathers the data and our own metrics, and observes the fetcher.
type Collector struct {
	options  Options
	table    map[string]*Metric
	started  time.Time
	registry *prometheus.Registry
	observed *observed
	exposed  atomic.Pointer[exposition]
	named    atomic.Pointer[naming]
	limited  atomic.Pointer[limiting]
	counted  atomic.Pointer[counting]
	keeping  atomic.Pointer[keeping]
	wanted   wanted
	coder    coder

	making  sync.Mutex // held by whoever makes what is kept
	resting time.Time  // until when prepare leaves it to the scrapes; guarded by making
}

var (
	_ prometheus.Gatherer   = (*Collector)(nil)
	_ fetcher.Observer      = (*Collector)(nil)
	_ fetcher.BoundObserver = (*Collector)(nil)
)

// New returns a collector with a registry of its own.
func New(o Options) *Collector {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	c := &Collector{options: o, table: make(map[string]*Metric), started: o.Now(), registry: prometheus.NewRegistry()}
	for _, m := range Table() {
		c.table[m.Name] = &m
	}
	c.observed = newObserved(c.table, c.registry)
	c.Reload(true, c.started)
	c.registry.MustRegister(
		collectors.NewGoCollector(),
		&readings{Collector: collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), now: o.Now},
		version.NewCollector("openai_exporter"),
	)
	registerShard(c.registry, c.table, o.Shard, o.Shards)
	if o.StateBytes != nil {
		c.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: stateBytes, Help: c.table[stateBytes].Help},
			func() float64 { return float64(o.StateBytes()) },
		))
	}
	return c
}

// Gather returns all metric families, sorted by name. The families are shared between scrapes: they must not be changed.
//
// The parts have no name in common, so they need no merging. prometheus.Gatherers would hash and sort every series
// again in every scrape to find out; a test does that instead.
func (c *Collector) Gather() ([]*dto.MetricFamily, error) {
	own, err := c.own()
	all := slices.Concat(c.kept().merged(), own)
	sortByName(all)
	return all, err
}

// own returns the families that are true of the moment: where the endpoints stand, and our own metrics.
func (c *Collector) own() ([]*dto.MetricFamily, error) {
	statuses := c.options.Statuses.Status()
	c.observed.follow(statuses)
	registered, err := c.registry.Gather()
	// In OpenMetrics this gauge and the counter go_memstats_alloc_bytes_total have one name, and strict parsers refuse
	// the whole answer. The same number is in go_memstats_heap_alloc_bytes.
	registered = slices.DeleteFunc(registered, func(f *dto.MetricFamily) bool { return f.GetName() == "go_memstats_alloc_bytes" })
	own := slices.Concat(exposeStatus(c.table, statuses), registered)
	sortByName(own)
	return own, err
}

// kept returns what stays the same until the view, the day or a look-up changes, with the bytes of a variant made ahead if
// they have to be made anew. While somebody else makes them, it returns the ones before: those are whole too, and nobody
// waits.
func (c *Collector) kept(ahead ...variant) *kept {
	if !c.making.TryLock() {
		if k := c.keeping.Load(); k != nil {
			return k.kept
		}
		c.making.Lock()
	}
	defer c.making.Unlock()
	return c.keep(ahead)
}

// keep compares the parts as they are, so that what was made of them lives as long as they do.
func (c *Collector) keep(ahead []variant) *kept {
	parts := [...][]*dto.MetricFamily{c.data(), c.names(), c.limits(), c.money()}
	k := c.keeping.Load()
	if k == nil || !slices.EqualFunc(k.parts[:], parts[:], same) {
		families := slices.Concat(parts[:]...)
		sortByName(families)
		next := &kept{families: families, coder: &c.coder}
		if k != nil {
			next.follow(k.kept, c.wanted.recent(time.Now()))
		}
		for _, v := range ahead {
			_, _ = next.encoded(v) // Whoever asks for it gets the error.
		}
		k = &keeping{parts: parts, kept: next}
		c.keeping.Store(k)
	}
	return k.kept
}

// prepare makes what scrapes have lately asked for, so that a poll pays for what it has changed and the next scrape finds
// it made. It rests for three times as long as it took: with many endpoints to poll it would never stop, and what it
// leaves out the next scrape makes.
func (c *Collector) prepare() {
	variants := c.wanted.recent(time.Now())
	if len(variants) == 0 || !c.making.TryLock() {
		return
	}
	defer c.making.Unlock()
	begin := time.Now()
	if begin.Before(c.resting) {
		return
	}
	c.keep(variants)
	c.resting = begin.Add(4 * time.Since(begin))
}

// keeping is what is kept, and what it was made of.
type keeping struct {
	parts [4][]*dto.MetricFamily
	kept  *kept
}

// data returns the families of the current view, made once per view and UTC day.
func (c *Collector) data() []*dto.MetricFamily {
	view, day := c.options.Views.View(), startOfDay(c.options.Now())
	if view == nil {
		return nil
	}
	e := c.exposed.Load()
	if e == nil || e.view != view || !e.day.Equal(day) {
		e = expose(c.table, e, view, day, c.started)
		c.exposed.Store(e)
	}
	return e.families
}

// How many answers are made at once, and how long a scrape waits for its turn: Prometheus gives up after 10 s.
const (
	maxScrapes   = 40
	slotPatience = 8 * time.Second
)

// Handler answers scrapes as text, OpenMetrics 1.0 and 2.0 and protobuf, plain or with gzip.
func (c *Collector) Handler() http.Handler {
	// OpenMetrics 2.0 is only for those who ask for it. Start timestamps travel in it and in protobuf; in
	// OpenMetrics 1.0 they would be one more series per counter.
	formats := append(expfmt.DefaultOpenMetricsAcceptedFormats(), expfmt.FmtOpenMetrics_2_0_0)
	return promhttp.InstrumentMetricHandler(c.registry, &handler{
		collector: c,
		formats:   formats,
		slots:     make(chan struct{}, maxScrapes),
		other: promhttp.HandlerFor(c, promhttp.HandlerOpts{
			ErrorLog:            errorLog{c.options.Logger},
			ErrorHandling:       promhttp.ContinueOnError, // One broken reading of /proc must not hide the data.
			Registry:            c.registry,
			MaxRequestsInFlight: maxScrapes,
			AcceptedFormats:     formats,
		}),
	})
}

// errorLog gives promhttp's complaints to our log.
type errorLog struct{ logger log.Logger }

func (l errorLog) Println(v ...any) {
	if len(v) == 0 {
		return
	}
	level.Error(l.logger).Log("msg", "Scrape could not be answered", "err", v[len(v)-1])
}
