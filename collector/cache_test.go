package collector_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

var acceptable = map[string]string{
	"text":            "text/plain;version=0.0.4",
	"OpenMetrics 1.0": "application/openmetrics-text;version=1.0.0",
	"OpenMetrics 2.0": "application/openmetrics-text;version=2.0.0",
	"protobuf":        string(expfmt.FmtProtoDelim),
	"protobuf text":   string(expfmt.FmtProtoText),
}

// ask returns what a handler answers, unpacked.
func ask(t *testing.T, h http.Handler, target, accept, coding string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", coding)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	var body io.Reader = rec.Body
	var err error
	if rec.Header().Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(body)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lines are an answer in a form that can be compared: what concerns the data, without what is true of the moment.
func lines(t *testing.T, body, format string) []string {
	t.Helper()
	var out []string
	take := func(name, line string) {
		for _, prefix := range []string{"openai_usage_", "openai_cost_", "openai_estimated_", "openai_exporter_restated", "openai_exporter_label"} {
			if strings.HasPrefix(name, prefix) {
				out = append(out, line)
			}
		}
	}
	if format == "protobuf" {
		d := expfmt.NewDecoder(strings.NewReader(body), expfmt.FmtProtoDelim)
		for {
			var f dto.MetricFamily
			if err := d.Decode(&f); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			take(f.GetName(), fmt.Sprintf("# %s %s %s", f.GetName(), f.GetType(), f.GetHelp()))
			for _, m := range f.Metric {
				take(f.GetName(), f.GetName()+m.String())
			}
		}
	} else {
		scan := bufio.NewScanner(strings.NewReader(body))
		for scan.Scan() {
			name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(scan.Text(), "# HELP "), "# TYPE "), `name: "`)
			take(name, scan.Text())
		}
	}
	return out
}

// manyOrganizations has several feeds whose metrics have the same names.
func manyOrganizations(t testing.TB, random *rand.Rand) []*ledger.FeedView {
	var out []*ledger.FeedView
	for _, organization := range []string{"acme", "beta", "gamma"} {
		for _, name := range []string{"completions", "embeddings", "costs"} {
			out = append(out, randomFeed(organization, find(t, name), random))
		}
	}
	return out
}

func randomFeed(organization string, e *api.Endpoint, random *rand.Rand) *ledger.FeedView {
	f := &ledger.FeedView{Organization: organization, Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
	all := make([]int, len(e.Measures))
	for i := range all {
		all[i] = i
	}
	for i := range random.IntN(40) {
		values := make([]decimal.Fixed, len(all))
		for m := range values {
			values[m] = decimal.FromInt(random.Int64N(1e12))
		}
		f.Series = append(f.Series, &ledger.Series{
			Labels:   []ledger.Label{{Name: "project_id", Value: fmt.Sprintf("proj #%d\n\"", i)}},
			Measures: all, Values: values, Born: noon.Add(-time.Duration(random.IntN(1e6)) * time.Second),
		})
	}
	return f
}

func TestWhatIsTakenOverFromBeforeIsTheSameAsWhatIsMadeAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	feeds := manyOrganizations(t, random)
	s := &source{now: noon}
	old := newCollector(s).Handler()
	for round := range 12 {
		// Each round changes a few feeds, and at times one is taken away.
		feeds = slices.Clone(feeds)
		for range random.IntN(3) {
			i := random.IntN(len(feeds))
			feeds[i] = randomFeed(feeds[i].Organization, feeds[i].Endpoint, random)
		}
		if round%4 == 3 {
			feeds = slices.Delete(feeds, 0, 1)
		}
		s.view.Store(&ledger.View{Feeds: feeds, Organizations: []ledger.OrganizationView{{Name: "acme", LabelSets: round, Limit: 100}}})
		fresh := newCollector(s).Handler()
		for format, accept := range acceptable {
			want := lines(t, ask(t, fresh, "/metrics", accept, "identity"), format)
			for _, coding := range []string{"identity", "gzip"} {
				got := ask(t, old, "/metrics", accept, coding)
				if again := lines(t, got, format); !slices.Equal(want, again) { // A difference takes ten times as long to look for.
					t.Fatalf("round %d, %s, %s (-again +taken over):\n%s", round, format, coding, cmp.Diff(want, again))
				}
				if strings.HasPrefix(format, "OpenMetrics") && strings.Count(got, "# EOF\n") != 1 {
					t.Fatalf("%s, %s: it does not end once", format, coding)
				}
			}
		}
	}
}

func TestAMetricOfManyEndpointsIsOneFamilyInEveryFormat(t *testing.T) {
	s := &source{now: noon}
	feeds := manyOrganizations(t, rand.New(rand.NewPCG(3, 4)))
	s.view.Store(&ledger.View{Feeds: feeds})
	samples := 0
	for _, f := range feeds {
		if !f.Endpoint.IsCosts() {
			samples += len(f.Series)
		}
	}
	h := newCollector(s).Handler()
	// Those who choose metrics by name see the same.
	for _, target := range []string{"/metrics", "/metrics?name[]=openai_usage_requests_total&name[]=openai_up"} {
		for format, accept := range acceptable {
			if format == "protobuf text" {
				continue
			}
			families, found := 0, 0
			for _, line := range lines(t, ask(t, h, target, accept, "gzip"), format) {
				switch {
				case strings.HasPrefix(line, "# openai_usage_requests_total "), strings.HasPrefix(line, "# TYPE openai_usage_requests"):
					families++
				case strings.HasPrefix(line, "openai_usage_requests_total"):
					found++
				case !strings.HasPrefix(line, "# HELP openai_usage_requests") && strings.Contains(target, "name[]"):
					t.Errorf("%s, %s: %s was not asked for", target, format, line)
				}
			}
			if families != 1 || found != samples {
				t.Errorf("%s, %s: %d families with %d samples, want one with %d", target, format, families, found, samples)
			}
		}
	}
}

// shown is a collector of a large feed and a small one, and a way to change either.
func shown(t *testing.T, series int) (c *collector.Collector, change func(large bool)) {
	s := &source{now: noon}
	e := find(t, "embeddings")
	feed := func(organization string, series int) *ledger.FeedView {
		f := &ledger.FeedView{Organization: organization, Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
		for i := range series / 2 {
			f.Series = append(f.Series, &ledger.Series{
				Labels:   []ledger.Label{{Name: "project_id", Value: fmt.Sprintf("proj_%024d", i)}},
				Measures: []int{0, 1}, Values: []decimal.Fixed{decimal.FromInt(int64(i)), decimal.FromInt(int64(7 * i))}, Born: noon,
			})
		}
		return f
	}
	large, small := feed("large", series), feed("small", 10)
	change = func(both bool) {
		a, b := *large, *small
		if both {
			large = &a
		}
		small = &b
		s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{large, small}})
	}
	change(true)
	return newCollector(s), change
}

func TestOnlyWhatChangedIsMadeAgain(t *testing.T) {
	const series = 20_000
	c, change := shown(t, series)
	h := c.Handler()
	for _, coding := range []string{"identity", "gzip"} {
		scrape(h, coding)
		// The small organization's polls must not cost what the large one's would.
		if n := testing.AllocsPerRun(5, func() { change(false); scrape(h, coding) }); n > series/4 {
			t.Errorf("%s: %v allocations after a change of ten series", coding, n)
		}
	}
}

func TestAPollPaysForTheNextScrape(t *testing.T) {
	const series = 20_000
	c, change := shown(t, series)
	h := c.Handler()
	polled := func() { c.Poll("large", "embeddings", time.Second, nil) }
	if n := testing.AllocsPerRun(1, polled); n > series/4 {
		t.Errorf("%v allocations for a poll although nobody scrapes", n)
	}
	scrape(h, "gzip")
	change(true)
	polled()
	if n := testing.AllocsPerRun(1, func() { scrape(h, "gzip") }); n > series/4 {
		t.Errorf("%v allocations for a scrape after a poll that has made everything", n)
	}
	change(true)
	if n := testing.AllocsPerRun(1, func() { c.Poll("large", "embeddings", time.Second, errors.New("HTTP 500")) }); n > series/4 {
		t.Errorf("%v allocations for a poll that failed", n)
	}
}

func TestAScrapeWaitsForNoBooking(t *testing.T) {
	e := find(t, "embeddings")
	var h http.Handler
	answered := make(chan int)
	booking := false
	l, err := ledger.Open(ledger.Options{Dir: t.TempDir(), Committed: func(time.Duration, error) {
		if !booking {
			return
		}
		// The ledger is locked now. Scrapes are answered in the meantime, with what was there before.
		go func() { answered <- scrape(h, "gzip").code }()
		select {
		case code := <-answered:
			if code != http.StatusOK {
				t.Errorf("status %d", code)
			}
		case <-time.After(time.Minute):
			t.Error("a scrape waits for the ledger")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	feeds, err := l.Configure(ledger.Settings{IdleRetention: 24 * time.Hour, MaxLabelSets: 10}, []ledger.FeedOptions{
		{Organization: "acme", Endpoint: e, Width: api.Minute, Lookback: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	h = collector.New(collector.Options{Views: l, Statuses: &source{now: noon}, Now: func() time.Time { return noon }}).Handler()
	r := ledger.NewRead(e, nil, feeds[0].PollWindow(noon))
	r.AsOf = noon
	booking = true
	if err := feeds[0].Book(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}
