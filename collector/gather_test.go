package collector_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestCountersCarryTheirStart(t *testing.T) {
	s, c := pollingOrganization(t)
	srv := httptest.NewServer(c.Handler())
	t.Cleanup(srv.Close)
	families := fetch(t, srv.URL, expfmt.FmtProtoDelim)
	f := families["openai_usage_requests_total"]
	var starts []string
	for _, m := range f.Metric {
		starts = append(starts, m.Counter.CreatedTimestamp.AsTime().Format(time.RFC3339))
	}
	slices.Sort(starts)
	want := []string{"2026-11-18T12:00:00Z", "2026-11-18T12:00:00Z", "2026-11-18T12:00:00Z", "2026-11-18T12:00:00Z", "2026-11-20T12:00:00Z"}
	if d := cmp.Diff(want, starts); d != "" {
		t.Errorf("start timestamps (-want +got):\n%s", d)
	}
	for _, m := range families["openai_exporter_restated_total"].Metric {
		if got := m.Counter.CreatedTimestamp.AsTime(); !got.Equal(s.now) {
			t.Fatalf("restated counts from %v, want the start of the process", got)
		}
	}
	for name, f := range families {
		if f.GetType() != dto.MetricType_COUNTER || !strings.HasPrefix(name, "openai_") {
			continue
		}
		for _, m := range f.Metric {
			if m.Counter.CreatedTimestamp == nil {
				t.Errorf("%s{%v} has no start", name, m.Label)
			}
		}
	}
	for _, accept := range []string{"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"} {
		if body := get(t, srv.URL, accept); regexp.MustCompile(`(?m)^\w+_created[ {]`).MatchString(body) {
			t.Errorf("%s has series for start timestamps", accept)
		}
	}
	if body := get(t, srv.URL, "application/openmetrics-text;version=2.0.0"); !strings.Contains(body, "st@1795003200") {
		t.Error("OpenMetrics 2.0 has no start timestamps")
	}
}

func get(t *testing.T, url, accept string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %s, %v", resp.Status, err)
	}
	return string(b)
}

func fetch(t *testing.T, url string, format expfmt.Format) map[string]*dto.MetricFamily {
	t.Helper()
	d := expfmt.NewDecoder(strings.NewReader(get(t, url, string(format))), format)
	out := make(map[string]*dto.MetricFamily)
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out[f.GetName()] = &f
	}
}

func TestANewViewIsShown(t *testing.T) {
	s, c := pollingOrganization(t)
	shows := func(want string) bool { return slices.Contains(samples(t, c, "openai_usage_requests_total"), want) }
	const before, after = `openai_usage_requests_total{endpoint="completions",model="gpt-5",organization="acme",project_id="proj_a"} 3`, `openai_usage_requests_total{endpoint="completions",model="gpt-5",organization="acme",project_id="proj_a"} 41`
	if !shows(before) {
		t.Error("the first view is not shown")
	}
	v := organizationView(t)
	v.Generation++
	v.Feeds[0].Series[1].Values = values(t, "41", "30000")
	s.view.Store(v)
	if !shows(after) || shows(before) {
		t.Error("the new view is not shown")
	}
}

func TestBeforeTheFirstViewThereAreOnlyOwnMetrics(t *testing.T) {
	c := newCollector(&source{now: noon})
	if got := samples(t, c, "openai_usage_", "openai_cost_", "openai_up"); got != nil {
		t.Errorf("samples: %q", got)
	}
	if got := samples(t, c, "openai_exporter_config_last_reload_successful"); len(got) != 1 {
		t.Errorf("samples: %q", got)
	}
}

func TestInvalidUTF8IsMadeValidAndSumsStayExact(t *testing.T) {
	s := &source{now: noon}
	e := find(t, "embeddings")
	s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{{Organization: "acme", Endpoint: e, Series: []*ledger.Series{
		{Labels: labels("model=a\xff"), Measures: []int{0}, Values: values(t, "1"), Born: noon},
		{Labels: labels("model=a\xfe"), Measures: []int{0}, Values: values(t, "2"), Born: noon.Add(-time.Hour)},
		{Labels: labels("model=a"), Measures: []int{0}, Values: values(t, "4"), Born: noon},
	}}}})
	c := newCollector(s)
	want := []string{
		`openai_usage_requests_total{endpoint="embeddings",model="a",organization="acme"} 4`,
		`openai_usage_requests_total{endpoint="embeddings",model="a` + "\uFFFD" + `",organization="acme"} 3`,
	}
	if d := cmp.Diff(want, samples(t, c, "openai_usage_")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := (prometheus.Gatherers{c}).Gather(); err != nil {
		t.Error(err)
	}
}

func TestOneOrganizationDoesNotCountTheSeriesOfAnother(t *testing.T) {
	s, c := pollingOrganization(t)
	v := organizationView(t)
	v.Organizations = append(v.Organizations, ledger.OrganizationView{Name: "beta", Limit: 10})
	s.view.Store(v)
	got := samples(t, c, "openai_exporter_series")
	n := len(samples(t, c, "openai_usage_", "openai_cost_", "openai_estimated_cost_", "openai_exporter_unpriced_")) -
		len(samples(t, c, "openai_usage_read_through", "openai_cost_month_forecast"))
	if d := cmp.Diff([]string{`openai_exporter_series{organization="acme"} ` + decimal.FromInt(int64(n)).String(), `openai_exporter_series{organization="beta"} 0`}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func BenchmarkGather(b *testing.B) {
	s := &source{now: noon}
	e, _ := api.Find("completions")
	f := &ledger.FeedView{Organization: "acme", Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
	all := make([]int, 10)
	for i := range all {
		all[i] = i
	}
	for i := range 5000 {
		id := decimal.FromInt(int64(i)).String()
		f.Series = append(f.Series, &ledger.Series{
			Labels: []ledger.Label{{Name: "project_id", Value: "proj_" + id}, {Name: "model", Value: "gpt-5"}}, Measures: all, Values: make([]decimal.Fixed, 10), Born: noon,
		})
	}
	v := &ledger.View{Feeds: []*ledger.FeedView{f}}
	s.view.Store(v)
	c := newCollector(s)
	b.Run("same view", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new view", func(b *testing.B) {
		for b.Loop() {
			again := *f
			s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{&again}})
			if _, err := c.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("checked by prometheus.Gatherers", func(b *testing.B) {
		for b.Loop() {
			if _, err := (prometheus.Gatherers{c}).Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
