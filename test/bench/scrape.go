package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// Two metrics with a series for each label set, everywhere the same.
const (
	series      = 100_000
	requestName = "openai_usage_requests_total"
	tokenName   = "openai_usage_input_tokens_total"
	model       = "text-embedding-3-small"
)

var labelNames = []string{"organization", "endpoint", "project_id", "model"}

func labelValues(i int) []string {
	return []string{"acme", "embeddings", fmt.Sprintf("proj_%024d", i), model}
}

// requests and tokens are the values of label set i.
func requests(i int) int64 { return int64(i) }

func tokens(i int) int64 { return int64(i) * 7919 }

// scrapes compares scrapes of 100,000 series over HTTP.
func scrapes(ctx context.Context, w io.Writer, _ string) error {
	sources := newSource(series / 2)
	ours := collector.New(collector.Options{Views: sources, Statuses: sources}).Handler()
	for _, coding := range []string{"identity", "gzip"} {
		var sides []side
		stored, err := record(ours, coding)
		if err != nil {
			return err
		}
		for _, s := range []struct {
			name    string
			handler http.Handler
			before  func()
		}{
			{"http.ServeContent of the same bytes", content(stored, coding), nil},
			{"openai_exporter", ours, nil},
			{"http.ServeContent, a second after the last scrape", content(stored, coding), settle},
			{"openai_exporter, a second after the last scrape", ours, settle},
			{"openai_exporter, the first scrape after a poll that changed everything", ours, sources.poll},
			{"VictoriaMetrics/metrics", victoria(), nil},
			{"client_golang, const metrics made in Collect", constants(), nil},
			{"client_golang, CounterVec", vectors(), nil},
		} {
			srv := httptest.NewServer(s.handler)
			defer srv.Close()
			n, err := scrape(srv, coding)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if n < series {
				return fmt.Errorf("%s: only %d bytes", s.name, n)
			}
			sides = append(sides, side{s.name, s.before, func() error {
				_, err := scrape(srv, coding)
				return err
			}})
		}
		costs, err := compare(ctx, sides)
		if err != nil {
			return err
		}
		t := newTable(fmt.Sprintf("A scrape of %d series over HTTP, %s, %s", series, coding, size(float64(len(stored)))),
			"Served by", "Time", "CPU", "CPU × stored bytes", "CPU ÷ openai_exporter", "Allocations", "Allocated")
		for i, c := range costs {
			t.row(sides[i].name, ms(c.time), ms(c.cpu), over(c.cpu, costs[0].cpu), over(c.cpu, costs[1].cpu), count(c.allocs), size(c.bytes))
		}
		t.write(w)
	}
	return nil
}

// settle waits until the readings of our process, which scrapes at the same time share, are taken again.
func settle() { <-time.After(1100 * time.Millisecond) }

// scrape makes a request and returns how many bytes came.
func scrape(srv *httptest.Server, coding string) (int64, error) {
	req, err := http.NewRequest(http.MethodGet, srv.URL, nil)
	if err != nil {
		return 0, err
	}
	// Saying so keeps the client from unpacking.
	req.Header.Set("Accept-Encoding", coding)
	resp, err := srv.Client().Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s", resp.Status)
	}
	if got := resp.Header.Get("Content-Encoding"); (got == "gzip") != (coding == "gzip") {
		return 0, fmt.Errorf("the content coding is %q", got)
	}
	return io.Copy(io.Discard, resp.Body)
}

// record returns the bytes that a handler answers with.
func record(h http.Handler, coding string) ([]byte, error) {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", coding)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		return nil, fmt.Errorf("status %d", rec.Code)
	}
	return rec.Body.Bytes(), nil
}

// content serves bytes as a file server would.
func content(b []byte, coding string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if coding == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	})
}

// A source is a ledger and a scheduler that show that many label sets.
type source struct {
	feed  *ledger.FeedView
	polls int64
	view  atomic.Pointer[ledger.View]
}

func newSource(labelSets int) *source {
	e, _ := api.Find("embeddings")
	s := &source{feed: &ledger.FeedView{Organization: "acme", Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}}
	born := time.Now()
	for i := range labelSets {
		v := labelValues(i)
		s.feed.Series = append(s.feed.Series, &ledger.Series{
			Labels:   []ledger.Label{{Name: "project_id", Value: v[2]}, {Name: "model", Value: v[3]}},
			Measures: []int{0, 1}, Values: []decimal.Fixed{decimal.FromInt(requests(i)), decimal.FromInt(tokens(i))}, Born: born,
		})
	}
	s.poll()
	return s
}

// poll shows a new view, in which every counter has grown.
func (s *source) poll() {
	feed := *s.feed
	feed.Series = make([]*ledger.Series, len(s.feed.Series))
	for i, old := range s.feed.Series {
		grown := *old
		grown.Values = []decimal.Fixed{decimal.FromInt(requests(i) + s.polls), decimal.FromInt(tokens(i) + s.polls)}
		feed.Series[i] = &grown
	}
	s.polls++
	s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{&feed}})
}

func (s *source) View() *ledger.View { return s.view.Load() }

func (s *source) Status() []fetcher.Status { return nil }

// vectors is how most exporters do it: counters that live in the client library.
func vectors() http.Handler {
	r := prometheus.NewRegistry()
	a := prometheus.NewCounterVec(prometheus.CounterOpts{Name: requestName, Help: "Requests made to models."}, labelNames)
	b := prometheus.NewCounterVec(prometheus.CounterOpts{Name: tokenName, Help: "Input tokens of all modalities."}, labelNames)
	r.MustRegister(a, b)
	for i := range series / 2 {
		a.WithLabelValues(labelValues(i)...).Add(float64(requests(i)))
		b.WithLabelValues(labelValues(i)...).Add(float64(tokens(i)))
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// constant makes its metrics again for every scrape, as exporters of somebody else's numbers do.
type constant struct {
	requests, tokens *prometheus.Desc
	labels           [][]string
}

func constants() http.Handler {
	c := &constant{
		requests: prometheus.NewDesc(requestName, "Requests made to models.", labelNames, nil),
		tokens:   prometheus.NewDesc(tokenName, "Input tokens of all modalities.", labelNames, nil),
	}
	for i := range series / 2 {
		c.labels = append(c.labels, labelValues(i))
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

func (c *constant) Describe(out chan<- *prometheus.Desc) {
	out <- c.requests
	out <- c.tokens
}

func (c *constant) Collect(out chan<- prometheus.Metric) {
	for i, values := range c.labels {
		out <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(requests(i)), values...)
		out <- prometheus.MustNewConstMetric(c.tokens, prometheus.CounterValue, float64(tokens(i)), values...)
	}
}

// victoria is the leanest client library. It does not compress, so it is given the compressor that promhttp has.
func victoria() http.Handler {
	set := metrics.NewSet()
	for i := range series / 2 {
		var labels strings.Builder
		for n, v := range labelValues(i) {
			fmt.Fprintf(&labels, ",%s=%q", labelNames[n], v)
		}
		set.GetOrCreateCounter(requestName + "{" + labels.String()[1:] + "}").Set(uint64(requests(i)))
		set.GetOrCreateCounter(tokenName + "{" + labels.String()[1:] + "}").Set(uint64(tokens(i)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if r.Header.Get("Accept-Encoding") != "gzip" {
			set.WritePrometheus(w)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		set.WritePrometheus(z)
		_ = z.Close() // The client has gone.
	})
}
