//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// keepsStarts holds the moments that a server has stored as the beginnings of counters to those that the exporter says. The
// server's latest samples may be older than the exporter's, so that a beginning that changes is waited for.
func (l *life) keepsStarts(t *testing.T, s server) {
	t.Helper()
	process.Eventually(t, 3*time.Minute, s.name+" has stored when every counter began", func() error {
		want, err := begun(t, l.exporter)
		if err != nil {
			return err
		}
		got, err := s.starts(t)
		if err != nil {
			return err
		}
		if err := equal(want, got); err != nil {
			return err
		}
		// Beginnings that are all the same, as those of a process would be, say nothing.
		moments := slices.Sorted(maps.Values(want))
		if len(slices.Compact(moments)) < 3 {
			return fmt.Errorf("all counters began at one of %v", slices.Compact(moments))
		}
		return nil
	})
}

// begun are the moments, in Unix seconds, at which the exporter says that its counters began. The text format has no place
// for them.
func begun(t *testing.T, exporter string) (totals, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, exporter+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	decoder, moments := expfmt.NewDecoder(response.Body, expfmt.ResponseFormat(response.Header)), totals{}
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			return moments, nil
		} else if err != nil {
			return nil, err
		}
		if !slices.Contains(counters(), family.GetName()) {
			continue
		}
		for _, m := range family.GetMetric() {
			k := key(family.GetName(), labelsOf(m))
			if m.GetCounter().GetCreatedTimestamp() == nil {
				return nil, fmt.Errorf("%s does not say when it began", k)
			}
			// Prometheus stores milliseconds.
			moments[k] = float64(m.GetCounter().GetCreatedTimestamp().AsTime().UnixMilli()) / 1000
		}
	}
}

// starts are the moments that a server gives as the beginnings of counters.
func (s server) starts(t *testing.T) (totals, error) {
	t.Helper()
	var parts []string
	for _, name := range counters() {
		parts = append(parts, fmt.Sprintf(`label_replace(start_timestamp(%s), "metric", %q, "", "")`, name, name))
	}
	samples, err := s.query(t, strings.Join(parts, " or "))
	if err != nil {
		return nil, err
	}
	moments := totals{}
	for _, x := range samples {
		v, err := x.Value.number()
		if err != nil {
			return nil, err
		}
		name := x.Metric["metric"]
		delete(x.Metric, "metric")
		moments[key(name, x.Metric)] = math.Round(v*1000) / 1000
	}
	return moments, nil
}
