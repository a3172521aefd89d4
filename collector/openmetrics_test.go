package collector_test

import (
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// The suffixes that OpenMetrics gives to samples. A sample of one family must not have the name of another family.
var suffixes = map[dto.MetricType][]string{
	dto.MetricType_COUNTER:   {"_total", "_created"},
	dto.MetricType_SUMMARY:   {"_count", "_sum", "_created"},
	dto.MetricType_HISTOGRAM: {"_count", "_sum", "_bucket", "_created"},
}

func TestNoTwoMetricsHaveOneNameInOpenMetrics(t *testing.T) {
	_, c := pollingOrganization(t)
	families, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	owner := make(map[string]string)
	for _, f := range families {
		name := f.GetName()
		if f.GetType() == dto.MetricType_COUNTER {
			name = strings.TrimSuffix(name, "_total")
		}
		taken := []string{name}
		for _, suffix := range suffixes[f.GetType()] {
			taken = append(taken, name+suffix)
		}
		for _, n := range taken {
			if other, ok := owner[n]; ok && other != f.GetName() {
				t.Errorf("%s and %s have %s in common", other, f.GetName(), n)
			}
			owner[n] = f.GetName()
		}
	}
	if !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "go_memstats_heap_inuse_bytes" }) {
		t.Error("the memory that the dashboards show is missing")
	}
}
