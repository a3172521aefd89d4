package backfill_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestPastTheLimitLabelSetsAreFoldedAndTheSumStaysExact(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, LabelSets: 300})
	o := only(w.options(t, now.Add(-7*24*time.Hour), now.Add(-5*24*time.Hour)), "completions")
	o.MaxLabelSets = 20
	result := run(t, o)
	if result.Folded == 0 {
		t.Error("nothing was folded")
	}
	got, want := map[string]float64{}, map[string]float64{}
	labelSets := map[string]bool{}
	for k, ss := range parse(t, read(t, o.Output)) {
		name, labels, _ := strings.Cut(k, "{")
		got[name] += ss[len(ss)-1].value
		labelSets[labels] = true
	}
	for k, v := range w.truth(o.Endpoints[0]) {
		name, _, _ := strings.Cut(k, "{")
		want[name] += v
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(labelSets) != o.MaxLabelSets+1 || !labelSets[`endpoint="completions",model="other",organization="acme",project_id="other"}`] {
		t.Errorf("there are %d label sets", len(labelSets))
	}
}

func TestNegativeAmountsAreWithheldAndSaid(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, Credits: true})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), api.Costs)
	result := run(t, o)
	var sum decimal.Fixed
	for _, row := range w.Final(api.Costs, groupBy, o.Endpoints[0].From, o.Endpoints[0].To) {
		sum = sum.Add(row.Values[api.MeasureCost])
	}
	written := 0.0
	for k, ss := range parse(t, read(t, o.Output)) {
		if strings.HasPrefix(k, "openai_cost_usd_total") {
			written += ss[len(ss)-1].value
		}
	}
	if len(result.Shortfalls) != 1 || result.Shortfalls[0].Measure != api.MeasureCost {
		t.Fatalf("shortfalls are %v", result.Shortfalls)
	}
	if short := result.Shortfalls[0].Amount.Float64(); short <= 0 || math.Abs(written-short-sum.Float64()) > 1e-9 {
		t.Errorf("%v were written and %v withheld, the API says %v", written, short, sum)
	}
}
