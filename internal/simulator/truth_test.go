package simulator_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

var exact = cmpopts.EquateComparable(decimal.Fixed{})

// groupings are nothing, one dimension, some and all of an endpoint.
func groupings(e *api.Endpoint) [][]string {
	var all []string
	for _, d := range e.Dimensions {
		all = append(all, d.Name)
	}
	return [][]string{nil, all[:1], all[len(all)/2:], all}
}

// stretch is a range up to monday that is a fair amount of buckets of a width.
func stretch(e *api.Endpoint, w api.Width) time.Time {
	switch {
	case e.Stock:
		return monday.Truncate(24 * time.Hour) // A stock's truth is its newest level: that of one bucket.
	case w.Duration < 24*time.Hour:
		return monday.Add(-3 * time.Hour).Truncate(time.Minute)
	}
	return monday.Add(-5 * w.Duration).Truncate(24 * time.Hour)
}

func TestWhatIsServedIsTheTruth(t *testing.T) {
	t.Parallel()
	// The other profiles differ in faults, which do not change what an answer says.
	for _, profile := range []string{"instant", "late-hours", "restated"} {
		c, err := simulator.Profile(profile)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate, LabelSets: 30})
		for i := range api.Endpoints {
			e := &api.Endpoints[i]
			for _, w := range e.Widths {
				if e.Stock && w != api.Day {
					continue
				}
				for _, groupBy := range groupings(e) {
					t.Run(fmt.Sprintf("%s/%s/%s/%v", profile, e.Name, w.Name, groupBy), func(t *testing.T) {
						t.Parallel()
						sameAsTruth(t, s, e, w, groupBy)
					})
				}
			}
		}
	}
}

func TestStringAmountsAreTheTruthToo(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate, StringAmounts: true, Credits: true})
	e := find(t, api.Costs)
	for _, groupBy := range groupings(e) {
		sameAsTruth(t, s, e, api.CostDay, groupBy)
	}
}

func sameAsTruth(t *testing.T, s *simulator.Simulator, e *api.Endpoint, w api.Width, groupBy []string) {
	t.Helper()
	from := stretch(e, w)
	q := query("start_time", seconds(from), "bucket_width", w.Name, "limit", strconv.Itoa(min(w.Max, 100)))
	for _, g := range groupBy {
		q.Add("group_by", g)
	}
	got := total(t, e, groupBy, askAll(t, s, e.Name, q))
	want := totalOf(s.Truth(e.Name, groupBy, from, monday, monday))
	if diff := cmp.Diff(want, got, exact); diff != "" {
		t.Errorf("truth and what is served differ (-truth +served):\n%.3000s", diff)
	}
	if len(want) == 0 {
		t.Error("there is no usage at all")
	}
}

// TestNothingIsServedAboveTheHighest: of usage that is corrected in both directions, at no moment has the API said more.
func TestNothingIsServedAboveTheHighest(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate})
	sum := func(rows []simulator.Row) (total decimal.Fixed) {
		for _, r := range rows {
			total = total.Add(r.Values["input_tokens"])
		}
		return total
	}
	higher := 0
	for hours := range 30 {
		from := monday.Add(-time.Duration(hours+1) * time.Hour)
		highest := sum(s.Highest("completions", nil, from, from.Add(time.Hour), monday))
		for asOf := from.Add(30 * time.Minute); !asOf.After(monday); asOf = asOf.Add(97 * time.Minute) {
			if got := sum(s.Truth("completions", nil, from, from.Add(time.Hour), asOf)); got.Cmp(highest) > 0 {
				t.Errorf("of the hour from %s the API said %s at %s, and %s at most", from, got, asOf, highest)
			}
		}
		if highest.Cmp(sum(s.Final("completions", nil, from, from.Add(time.Hour)))) > 0 {
			higher++
		}
	}
	if higher == 0 {
		t.Error("nothing is ever corrected downwards")
	}
}
