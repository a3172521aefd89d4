package server_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/server"
)

func TestEveryFormatAndEncodingSaysTheSame(t *testing.T) {
	s := organization(t)
	c := collector.New(collector.Options{Views: s, Statuses: s, Now: func() time.Time { return noon }})
	r := start(t, server.Options{Metrics: c.Handler()})
	encodings := map[string]func(io.Reader) io.Reader{
		"identity": func(r io.Reader) io.Reader { return r },
		"gzip": func(r io.Reader) io.Reader {
			z, err := gzip.NewReader(r)
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	}
	var first map[string]string
	for _, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim} {
		for encoding, decompress := range encodings {
			a := r.do(t, http.MethodGet, "/metrics", "Accept", string(format), "Accept-Encoding", encoding)
			if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); !strings.HasPrefix(string(format), kind) {
				t.Fatalf("%s is answered with %s", format, kind)
			}
			if got := a.header.Get("Content-Encoding"); got != encoding && (got != "" || encoding != "identity") {
				t.Errorf("%s: content encoding %q, want %s", format, got, encoding)
			}
			body, err := io.ReadAll(decompress(strings.NewReader(a.body)))
			if err != nil {
				t.Fatalf("%s %s: %v", format, encoding, err)
			}
			got := decode(t, format, body)
			if first == nil {
				first = got
				if len(got) < 50 {
					t.Fatalf("%d series in all", len(got))
				}
			}
			if d := cmp.Diff(first, got); d != "" {
				t.Errorf("%s %s differs:\n%s", format, encoding, d)
			}
		}
	}
}

// decode maps each series of ours to its value, a histogram to its count.
func decode(t *testing.T, format expfmt.Format, body []byte) map[string]string {
	t.Helper()
	out := make(map[string]string)
	add := func(name string, m *dto.Metric, v float64) {
		var b strings.Builder
		for _, l := range m.Label {
			b.WriteString(" " + l.GetName() + "=" + l.GetValue())
		}
		out[name+b.String()] = model.SampleValue(v).String()
	}
	if format.FormatType() == expfmt.TypeOpenMetrics {
		if !bytes.HasSuffix(body, []byte("# EOF\n")) {
			t.Error("OpenMetrics does not end with # EOF")
		}
		// There is no decoder of OpenMetrics at hand. Without units and exemplars it is the text format but for its last
		// line and for a counter's family, which goes without _total.
		var lines []string
		for l := range strings.Lines(string(body)) {
			f := strings.Fields(l)
			switch {
			case f[0] == "#" && len(f) > 2 && strings.HasPrefix(f[2], "openai_"):
				if bytes.Contains(body, []byte("# TYPE "+f[2]+" counter\n")) {
					l = strings.Replace(l, f[2], f[2]+"_total", 1)
				}
				lines = append(lines, l)
			case strings.HasPrefix(l, "openai_"):
				lines = append(lines, l)
			}
		}
		body, format = []byte(strings.Join(lines, "")), expfmt.FmtText
	}
	d := expfmt.NewDecoder(bytes.NewReader(body), format)
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(f.GetName(), "openai_") {
			continue
		}
		for _, m := range f.Metric {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				add(f.GetName(), m, m.Counter.GetValue())
			case dto.MetricType_HISTOGRAM:
				add(f.GetName()+"_count", m, float64(m.Histogram.GetSampleCount()))
			case dto.MetricType_SUMMARY: // what text calls a histogram without classic buckets
				add(f.GetName()+"_count", m, float64(m.Summary.GetSampleCount()))
			default:
				add(f.GetName(), m, m.Gauge.GetValue())
			}
		}
	}
}

func TestAScrapeCanAskForNames(t *testing.T) {
	s := organization(t)
	c := collector.New(collector.Options{Views: s, Statuses: s})
	r := start(t, server.Options{Metrics: c.Handler(), TelemetryPath: "/openai/metrics"})
	a := r.do(t, http.MethodGet, "/openai/metrics?name[]=openai_usage_requests_total&name[]=openai_up")
	var names []string
	for l := range strings.Lines(a.body) {
		if f := strings.Fields(l); f[0] == "#" && f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	if want := []string{"openai_up", "openai_usage_requests_total"}; !slices.Equal(names, want) {
		t.Errorf("families %v, want %v", names, want)
	}
	if a := r.do(t, http.MethodGet, "/metrics"); a.code != http.StatusNotFound {
		t.Errorf("/metrics answers %d", a.code)
	}
	if a := r.do(t, http.MethodGet, "/"); !strings.Contains(a.body, `href="openai/metrics"`) {
		t.Error("the page does not link the metrics")
	}
}
