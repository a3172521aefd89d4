//go:build !race

package simulation_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// An oracle knows the contract: what a scrape may show after what earlier ones showed, and what it has to show in the
// end.
type oracle struct {
	highest map[string]float64 // of every counter of the API's data that was ever shown
}

func newOracle() oracle { return oracle{highest: map[string]float64{}} }

type families map[string]*dto.MetricFamily

// scrape reads the exposition with the parser of Prometheus' own libraries and holds it against the contract.
func (w *world) scrape() families {
	if w.running == nil {
		return nil
	}
	answer := httptest.NewRecorder()
	w.running.Metrics().ServeHTTP(answer, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		w.fault("the exposition can't be parsed: %v", err)
		return nil
	}
	w.scrapes++
	w.never(all)
	return all
}

// never holds what may never be seen, whatever has happened.
func (w *world) never(all families) {
	var sums []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		for _, x := range f.GetMetric() {
			labels := labelsOf(x)
			switch {
			case name == "openai_exporter_label_sets":
				// What returns after others have filled the room is not ended for that, so only then the limit may be passed.
				if n, limit := x.GetGauge().GetValue(), float64(w.settings.labelSets); n < 0 || n > limit && !w.returned {
					w.fault("%s{%s} is %v, the limit is %v", name, spell(labels), n, limit)
				}
			case name == "openai_exporter_withheld":
				if n := x.GetGauge().GetValue(); n < 0 || n > 0 && !w.falls && !derived(labels["measure"]) {
					w.fault("%s{%s} is %v, although the API corrects nothing downwards", name, spell(labels), n)
				}
			case name == "openai_usage_read_through_timestamp_seconds":
				if n := x.GetGauge().GetValue(); n > float64(time.Now().Unix()) {
					w.fault("%s{%s} is %v, which is in the future", name, spell(labels), n)
				}
			case counted(name):
				key, n := name+"{"+spell(labels)+"}", x.GetCounter().GetValue()
				if before := w.oracle.highest[key]; n < before {
					w.fault("%s fell from %v to %v", key, before, n)
				}
				w.oracle.highest[key] = max(w.oracle.highest[key], n)
			}
		}
	}
	for k, n := range w.counters(all) {
		sums = append(sums, fmt.Sprintf("%s=%v", k, n.sum))
	}
	slices.Sort(sums)
	w.note("scrape %d: %s", w.scrapes, strings.Join(sums, " "))
}

// derived says whether a measure is made of rows and prices: it falls where a row is priced anew at a lower price.
func derived(measure string) bool {
	return measure == "estimated_cost_usd" || measure == "unpriced_tokens"
}

func counted(name string) bool {
	return strings.HasSuffix(name, "_total") && (strings.HasPrefix(name, "openai_usage_") || strings.HasPrefix(name, "openai_cost_"))
}

// A total is what is counted of one measure of one endpoint of one organization.
type total struct {
	sum    float64
	series map[string]float64 // by label set, without organization and endpoint
}

type measure struct{ organization, endpoint, measure string }

func (m measure) String() string { return m.organization + "/" + m.endpoint + "/" + m.measure }

// counters are the totals that a scrape shows, less what is withheld.
func (w *world) counters(all families) map[measure]total {
	out := map[measure]total{}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock {
			continue
		}
		for _, m := range e.Measures {
			name := "openai_usage_" + m.Name + "_total"
			if e.IsCosts() {
				name = "openai_" + m.Name + "_total"
			}
			for _, x := range all[name].GetMetric() {
				labels := labelsOf(x)
				if !e.IsCosts() && labels["endpoint"] != e.Name {
					continue
				}
				k := measure{labels["organization"], e.Name, m.Name}
				delete(labels, "organization")
				delete(labels, "endpoint")
				have := out[k]
				if have.series == nil {
					have.series = map[string]float64{}
				}
				have.sum += x.GetCounter().GetValue()
				have.series[spell(labels)] += x.GetCounter().GetValue()
				out[k] = have
			}
		}
	}
	for _, x := range all["openai_exporter_withheld"].GetMetric() {
		labels := labelsOf(x)
		k := measure{labels["organization"], labels["endpoint"], labels["measure"]}
		if have, known := out[k]; known {
			have.sum -= x.GetGauge().GetValue()
			out[k] = have
		}
	}
	return out
}

// truths are what the API says in the end about everything that has to be counted.
func (w *world) truths() map[measure]total {
	from := w.begin.Truncate(24 * time.Hour)
	out := map[measure]total{}
	for _, o := range w.organizations {
		for i := range api.Endpoints {
			e := &api.Endpoints[i]
			if e.Stock || !e.IsCosts() && !slices.Contains(w.endpoints, e.Name) {
				continue
			}
			groupBy := e.GroupBy(w.settings.groupBy)
			to := w.end
			if e.IsCosts() {
				groupBy = e.GroupBy(w.settings.costsGroupBy)
				to = w.end.Truncate(24 * time.Hour).Add(48 * time.Hour)
			}
			rows := o.sim.Final(e.Name, groupBy, from, to)
			for _, m := range e.Measures {
				labelled := rows
				if m.By != nil {
					labelled = simulator.Sum(rows, m.By...)
				} else if len(e.Attributes) > 0 {
					labelled = simulator.Sum(rows, groupBy...)
				}
				k := measure{o.name, e.Name, m.Name}
				for _, r := range labelled {
					names := map[string]string{}
					for name, value := range r.Labels {
						d, _ := e.Dimension(name)
						names[d.Label] = value
					}
					have := out[k]
					if have.series == nil {
						have.series = map[string]float64{}
					}
					n := r.Values[m.Name].Float64()
					have.sum += n
					have.series[spell(names)] += n
					out[k] = have
				}
			}
		}
	}
	return out
}

// exact compares what is counted in the end with the truth: to the last token and cent where nothing had to be taken
// as a baseline within the life, else as a bound that nothing counted twice can stay under.
func (w *world) exact() {
	got, want := w.counters(w.scrape()), w.truths()
	if len(got) == 0 || len(want) == 0 {
		w.fault("there is nothing to compare: %d counted, %d true", len(got), len(want))
	}
	for _, k := range slices.SortedFunc(maps.Keys(want), func(a, b measure) int { return strings.Compare(a.String(), b.String()) }) {
		n, truth := got[k], want[k]
		off := n.sum - truth.sum
		near := 1e-9 * max(math.Abs(truth.sum), 1)
		switch {
		case w.reshapes && off <= near:
			// A new grouping starts from a baseline, and what its series do not have any more is not shown.
		case math.Abs(off) > near:
			w.fault("%s: counted %v, the truth is %v", k, n.sum, truth.sum)
		case !w.falls && w.settings.labelSets > 1000:
			for _, labels := range slices.Sorted(maps.Keys(truth.series)) {
				if math.Abs(n.series[labels]-truth.series[labels]) > near {
					w.fault("%s{%s}: counted %v, the truth is %v", k, labels, n.series[labels], truth.series[labels])
				}
			}
		}
	}
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

func spell(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%s=%q,", name, labels[name])
	}
	return b.String()
}
