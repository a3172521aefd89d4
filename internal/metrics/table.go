package metrics

import (
	"slices"
	"strings"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A polled value says so in HELP, because nothing else in an exposition does. How old each may be is in the reference.
const (
	polled     = " Polled: up to one interval old."
	recomputed = " Polled: recomputed with every poll, up to one interval old."
)

// Table returns every metric of ours: what the endpoints' measures make, then the fixed ones.
func Table() []Metric {
	var usage, last, costs, estimates []Metric
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		for j := range e.Derived {
			m := &e.Derived[j]
			estimates = merge(estimates, e, m, Metric{
				Name: DerivedName(m), Type: Counter, Section: SectionEstimate, Help: m.Help + "." + polled,
			})
		}
		for j := range e.Measures {
			m := &e.Measures[j]
			switch {
			case e.IsCosts():
				costs = merge(costs, e, m, Metric{
					Name: CounterName(e, m), Type: Counter, Section: SectionCosts, Help: m.Help + ", as the Costs API reports it." + polled,
				})
			case e.Stock:
				usage = merge(usage, e, m, Metric{
					Name: StockName(m), Type: Gauge, Section: SectionUsage, Help: m.Help + "." + polled,
				})
			default:
				usage = merge(usage, e, m, Metric{
					Name: CounterName(e, m), Type: Counter, Section: SectionUsage, Help: m.Help + "." + polled,
				})
				last = merge(last, e, m, Metric{
					Name: LastBucketName(m), Type: Gauge, Section: SectionUsage, Help: "In the newest closed bucket: " + lower(m.Help) + "." + polled, Note: "Absent where it is zero.",
				})
			}
		}
	}
	all := slices.Concat(usage, last, costs, estimates, fixed)
	for i := range all {
		all[i].Unit = unitOf(all[i].Name)
	}
	return all
}

// units are the words at the end of a name that say what is counted.
var units = []string{"usd", "seconds", "bytes", "ratio", "tokens", "characters", "images"}

func unitOf(name string) string {
	name = strings.TrimSuffix(name, "_total")
	if i := slices.IndexFunc(units, func(u string) bool { return strings.HasSuffix(name, "_"+u) }); i >= 0 {
		return units[i]
	}
	return ""
}

// merge adds a metric to those that stand, or the endpoint to the metric that stands already: several endpoints share a
// measure, and their series are one family told apart by the endpoint label.
func merge(ms []Metric, e *api.Endpoint, m *api.Measure, metric Metric) []Metric {
	i := slices.IndexFunc(ms, func(o Metric) bool { return o.Name == metric.Name })
	if i < 0 {
		metric.Labels = []string{LabelOrganization}
		if !e.IsCosts() {
			metric.Labels = append(metric.Labels, LabelEndpoint)
		}
		ms = append(ms, metric)
		i = len(ms) - 1
	}
	o := &ms[i]
	o.Endpoints = append(o.Endpoints, e.Name)
	for _, f := range m.Fields {
		if !slices.Contains(o.Fields, f) {
			o.Fields = append(o.Fields, f)
		}
	}
	for _, l := range measureLabels(e, m) {
		if !slices.Contains(o.Labels, l) {
			o.Labels = append(o.Labels, l)
		}
	}
	return ms
}

// billed gives a metric the labels and the origin of the costs.
func billed(m Metric) Metric {
	e, _ := api.Find(api.Costs)
	cost := slices.IndexFunc(e.Measures, func(m api.Measure) bool { return m.Name == api.MeasureCost })
	return merge(nil, e, &e.Measures[cost], m)[0]
}

// measureLabels are the labels that a measure's series can have beside the organization and the endpoint.
func measureLabels(e *api.Endpoint, m *api.Measure) []string {
	var labels []string
	if m.By == nil {
		for _, d := range e.Dimensions {
			labels = append(labels, d.Label)
		}
		return labels
	}
	for _, name := range m.By {
		if d, ok := e.Dimension(name); ok {
			labels = append(labels, d.Label)
		}
	}
	return labels
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }
