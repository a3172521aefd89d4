package simulator

import (
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A Row is a label set and what the API says about it, summed over a range.
type Row struct {
	// Labels are the dimensions grouped by and those that rows carry on their own (the quantity_unit of costs), under
	// the API's names. A dimension without a value is absent.
	Labels map[string]string
	// Values are by the measure names of the endpoint table. Every measure of the endpoint is there.
	Values map[string]decimal.Fixed
}

// Truth is what the API says about [from,to) at the moment asOf, summed per label set, exactly: the sum over the
// served rows, each number as it is printed. from is floored to the minute; costs are of whole UTC days, of those that
// [from,to) touches. A stock is not summed over time: its value is the newest in the range. The rows are in the order
// of their labels. An endpoint that is not in the table has no rows.
func (s *Simulator) Truth(endpoint string, groupBy []string, from, to, asOf time.Time) []Row {
	return s.truth(endpoint, groupBy, from, to, (*view).read, asOf.Unix())
}

// Highest is the most that the API can have said about the usage in [from,to) at the moment asOf or before: no minute that
// it corrects downwards has been corrected, and each that it corrects upwards has.
func (s *Simulator) Highest(endpoint string, groupBy []string, from, to, asOf time.Time) []Row {
	return s.truth(endpoint, groupBy, from, to, (*view).highest, asOf.Unix())
}

// Final is Truth after everything late and restated has landed.
func (s *Simulator) Final(endpoint string, groupBy []string, from, to time.Time) []Row {
	return s.truth(endpoint, groupBy, from, to, (*view).read, forever)
}

func (s *Simulator) truth(endpoint string, groupBy []string, from, to time.Time, read func(v *view, asOf int64) *reading, asOf int64) []Row {
	e, ok := api.Find(endpoint)
	if !ok {
		return nil
	}
	v := s.view()
	groupBy = e.GroupBy(groupBy)
	sums := map[string]*Row{}
	add := func(rows []row) {
		for i := range rows {
			r := &rows[i]
			labels := slices.Clone(r.labels)
			for _, a := range e.Attributes {
				labels = append(labels, r.attribute(a.Name))
			}
			key := labelKey(labels)
			sum := sums[key]
			if sum == nil {
				sum = &Row{Labels: map[string]string{}, Values: map[string]decimal.Fixed{}}
				for j, l := range labels {
					if l == "" {
						continue
					}
					if j < len(groupBy) {
						sum.Labels[groupBy[j]] = l
					} else {
						sum.Labels[e.Attributes[j-len(groupBy)].Name] = l
					}
				}
				sums[key] = sum
			}
			for j := range e.Measures {
				m := &e.Measures[j]
				sum.Values[m.Name] = sum.Values[m.Name].Add(r.value(e, m))
			}
		}
	}
	first, last := from.Unix(), to.Unix()
	if e.IsCosts() {
		g := s.billGroups(e, groupBy, nil)
		for day := first - mod(first, 86400); day < last; day += 86400 {
			add(v.costRows(g, groupBy, false, day/86400, asOf))
		}
	} else {
		g := s.usageGroups(s.source(e), groupBy, nil)
		add(v.usageRows(read(v, asOf), s.source(e), g, len(groupBy) > 0, first-mod(first, 60), last, new(scratch)))
	}
	out := make([]Row, 0, len(sums))
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, *sums[key])
	}
	return out
}

// Sum regroups rows by fewer labels: cost_quantity, say, by line_item and quantity_unit.
func Sum(rows []Row, labels ...string) []Row {
	sums := map[string]*Row{}
	for _, r := range rows {
		values := make([]string, len(labels))
		for i, l := range labels {
			values[i] = r.Labels[l]
		}
		key := labelKey(values)
		sum := sums[key]
		if sum == nil {
			sum = &Row{Labels: map[string]string{}, Values: map[string]decimal.Fixed{}}
			for i, l := range labels {
				if values[i] != "" {
					sum.Labels[l] = values[i]
				}
			}
			sums[key] = sum
		}
		for m, x := range r.Values {
			sum.Values[m] = sum.Values[m].Add(x)
		}
	}
	out := make([]Row, 0, len(sums))
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, *sums[key])
	}
	return out
}
