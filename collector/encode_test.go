package collector_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// strange has label values and numbers of every kind that is spelled in a way of its own.
func strange(t *testing.T) []*ledger.FeedView {
	random := rand.New(rand.NewPCG(9, 10))
	feeds := manyOrganizations(t, random)
	e := find(t, "completions")
	f := &ledger.FeedView{Organization: "quotes \"and\" \\ lines\n", Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
	for i, number := range []string{"0", "1", "999999", "1000000", "1234567", "123456789012", "0.1", "0.000001", "12345.678", "12345678901234567", "9999999999999.25"} {
		f.Series = append(f.Series, &ledger.Series{
			Labels: []ledger.Label{{Name: "model", Value: strings.Repeat("µ\\", i) + "\n\""}}, Measures: []int{0, 1},
			Values: values(t, number, number), Born: noon,
		})
		f.LastBucket = append(f.LastBucket, ledger.Row{Labels: f.Series[i].Labels, Measures: []int{0, 1}, Values: values(t, number, number)})
	}
	return append(feeds, f)
}

// mine are the lines of our own metrics, without those that come from libraries and without durations.
func mine(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "openai_") && !strings.Contains(line, "_duration_seconds") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func TestOurEncodersWriteWhatTheLibraryWrites(t *testing.T) {
	s := &source{now: noon}
	s.view.Store(&ledger.View{Feeds: strange(t), Organizations: []ledger.OrganizationView{{Name: "acme", LabelSets: 3, Limit: 100}}})
	c := newCollector(s)
	families := gather(t, c)
	for name, format := range map[string]expfmt.Format{
		"text": expfmt.FmtText, "OpenMetrics 1.0": expfmt.FmtOpenMetrics_1_0_0, "OpenMetrics 2.0": expfmt.FmtOpenMetrics_2_0_0,
	} {
		var want bytes.Buffer
		e := expfmt.NewEncoder(&want, format)
		for _, f := range families {
			if err := e.Encode(f); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(mine(want.String()), mine(ask(t, c.Handler(), "/metrics", acceptable[name], "identity"))); d != "" {
			t.Errorf("%s (-library +ours):\n%s", name, d)
		}
	}
}

// messages are an answer in protobuf, by name, with samples in the order of their labels.
func messages(t *testing.T, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	d := expfmt.NewDecoder(strings.NewReader(ask(t, h, "/metrics", acceptable["protobuf"], "identity")), expfmt.FmtProtoDelim)
	out := make(map[string]*dto.MetricFamily)
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); err != nil {
			return sorted(out)
		}
		if out[f.GetName()] != nil {
			t.Errorf("%s comes twice", f.GetName())
		}
		out[f.GetName()] = &f
	}
}

func sorted(all map[string]*dto.MetricFamily) map[string]*dto.MetricFamily {
	for name, f := range all {
		slices.SortFunc(f.Metric, func(a, b *dto.Metric) int {
			return slices.CompareFunc(a.Label, b.Label, func(x, y *dto.LabelPair) int {
				return strings.Compare(x.GetName()+"\xff"+x.GetValue(), y.GetName()+"\xff"+y.GetValue())
			})
		})
		if !strings.HasPrefix(name, "openai_") {
			delete(all, name) // What libraries tell is true of the moment alone.
		}
	}
	return all
}

func TestOurProtobufSaysWhatTheLibrarySays(t *testing.T) {
	s := &source{now: noon}
	s.view.Store(&ledger.View{Feeds: strange(t)})
	c := newCollector(s)
	for range 3 {
		c.Poll("acme", "completions", 1500000, nil)
	}
	want := make(map[string]*dto.MetricFamily)
	for _, f := range gather(t, c) {
		want[f.GetName()] = f
	}
	got := messages(t, c.Handler())
	if d := cmp.Diff(sorted(want), got, protocmp.Transform()); d != "" {
		t.Errorf("(-library +ours):\n%s", d)
	}
	if len(got) < 20 {
		t.Errorf("there are only %v", slices.Collect(maps.Keys(got)))
	}
}

func TestDurationsAreNativeHistogramsAndInTextASumAndACount(t *testing.T) {
	_, c := pollingOrganization(t)
	h := messages(t, c.Handler())["openai_exporter_poll_duration_seconds"]
	if h.GetType() != dto.MetricType_HISTOGRAM || h.GetUnit() != "seconds" {
		t.Errorf("it is a %s in %q", h.GetType(), h.GetUnit())
	}
	observed := 0
	for _, m := range h.Metric {
		observed += int(m.Histogram.GetSampleCount())
		if m.Histogram.Schema == nil || len(m.Histogram.Bucket) > 0 {
			t.Errorf("no native histogram alone: %v", m)
		}
	}
	if observed != 2 {
		t.Errorf("%d observations, want 2", observed)
	}
	for _, format := range []string{"text", "OpenMetrics 1.0"} {
		var got []string
		for line := range strings.Lines(ask(t, c.Handler(), "/metrics", acceptable[format], "identity")) {
			if strings.Contains(line, "openai_exporter_state_commit_duration_seconds") && !strings.HasPrefix(line, "# HELP") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		want := []string{
			"# TYPE openai_exporter_state_commit_duration_seconds summary",
			"openai_exporter_state_commit_duration_seconds_sum 3.002",
			"openai_exporter_state_commit_duration_seconds_count 2",
		}
		if format != "text" {
			want = slices.Insert(want, 1, "# UNIT openai_exporter_state_commit_duration_seconds seconds")
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", format, d)
		}
	}
}

func TestTheUnitIsTheEndOfTheName(t *testing.T) {
	known := 0
	for _, m := range metrics.Table() {
		if m.Unit == "" {
			continue
		}
		known++
		if name := strings.TrimSuffix(m.Name, "_total"); !strings.HasSuffix(name, "_"+m.Unit) {
			t.Errorf("%s is said to be in %s", m.Name, m.Unit)
		}
	}
	if known < 40 {
		t.Errorf("only %d metrics have a unit", known)
	}
}
