package pricing_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	testclient "github.com/openai-exporter/openai_exporter/test/client"
)

// A world is a simulated organization and a client of its API.
type world struct {
	t      *testing.T
	client *fetcher.Client
}

func newWorld(t *testing.T, seed uint64, profile string, now time.Time) *world {
	t.Helper()
	c, err := simulator.Profile(profile)
	if err != nil {
		t.Fatal(err)
	}
	s := simulator.New(simulator.Options{
		Seed: seed, Lateness: c.Lateness, Restate: c.Restate, Faults: c.Faults,
		Clock: func() time.Time { return now },
	})
	client := testclient.New(t, s.Handler())
	return &world{t, client}
}

// each reads a day of an endpoint and hands out its label sets, by group of measures.
func (w *world) each(e *api.Endpoint, groupBy []string, day time.Time, yield func(labels map[string]string, values map[string]decimal.Fixed)) {
	w.t.Helper()
	width := api.Day
	if e.IsCosts() {
		width = api.CostDay
	}
	read, err := w.client.Read(w.t.Context(), fetcher.Query{Endpoint: e, GroupBy: e.GroupBy(groupBy), Window: ledger.Window{Width: width, From: day, To: day.Add(24 * time.Hour)}})
	if err != nil {
		w.t.Fatal(err)
	}
	err = read.Each(func(_ time.Time, row ledger.Row, _ []ledger.Label) {
		labels, values := map[string]string{}, map[string]decimal.Fixed{}
		for _, l := range row.Labels {
			labels[l.Name] = l.Value
		}
		for i, m := range row.Measures {
			values[e.Measures[m].Name] = row.Values[i]
		}
		yield(labels, values)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// bill reads the bill of a day, as charges to learn from and as amounts by project without storage.
func (w *world) bill(day time.Time) (charges []pricing.Charge, byProject map[string]decimal.Fixed) {
	w.t.Helper()
	byProject = map[string]decimal.Fixed{}
	// Amounts go by project and line item, quantities by line item and unit.
	w.each(endpoint(w.t, api.Costs), []string{"project_id", "line_item"}, day, func(labels map[string]string, values map[string]decimal.Fixed) {
		c := pricing.Charge{Day: day, LineItem: labels["line_item"], Unit: labels["unit"], USD: values[api.MeasureCost], Quantity: values[api.MeasureCostQuantity]}
		charges = append(charges, c)
		if c.LineItem != "assistants api | file search" {
			byProject[labels["project_id"]] = byProject[labels["project_id"]].Add(c.USD)
		}
	})
	return charges, byProject
}

// estimate prices the usage of a day by project.
func (w *world) estimate(p *pricing.Prices, day time.Time, groupBy []string) (byProject map[string]decimal.Fixed, unpriced map[string]decimal.Fixed) {
	w.t.Helper()
	byProject, unpriced = map[string]decimal.Fixed{}, map[string]decimal.Fixed{}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.IsCosts() || e.Stock { // A level costs what it is for as long as it lasts, which these rows do not say.
			continue
		}
		w.each(e, groupBy, day, func(labels map[string]string, values map[string]decimal.Fixed) {
			row := make([]decimal.Fixed, len(e.Measures))
			for m := range e.Measures {
				row[m] = values[e.Measures[m].Name]
			}
			usd, lacking := p.Row(e, pricing.Labels{
				Model: labels["model"], Batch: labels["batch"], ServiceTier: labels["service_tier"],
				TierKnown: slices.Contains(groupBy, "service_tier"),
			}, row)
			byProject[labels["project_id"]] = byProject[labels["project_id"]].Add(usd)
			if !lacking.IsZero() {
				unpriced[e.Name+" "+labels["model"]] = lacking
			}
		})
	}
	return byProject, unpriced
}

func total(m map[string]decimal.Fixed) decimal.Fixed {
	var sum decimal.Fixed
	for _, v := range m {
		sum = sum.Add(v)
	}
	return sum
}

// off is by how much of the bill an estimate misses it.
func off(estimated, billed decimal.Fixed) float64 { return estimated.Float64()/billed.Float64() - 1 }

var tiered = []string{"project_id", "model", "batch", "service_tier"}

func TestADayLearnedPricesTheNextWithinOnePercentOfItsBill(t *testing.T) {
	const day = 24 * time.Hour
	worst, worstProject := 0.0, 0.0
	for _, profile := range []string{"late-minutes", "late-hours", "restated"} {
		for seed := range uint64(4) {
			// The days are all of a week, its end and its beginning included.
			learned := time.Date(2026, 11, 16+int(3*seed)%7, 0, 0, 0, 0, time.UTC)
			t.Run(fmt.Sprint(profile, " ", learned.Weekday()), func(t *testing.T) {
				// The bill lags. It is read seven hours after the end of the day, when it has all that was late.
				charges, _ := newWorld(t, seed, profile, learned.Add(day+7*time.Hour)).bill(learned)
				l := pricing.Learn(charges)
				if got := l.Unparsed(); len(got) > 0 {
					t.Errorf("not understood: %q", got)
				}
				later := newWorld(t, seed, profile, learned.Add(7*day))
				_, billed := later.bill(learned.Add(day))
				estimated, unpriced := later.estimate(pricing.New(pricing.Options{Learned: l}), learned.Add(day), tiered)
				if len(unpriced) > 0 {
					t.Errorf("without a price: %v", unpriced)
				}
				miss := off(total(estimated), total(billed))
				worst = max(worst, math.Abs(miss))
				if math.Abs(miss) > 0.01 {
					t.Errorf("estimated %s, billed %s: off by %+.2f %%", total(estimated), total(billed), 100*miss)
				}
				for project, usd := range billed {
					miss := off(estimated[project], usd)
					worstProject = max(worstProject, math.Abs(miss))
					if math.Abs(miss) > 0.03 {
						t.Errorf("project %q: estimated %s, billed %s: off by %+.2f %%", project, estimated[project], usd, 100*miss)
					}
				}
			})
		}
	}
	t.Logf("off by at most %.2f %%, by project %.2f %%", 100*worst, 100*worstProject)
}

func TestTheBlendOfTiersIsExactOverTheDayItWasLearnedFrom(t *testing.T) {
	day := time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)
	w := newWorld(t, 1, "late-minutes", day.AddDate(0, 0, 7))
	charges, billed := w.bill(day)
	p := pricing.New(pricing.Options{Learned: pricing.Learn(charges)})
	estimated, unpriced := w.estimate(p, day, []string{"project_id", "model"})
	if len(unpriced) > 0 {
		t.Errorf("without a price: %v", unpriced)
	}
	if miss := off(total(estimated), total(billed)); math.Abs(miss) > 1e-9 {
		t.Errorf("estimated %s, billed %s: off by %+.9f", total(estimated), total(billed), miss)
	}
}

func TestWithoutABillOnlyWhatIsOnNoListHasNoPrice(t *testing.T) {
	day := time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)
	w := newWorld(t, 1, "late-minutes", day.AddDate(0, 0, 7))
	_, unpriced := w.estimate(pricing.New(pricing.Options{At: day}), day, tiered)
	var lacking []string
	for what := range unpriced {
		lacking = append(lacking, what)
	}
	slices.Sort(lacking)
	// Usage that was recorded without a model.
	if diff := cmp.Diff([]string{"completions "}, lacking); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
