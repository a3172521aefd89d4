package collector

import (
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// observed counts what the exporter does. It restarts with the process.
type observed struct {
	mu        sync.Mutex
	endpoints map[origin]*work
	changed   map[origin]*work // those that are not shown as they are
	held      map[origin]*work // those of which something is shown as zero
	process   own
}

// A work is what was done for one endpoint of one organization.
type work struct {
	// counts are by metric and the value of its label that is not the endpoint's.
	counts       map[count]float64
	bounds       map[fetcher.Bound]float64
	polls, calls prometheus.Histogram // how long they took
	births       births
}

type count struct{ metric, value string }

// An own is what was done for all endpoints, and what is true of the process.
type own struct {
	commits      prometheus.Histogram // how long they took
	commitErrors float64
	reloaded     bool
	loaded       time.Time
	stateBytes   int64
	changed      bool
}

const (
	success = "success"
	failure = "error"
	codeOK  = "200"
)

func newObserved() *observed {
	return &observed{endpoints: make(map[origin]*work), changed: make(map[origin]*work), held: make(map[origin]*work), process: own{commits: newHistogram(), changed: true}}
}

// newHistogram returns a native histogram: one series, whose buckets are a tenth wide and come as they are needed.
func newHistogram() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	})
}

// read returns what a histogram says now.
func read(h prometheus.Histogram) *dto.Histogram {
	var m dto.Metric
	_ = h.Write(&m) // It has no labels that could be wrong.
	return m.GetHistogram()
}

// work returns the work for an endpoint, which counts from zero.
func (o *observed) work(organization, endpoint string) *work {
	s := origin{organization, endpoint, activity}
	w := o.endpoints[s]
	if w == nil {
		w = &work{counts: make(map[count]float64), bounds: make(map[fetcher.Bound]float64), polls: newHistogram(), calls: newHistogram()}
		o.endpoints[s] = w
	}
	o.changed[s] = w
	return w
}

// follow lets the endpoints that are polled, and no others, be counted for: new ones start at zero, and those that a
// reload took away end. That may be all of them, where a reload leaves a shard nothing to poll.
func (o *observed) follow(polled map[origin]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for s := range polled {
		if o.endpoints[s] == nil {
			o.work(s.organization, s.endpoint)
		}
	}
	for s := range o.endpoints {
		if !polled[s] {
			delete(o.endpoints, s)
			delete(o.changed, s)
			delete(o.held, s)
		}
	}
}

// expose adds what was done for an endpoint. Success is shown from the start, what goes wrong from the first time on.
func (w *work) expose(fs *families, s origin, started int64, now time.Time, hold time.Duration) {
	base := []ledger.Label{{Name: metrics.LabelOrganization, Value: s.organization}, {Name: metrics.LabelEndpoint, Value: s.endpoint}}
	always := []count{{metrics.Polls, success}, {metrics.Requests, codeOK}}
	// Levels are not audited, because nothing of them adds up; the bill is read again whole.
	if e, ok := api.Find(s.endpoint); ok && !e.IsCosts() && !e.Stock {
		always = append(always, count{metrics.Audits, success})
	}
	counter := func(c count, value float64) {
		label := metrics.LabelOutcome
		if c.metric == metrics.Requests {
			label = metrics.LabelCode
		}
		fs.counter(fs.family(c.metric), fs.labels(base, filled(label, c.value)), value, started)
	}
	for _, c := range always {
		counter(c, w.counts[c])
	}
	for c, n := range w.counts {
		if c.value == success || c.value == codeOK {
			continue
		}
		if value, born := w.births.shown(c.metric+" "+c.value, n, now, hold); born {
			counter(c, value)
		}
	}
	for b, share := range w.bounds {
		fs.gauge(fs.family(metrics.ReadBound), fs.labels(base, filled("bound", string(b))), share)
	}
	labels := fs.labels(base, nil)
	fs.histogram(fs.family(metrics.PollDuration), labels, read(w.polls))
	fs.histogram(fs.family(metrics.RequestDuration), labels, read(w.calls))
}

// expose adds what is not about any organization.
func (w *own) expose(fs *families, started int64) {
	labels := fs.labels(nil, nil)
	fs.histogram(fs.family(metrics.CommitDuration), labels, read(w.commits))
	fs.counter(fs.family(metrics.CommitErrors), labels, w.commitErrors, started)
	successful := 0.0
	if w.reloaded {
		successful = 1
	}
	fs.gauge(fs.family(metrics.ReloadSuccess), labels, successful)
	fs.gauge(fs.family(metrics.ReloadTimestamp), labels, seconds(w.loaded))
}

// Request counts an HTTP request.
func (c *Collector) Request(organization, endpoint, code string, took time.Duration) {
	o := c.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.work(organization, endpoint)
	w.counts[count{metrics.Requests, code}]++
	w.calls.Observe(took.Seconds())
}

// Poll counts a poll.
func (c *Collector) Poll(organization, endpoint string, took time.Duration, err error) {
	o := c.observed
	o.mu.Lock()
	w := o.work(organization, endpoint)
	w.counts[count{metrics.Polls, outcomeOf(err)}]++
	w.polls.Observe(took.Seconds())
	o.mu.Unlock()
	if err == nil {
		c.prepare()
	}
}

// Audit counts an audit window.
func (c *Collector) Audit(organization, endpoint string, err error) {
	o := c.observed
	o.mu.Lock()
	o.work(organization, endpoint).counts[count{metrics.Audits, outcomeOf(err)}]++
	o.mu.Unlock()
	if err == nil {
		c.prepare()
	}
}

// noticeable is the share of a bound from which on it is shown. Most reads never come near one.
const noticeable = 0.1

// Bound notes how near to a bound a read came.
func (c *Collector) Bound(organization, endpoint string, b fetcher.Bound, share float64) {
	o := c.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.work(organization, endpoint)
	if _, shown := w.bounds[b]; shown || share >= noticeable {
		w.bounds[b] = share
	}
}

// Commit counts a write to the state on disk.
func (c *Collector) Commit(took time.Duration, err error) {
	o := c.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.process.changed = true
	o.process.commits.Observe(took.Seconds())
	if err != nil {
		o.process.commitErrors++
	}
}

// reloaded notes how a load of the configuration ended. A collector starts with one that succeeded, since without it
// there would be no exporter.
func (c *Collector) reloaded(success bool, at time.Time) {
	o := c.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.process.changed, o.process.reloaded = true, success
	if success {
		o.process.loaded = at
	}
}

func outcomeOf(err error) string {
	if err != nil {
		return failure
	}
	return success
}
