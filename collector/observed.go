package collector

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

// observed counts what the exporter does. It restarts with the process.
type observed struct {
	polls, requests, audits       *prometheus.CounterVec
	pollDuration, requestDuration *prometheus.HistogramVec
	commitDuration                prometheus.Histogram
	commitErrors                  prometheus.Counter
	reloadSuccess, reloadTime     prometheus.Gauge
	readBounds                    *prometheus.GaugeVec

	known sync.Map // key → nothing: the endpoints that have series here
}

// A key names an endpoint of an organization.
type key struct{ organization, endpoint string }

// The codes that every polled endpoint shows from the start, so that increase() sees the first fault of the usual kinds.
var usualCodes = []string{"200", "429", "500", "timeout", "network", "body"}

const (
	success = "success"
	failure = "error"
)

func newObserved(table map[string]*Metric, r prometheus.Registerer) *observed {
	counter := func(name string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: name, Help: table[name].Help}
	}
	histogram := func(name string, buckets ...float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: table[name].Help, Buckets: buckets}
	}
	gauge := func(name string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: table[name].Help})
	}
	o := &observed{
		polls:    prometheus.NewCounterVec(counter(polls), table[polls].Labels),
		requests: prometheus.NewCounterVec(counter(requests), table[requests].Labels),
		audits:   prometheus.NewCounterVec(counter(audits), table[audits].Labels),
		// A poll of a large organization is many pages, and may wait for the request budget.
		pollDuration:    prometheus.NewHistogramVec(histogram(pollDuration, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300), table[pollDuration].Labels),
		requestDuration: prometheus.NewHistogramVec(histogram(requestDuration, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60), table[requestDuration].Labels),
		commitDuration:  prometheus.NewHistogram(histogram(commitDuration, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5)),
		commitErrors:    prometheus.NewCounter(counter(commitErrors)),
		reloadSuccess:   gauge(reloadSuccess),
		reloadTime:      gauge(reloadTimestamp),
		readBounds:      newReadBounds(table),
	}
	r.MustRegister(o.readBounds, o.polls, o.requests, o.audits, o.pollDuration, o.requestDuration, o.commitDuration, o.commitErrors, o.reloadSuccess, o.reloadTime)
	return o
}

// follow makes the endpoints that are polled, and no others, have series: new ones start at zero, and those that a reload
// took away end. That may be all of them, where a reload leaves a shard nothing to poll.
func (o *observed) follow(statuses []fetcher.Status) {
	polled := make(map[key]bool, len(statuses))
	for i := range statuses {
		k := key{statuses[i].Organization, statuses[i].Endpoint}
		polled[k] = true
		o.know(k)
	}
	for k := range o.known.Range {
		if k := k.(key); !polled[k] {
			o.forget(k)
		}
	}
}

func (o *observed) know(k key) {
	if _, ok := o.known.LoadOrStore(k, nil); ok {
		return
	}
	for _, outcome := range []string{success, failure} {
		o.polls.WithLabelValues(k.organization, k.endpoint, outcome)
	}
	// Levels are not audited, because nothing of them adds up; the bill is read again whole.
	if e, ok := api.Find(k.endpoint); ok && !e.IsCosts() && !e.Stock {
		for _, outcome := range []string{success, failure} {
			o.audits.WithLabelValues(k.organization, k.endpoint, outcome)
		}
	}
	if _, ok := api.Find(k.endpoint); ok {
		for _, b := range fetcher.Bounds {
			o.readBounds.WithLabelValues(k.organization, k.endpoint, string(b))
		}
	}
	for _, c := range usualCodes {
		o.requests.WithLabelValues(k.organization, k.endpoint, c)
	}
	o.pollDuration.WithLabelValues(k.organization, k.endpoint)
	o.requestDuration.WithLabelValues(k.organization, k.endpoint)
}

func (o *observed) forget(k key) {
	o.known.Delete(k)
	labels := prometheus.Labels{organization: k.organization, endpoint: k.endpoint}
	o.polls.DeletePartialMatch(labels)
	o.requests.DeletePartialMatch(labels)
	o.audits.DeletePartialMatch(labels)
	o.readBounds.DeletePartialMatch(labels)
	o.pollDuration.DeletePartialMatch(labels)
	o.requestDuration.DeletePartialMatch(labels)
}

// Request counts an HTTP request.
func (c *Collector) Request(organization, endpoint, code string, took time.Duration) {
	c.observed.know(key{organization, endpoint})
	c.observed.requests.WithLabelValues(organization, endpoint, code).Inc()
	c.observed.requestDuration.WithLabelValues(organization, endpoint).Observe(took.Seconds())
}

// Poll counts a poll.
func (c *Collector) Poll(organization, endpoint string, took time.Duration, err error) {
	c.observed.know(key{organization, endpoint})
	c.observed.polls.WithLabelValues(organization, endpoint, outcomeOf(err)).Inc()
	c.observed.pollDuration.WithLabelValues(organization, endpoint).Observe(took.Seconds())
	if err == nil {
		c.prepare()
	}
}

// Audit counts an audit window.
func (c *Collector) Audit(organization, endpoint string, err error) {
	c.observed.know(key{organization, endpoint})
	c.observed.audits.WithLabelValues(organization, endpoint, outcomeOf(err)).Inc()
	if err == nil {
		c.prepare()
	}
}

// Commit counts a write to the state on disk.
func (c *Collector) Commit(took time.Duration, err error) {
	c.observed.commitDuration.Observe(took.Seconds())
	if err != nil {
		c.observed.commitErrors.Inc()
	}
}

// Reload notes how a load of the configuration ended. A collector starts with one that succeeded, since without it
// there would be no exporter.
func (c *Collector) Reload(success bool, at time.Time) {
	if !success {
		c.observed.reloadSuccess.Set(0)
		return
	}
	c.observed.reloadSuccess.Set(1)
	c.observed.reloadTime.Set(seconds(at))
}

func outcomeOf(err error) string {
	if err != nil {
		return failure
	}
	return success
}
