package collector_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// many returns a collector that shows that many series of counters.
func many(t testing.TB, series int) *collector.Collector {
	t.Helper()
	s := &source{now: noon}
	e := find(t, "embeddings")
	f := &ledger.FeedView{Organization: "acme", Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
	for i := range series / 2 {
		f.Series = append(f.Series, &ledger.Series{
			Labels:   []ledger.Label{{Name: "project_id", Value: fmt.Sprintf("proj_%024d", i)}, {Name: "model", Value: "text-embedding-3-small"}},
			Measures: []int{0, 1}, Values: []decimal.Fixed{decimal.FromInt(int64(i)), decimal.FromInt(int64(7919 * i))}, Born: noon,
		})
	}
	s.view.Store(&ledger.View{Generation: 1, Feeds: []*ledger.FeedView{f}})
	return newCollector(s)
}

// A sink takes an answer and keeps its size.
type sink struct {
	header http.Header
	code   int
	size   int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(code int) { s.code = code }

func (s *sink) Write(b []byte) (int, error) {
	s.size += len(b)
	return len(b), nil
}

func scrape(h http.Handler, coding string) *sink { return scrapeOf(h, "/metrics", coding) }

func scrapeOf(h http.Handler, target, coding string) *sink {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept-Encoding", coding)
	s := &sink{header: http.Header{}, code: http.StatusOK}
	h.ServeHTTP(s, r)
	return s
}

func TestScrapesOfTheSameViewMakeNothingAnew(t *testing.T) {
	const series = 20_000
	h := many(t, series).Handler()
	for _, coding := range []string{"identity", "gzip"} {
		if s := scrape(h, coding); s.code != http.StatusOK || s.size < series {
			t.Fatalf("%s: status %d, %d bytes", coding, s.code, s.size)
		}
		// What is left is our own metrics, whose number does not depend on the data's.
		if allocations := testing.AllocsPerRun(5, func() { scrape(h, coding) }); allocations > series/4 {
			t.Errorf("%s: %v allocations for a scrape of kept bytes", coding, allocations)
		}
	}
}

func TestTheClientsWishForACodingIsHeeded(t *testing.T) {
	h := many(t, 10).Handler()
	for wish, want := range map[string]string{
		"":                             "",
		"gzip":                         "gzip",
		"GZIP":                         "gzip",
		"x-gzip":                       "gzip",
		"gzip, zstd":                   "gzip",
		"br, deflate, zstd":            "zstd",
		"zstd;q=0":                     "",
		"zstd, gzip;q=0.5":             "zstd",
		"gzip;q=0":                     "",
		"gzip;Q=0":                     "",
		"gzip;q=0.000":                 "",
		"gzip ; q = 0":                 "",
		"gzip\t;\tq=0":                 "",
		"gzip; x=1; q=0":               "",
		"gzip; x=1; q=0.1":             "gzip",
		"gzip;x=\"q=0\"":               "gzip",
		"gzip;q=0.5":                   "gzip",
		"gzip;q=0, gzip":               "",
		"gzip;q=nonsense":              "",
		"gzip;q=":                      "",
		"gzip;q=nan":                   "",
		"gzip;q=2":                     "",
		"gzip;q=-1":                    "",
		"gzip, identity":               "gzip",
		"gzip;q=0.5, identity":         "",
		"gzip;q=0.5, identity;q=0.4":   "gzip",
		"gzip;q=0.5, *":                "zstd",
		"gzip;q=0.5, *;q=0":            "gzip",
		"*":                            "gzip",
		"*;q=0":                        "",
		"*, gzip;q=0":                  "zstd",
		"identity;q=0, *;q=0.1":        "gzip",
		"identity;q=0, gzip;q=0":       "",
		"br;q=1.0, gzip;q=0.8, *;q=.1": "gzip",
		"br;q=1, zstd;q=1, gzip":       "gzip",
	} {
		for _, target := range []string{"/metrics", "/metrics?name[]=openai_up"} {
			if got := scrapeOf(h, target, wish).header.Get("Content-Encoding"); got != want {
				t.Errorf("Accept-Encoding %q of %s is answered with %q, want %q", wish, target, got, want)
			}
		}
	}
}

// BenchmarkScrape answers scrapes of 100,000 series with kept bytes, and beside it with the same families encoded again by
// promhttp, which is what a collector without kept bytes costs.
func BenchmarkScrape(b *testing.B) {
	c := many(b, 100_000)
	for _, side := range []struct {
		name    string
		handler http.Handler
	}{
		{"kept", c.Handler()},
		{"promhttp", promhttp.HandlerFor(c, promhttp.HandlerOpts{})},
	} {
		for _, coding := range []string{"identity", "gzip"} {
			b.Run(side.name+"/"+coding, func(b *testing.B) {
				b.ReportAllocs()
				scrape(side.handler, coding)
				for b.Loop() {
					scrape(side.handler, coding)
				}
			})
		}
	}
}
