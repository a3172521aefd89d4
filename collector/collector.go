// Package collector translates what the ledger and the fetcher show into Prometheus metrics. It makes no request and
// waits for nobody: a scrape reads one immutable view.
package collector

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// Views shows the ledger. View must not block, and returns the same view as long as nothing has changed.
type Views interface{ View() *ledger.View }

// Statuses shows where the polled endpoints stand, all of them. Status must not block.
type Statuses interface{ Status() []fetcher.Status }

// A Directory shows what the look-ups have found. Snapshot must not block, and returns the same one as long as nothing has
// changed.
type Directory interface{ Snapshot() *directory.Snapshot }

// Books say what usage is worth, and what a month costs. Report must not block.
type Books interface {
	Report(v *ledger.View, now time.Time) []spend.Organization
}

// Options are what a collector needs.
type Options struct {
	Views    Views
	Statuses Statuses
	// Directory may be nil where nothing is looked up.
	Directory Directory
	// Books may be nil where nothing is priced.
	Books Books
	// StateBytes is the size of the state on disk; it must not block. Without it the metric is absent.
	StateBytes func() int64
	// Shard is which of Shards replicas this is, counted from 0; both are 0 where there is one alone.
	Shard, Shards int
	// ZeroHold is how long what is counted for the first time is shown as 0 before it takes its value. It may be nil, and
	// must not block.
	ZeroHold func() time.Duration
	// Logger takes what goes wrong while a scrape is answered.
	Logger log.Logger
	// Now is the clock, time.Now unless a test has another.
	Now func() time.Time
}

// A Collector shows the data and our own metrics, and observes the fetcher.
type Collector struct {
	options  Options
	table    map[string]*metrics.Metric
	started  time.Time
	observed *observed
	moment   *moment
	cache    cache

	making  sync.Mutex // held while somebody reads and encodes
	reader  *reader    // guarded by making
	resting time.Time  // until when prepare leaves the work to the scrapes; guarded by making
	page    atomic.Pointer[page]
}

var (
	_ prometheus.Gatherer   = (*Collector)(nil)
	_ fetcher.Observer      = (*Collector)(nil)
	_ fetcher.BoundObserver = (*Collector)(nil)
)

// New returns a collector.
func New(o Options) *Collector {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	c := &Collector{options: o, table: make(map[string]*metrics.Metric), started: o.Now(), observed: newObserved(), moment: newMoment(o.Now)}
	for _, m := range metrics.Table() {
		c.table[m.Name] = &m
	}
	c.reader = newReader(c)
	c.reloaded(true, c.started)
	return c
}

// encoded returns a page in a form: that of now or, while somebody else makes one or it is large and fresh, that of a moment
// ago. It is whole, too, and nobody waits.
func (c *Collector) encoded(f form) (*encoded, error) {
	now := time.Now()
	before := c.cache.get(f, now)
	if before != nil && now.Before(before.until) {
		return before, nil
	}
	if !c.making.TryLock() {
		if before != nil {
			return before, nil
		}
		c.making.Lock()
	}
	defer c.making.Unlock()
	return c.cache.encode(c.read(), f, before, now)
}

// shown returns the page of now or, while somebody else makes one, that of a moment ago.
func (c *Collector) shown() *page {
	if !c.making.TryLock() {
		if p := c.page.Load(); p != nil {
			return p
		}
		c.making.Lock()
	}
	defer c.making.Unlock()
	return c.read()
}

// read returns the page of now. The caller holds making.
func (c *Collector) read() *page {
	p := c.reader.read()
	c.page.Store(p)
	return p
}

// longestRest is so much shorter than an answer is fresh that another one is made in the meantime.
const longestRest = fresh * 4 / 5

// prepare makes what scrapes have lately asked for, so that a poll pays for what it has changed and the next scrape finds
// it made. It rests for nine times as long as it took, within limits: with many endpoints to poll it would never stop, and
// what it leaves out the next scrape makes.
func (c *Collector) prepare() {
	begin := time.Now()
	forms := c.cache.recent(begin)
	if len(forms) == 0 || !c.making.TryLock() {
		return
	}
	defer c.making.Unlock()
	if begin.Before(c.resting) {
		return
	}
	c.renew(forms, begin)
	c.resting = begin.Add(min(10*time.Since(begin), longestRest))
}

// renew makes the page of now in the forms. The caller holds making.
func (c *Collector) renew(forms []*encoded, now time.Time) {
	p := c.read()
	for _, e := range forms {
		// The cache knows when it was asked for. Who asks for it gets the error.
		_, _ = c.cache.encode(p, e.form, e, now)
	}
}

// Reload notes how a load of the configuration ended. When it returns no scrape gets a page of before any more, which
// matters where the new configuration shows less: an e-mail address, a project.
func (c *Collector) Reload(success bool, at time.Time) {
	c.reloaded(success, at)
	c.making.Lock()
	defer c.making.Unlock()
	c.reader.hour = time.Time{} // The same books may say another thing now, with other budgets or prices.
	now := time.Now()
	c.renew(c.cache.recent(now), now)
}

// Gather returns all metric families, sorted by name, as the client library has them. It takes far longer than a scrape.
func (c *Collector) Gather() ([]*dto.MetricFamily, error) {
	all, err := c.moment.gather()
	for _, column := range c.shown().columns {
		f := (&block{metric: column.metric}).family()
		for b := range column.blocks {
			for i := range b.samples {
				f.Metric = append(f.Metric, b.library(i))
			}
		}
		slices.SortStableFunc(f.Metric, func(a, b *dto.Metric) int { return slices.CompareFunc(a.Label, b.Label, comparePairs) })
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, err
}

func comparePairs(a, b *dto.LabelPair) int {
	return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetValue(), b.GetValue()))
}
