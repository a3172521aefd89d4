//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// totals are the values of counters, by a spelling of metric and labels that is the same for all three sources.
type totals map[string]float64

// sum adds up all series of a metric.
func (t totals) sum(metric string) float64 {
	sum := 0.0
	for k, v := range t {
		if name, _, _ := strings.Cut(k, " "); name == metric {
			sum += v
		}
	}
	return sum
}

// ours are the labels that say where a sample is from. They are the same for all series here.
var ours = []string{"__name__", "organization", "instance", "job"}

func key(metric string, labels map[string]string) string {
	var b strings.Builder
	b.WriteString(metric)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if labels[name] != "" && !slices.Contains(ours, name) {
			fmt.Fprintf(&b, " %s=%q", name, labels[name])
		}
	}
	return b.String()
}

// counter is the name of a measure's counter.
func counter(m api.Measure) string {
	switch m.Name {
	case api.MeasureCost, api.MeasureCostQuantity:
		return "openai_" + m.Name + "_total"
	}
	return "openai_usage_" + m.Name + "_total"
}

// flows are the endpoints whose measures are counters.
func flows() []api.Endpoint {
	return slices.DeleteFunc(slices.Clone(api.Endpoints), func(e api.Endpoint) bool { return e.Stock })
}

// counters are the names of all counters of the provider's data.
func counters() []string {
	var names []string
	for _, e := range flows() {
		for _, m := range e.Measures {
			if n := counter(m); !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// truth asks the simulator what the API says now about everything since from, grouped as the exporter groups it.
func truth(t *testing.T, simulator string, from time.Time) (totals, error) {
	t.Helper()
	now, err := apiNow(t, simulator)
	if err != nil {
		return nil, err
	}
	want := totals{}
	for _, e := range flows() {
		groupBy := e.GroupBy([]string{"project_id", "model"})
		if e.IsCosts() {
			groupBy = e.GroupBy([]string{"project_id", "line_item"})
		}
		q := url.Values{
			"endpoint": {e.Name},
			"group_by": groupBy,
			"from":     {strconv.FormatInt(from.Unix(), 10)},
			"to":       {strconv.FormatInt(now.Add(24*time.Hour).Unix(), 10)},
		}
		body, err := process.Get(t.Context(), simulator+"/_simulator/truth?"+q.Encode())
		if err != nil {
			return nil, err
		}
		var answer struct {
			Rows []struct {
				Labels map[string]string          `json:"labels"`
				Values map[string]json.RawMessage `json:"values"`
			} `json:"rows"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, fmt.Errorf("decode truth about %s: %w in %s", e.Name, err, process.Tail(string(body), 300))
		}
		if len(answer.Rows) == 0 && (e.IsCosts() || e.Name == "completions") {
			return nil, fmt.Errorf("no truth about %s in %s", e.Name, process.Tail(string(body), 300))
		}
		for _, r := range answer.Rows {
			for _, m := range e.Measures {
				labels := map[string]string{}
				for name, value := range r.Labels {
					d, ok := e.Dimension(name)
					if !ok {
						return nil, fmt.Errorf("%s has no dimension %q", e.Name, name)
					}
					if m.By == nil && slices.Contains(groupBy, name) || slices.Contains(m.By, name) {
						labels[d.Label] = value
					}
				}
				if !e.IsCosts() {
					labels["endpoint"] = e.Name
				}
				v, err := strconv.ParseFloat(strings.Trim(string(r.Values[m.Name]), `"`), 64)
				if err != nil {
					return nil, fmt.Errorf("%s of %s: %w", m.Name, e.Name, err)
				}
				want[key(counter(m), labels)] += v
			}
		}
	}
	return want, nil
}

// exposed reads the counters from the exporter itself.
func exposed(t *testing.T, exporter string) (totals, error) {
	t.Helper()
	families, err := scraped(t, exporter)
	if err != nil {
		return nil, err
	}
	got := totals{}
	for _, name := range counters() {
		for _, m := range families[name].GetMetric() {
			got[key(name, labelsOf(m))] = m.GetCounter().GetValue()
		}
	}
	return got, nil
}

// scraped are the metrics of the exporter.
func scraped(t *testing.T, exporter string) (map[string]*dto.MetricFamily, error) {
	t.Helper()
	body, err := process.Get(t.Context(), exporter+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return families, nil
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// recorded reads the counters from Prometheus.
func (p prometheus) recorded(t *testing.T) (totals, error) {
	t.Helper()
	got := totals{}
	for _, name := range counters() {
		samples, err := p.query(t, name)
		if err != nil {
			return nil, err
		}
		for _, s := range samples {
			v, err := s.Value.number()
			if err != nil {
				return nil, err
			}
			got[key(name, s.Metric)] = v
		}
	}
	return got, nil
}

// equal compares to the last token and to 1e-9 USD. A series that is absent counts as zero.
func equal(want, got totals) error {
	var wrong []string
	for _, k := range slices.Sorted(maps.Keys(union(want, got))) {
		tolerance := 0.0
		if strings.HasPrefix(k, "openai_cost_") {
			// Sums of many floats, here and in the test, differ in the last digits.
			tolerance = 1e-9 * max(1, math.Abs(want[k]))
		}
		if math.Abs(want[k]-got[k]) > tolerance {
			wrong = append(wrong, fmt.Sprintf("%s: got %v, want %v", k, got[k], want[k]))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d series differ, first of all %s", len(wrong), len(want), strings.Join(wrong[:min(3, len(wrong))], "; "))
	}
	if len(got) == 0 {
		return errors.New("there are no series")
	}
	return nil
}

// minus is what has been added to each series since.
func (t totals) minus(before totals) totals {
	d := totals{}
	for k, v := range t {
		d[k] = v - before[k]
	}
	return d
}

func union(a, b totals) totals {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}
