package collector

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/testing/protocmp"
)

// said is a collector that says the same each time.
type said []prometheus.Metric

func (s said) Describe(out chan<- *prometheus.Desc) {
	described := make(map[*prometheus.Desc]bool)
	for _, m := range s {
		if !described[m.Desc()] {
			out <- m.Desc()
		}
		described[m.Desc()] = true
	}
}

func (s said) Collect(out chan<- prometheus.Metric) {
	for _, m := range s {
		out <- m
	}
}

// everything is metrics of all kinds, not in order.
func everything(t *testing.T) said {
	t.Helper()
	born := time.UnixMilli(1795003200250)
	labelled := prometheus.NewDesc("labelled_total", "Quotes \" and \\ and\nlines.", []string{"code", "method"}, nil)
	var out said
	for _, labels := range [][]string{{"503", "get"}, {"200", "put"}, {"200", "a \"get\"\n"}} {
		m, err := prometheus.NewConstMetricWithCreatedTimestamp(labelled, prometheus.CounterValue, 1234567, born, labels...)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	numbers := prometheus.NewDesc("numbers", "Numbers of all kinds.", []string{"n"}, nil)
	for name, n := range map[string]float64{"nan": math.NaN(), "inf": math.Inf(1), "down": math.Inf(-1), "zero": 0, "negative": -2, "half": 0.5, "large": 18446744073709551615} {
		out = append(out, prometheus.MustNewConstMetric(numbers, prometheus.GaugeValue, n, name))
	}
	return append(out,
		prometheus.MustNewConstMetric(prometheus.NewDesc("info", "With a label that is always there.", nil, prometheus.Labels{"version": "1"}), prometheus.GaugeValue, 1),
		prometheus.MustNewConstSummary(prometheus.NewDesc("pauses_seconds", "A summary.", nil, nil), 3, 0.25, map[float64]float64{0: 1e-9, 0.5: 0.125, 1: math.NaN()}),
		prometheus.MustNewConstSummary(prometheus.NewDesc("empty_seconds", "A summary of nothing.", nil, nil), 0, 0, nil),
		prometheus.MustNewConstSummary(prometheus.NewDesc("labelled_seconds", "A summary with a label.", []string{"code"}, nil), 3, 0.25, map[float64]float64{0.5: 0.125}, "200"),
		prometheus.MustNewConstHistogram(prometheus.NewDesc("sizes_bytes", "A histogram.", nil, nil), 4, 10, map[float64]uint64{1: 1, 5: 3}),
		prometheus.MustNewConstMetric(prometheus.V2.NewDesc("limit_bytes", "With a unit.", prometheus.UnconstrainedLabels(nil), nil, prometheus.WithUnit("bytes")), prometheus.GaugeValue, 1e9),
	)
}

// TestTheLibraryIsReadAsItsRegistryReadsIt: the same bytes in every text format, the same messages in protobuf.
func TestTheLibraryIsReadAsItsRegistryReadsIt(t *testing.T) {
	l := newLibrary()
	l.MustRegister(everything(t))
	want, err := l.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // What was said before must leave nothing behind.
		if err := l.read(); err != nil {
			t.Fatal(err)
		}
		var families []*dto.MetricFamily
		for _, d := range l.sorted {
			families = append(families, d.family())
		}
		if d := cmp.Diff(want, families, protocmp.Transform(), cmpopts.EquateNaNs()); d != "" {
			t.Errorf("families (-registry +ours):\n%s", d)
		}
		for _, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_2_0_0, expfmt.FmtProtoDelim} {
			var theirs bytes.Buffer
			e := expfmt.NewEncoder(&theirs, format)
			for _, f := range want {
				if err := e.Encode(f); err != nil {
					t.Fatal(err)
				}
			}
			var ours []byte
			for _, d := range l.sorted {
				if ours, err = d.append(ours, format, encoderOf(format)); err != nil {
					t.Fatal(err)
				}
			}
			var d string
			if format == expfmt.FmtProtoDelim { // In which fields may come in any order.
				d = cmp.Diff(decode(t, theirs.Bytes()), decode(t, ours), protocmp.Transform(), cmpopts.EquateNaNs())
			} else {
				d = cmp.Diff(theirs.String(), string(ours))
			}
			if d != "" {
				t.Errorf("%s (-expfmt +ours):\n%s", format, d)
			}
		}
	}
}

// decode reads families in protobuf.
func decode(t *testing.T, b []byte) (out []*dto.MetricFamily) {
	t.Helper()
	for d := expfmt.NewDecoder(bytes.NewReader(b), expfmt.FmtProtoDelim); ; {
		f := new(dto.MetricFamily)
		if err := d.Decode(f); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
}

// TestEveryMetricOfGoAndTheProcessIsSaid: all of those that a registry finds, by the same names, with the same help, type
// and unit.
func TestEveryMetricOfGoAndTheProcessIsSaid(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	want, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	l := newMoment(time.Now).library
	if err := l.read(); err != nil {
		t.Fatal(err)
	}
	var got []*dto.MetricFamily
	for _, d := range l.sorted {
		f := d.family()
		if len(f.Metric) == 0 {
			t.Errorf("%s has no sample", f.GetName())
		}
		got = append(got, f)
	}
	if d := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(new(dto.MetricFamily), "metric")); d != "" {
		t.Errorf("(-registry +ours):\n%s", d)
	}
}

func TestWhatTheLibraryCannotReadHidesNothingElse(t *testing.T) {
	l := newLibrary()
	broken := prometheus.NewDesc("broken", "It can't be read.", nil, nil)
	l.MustRegister(everything(t), said{prometheus.NewInvalidMetric(broken, errors.New("no such file")), prometheus.MustNewConstMetric(prometheus.NewDesc("whole", "It can.", nil, nil), prometheus.GaugeValue, 5)})
	if err := l.read(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("the error is %v", err)
	}
	var text []byte
	for _, d := range l.sorted {
		var err error
		if text, err = d.append(text, expfmt.FmtText, encoderOf(expfmt.FmtText)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"\nwhole 5\n", "\nsizes_bytes_count 4\n"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("there is no %q", want)
		}
	}
	if bytes.Contains(text, []byte("broken")) {
		t.Error("there is what could not be read")
	}
	if err := l.Register(everything(t)); err == nil {
		t.Error("the same metrics were registered twice")
	}
}
