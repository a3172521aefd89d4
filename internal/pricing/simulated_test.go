package pricing_test

import (
	"fmt"
	"math"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

type key string

func (k key) Get() (string, error)  { return string(k), nil }
func (k key) Read() (string, error) { return string(k), nil }
func (k key) Changed() bool         { return false }

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
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	client, err := fetcher.NewClient(fetcher.ClientOptions{
		Organization: "acme", BaseURL: server.URL + "/v1", Key: key("sk-admin-0123456789"), RequestsPerMinute: 1 << 20,
		HTTP: promconfig.DefaultHTTPClientConfig,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
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
	costs, _ := api.Find(api.Costs)
	byProject = map[string]decimal.Fixed{}
	// The amount and the quantity have labels of their own when a project is asked for, so that the items are read
	// by themselves.
	type item struct{ line, unit string }
	amounts, quantities := map[string]decimal.Fixed{}, map[item]decimal.Fixed{}
	w.each(costs, []string{"line_item"}, day, func(labels map[string]string, values map[string]decimal.Fixed) {
		if v, ok := values[api.MeasureCost]; ok {
			amounts[labels["line_item"]] = amounts[labels["line_item"]].Add(v)
		}
		if v, ok := values[api.MeasureCostQuantity]; ok {
			quantities[item{labels["line_item"], labels["unit"]}] = v
		}
	})
	for i, q := range quantities {
		charges = append(charges, pricing.Charge{Day: day, LineItem: i.line, Unit: i.unit, USD: amounts[i.line], Quantity: q})
	}
	w.each(costs, []string{"project_id", "line_item"}, day, func(labels map[string]string, values map[string]decimal.Fixed) {
		if labels["line_item"] == "assistants api | file search" {
			return
		}
		if v, ok := values[api.MeasureCost]; ok {
			byProject[labels["project_id"]] = byProject[labels["project_id"]].Add(v)
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
		if e.IsCosts() {
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
	for _, tc := range []struct {
		profile string
		seed    uint64
		learned time.Time
		groupBy []string
	}{
		{"late-minutes", 1, time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC), tiered}, // Wednesday
		{"late-minutes", 2, time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), tiered}, // into the weekend
		{"late-hours", 3, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), tiered},   // out of it
		{"restated", 4, time.Date(2026, 11, 17, 0, 0, 0, 0, time.UTC), tiered},
		{"late-minutes", 5, time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC), []string{"project_id", "model"}},
	} {
		t.Run(fmt.Sprint(tc.profile, " ", tc.learned.Weekday(), " ", len(tc.groupBy)), func(t *testing.T) {
			const day = 24 * time.Hour
			// The bill of the learned day is read seven hours after its end, when it has all that was late.
			charges, _ := newWorld(t, tc.seed, tc.profile, tc.learned.Add(day+7*time.Hour)).bill(tc.learned)
			learned := pricing.Learn(charges)
			if got := learned.Unparsed(); len(got) > 0 {
				t.Errorf("not parsed: %q", got)
			}
			p := pricing.New(pricing.Options{Learned: learned})

			later := newWorld(t, tc.seed, tc.profile, tc.learned.Add(7*day))
			_, billed := later.bill(tc.learned.Add(day))
			estimated, unpriced := later.estimate(p, tc.learned.Add(day), tc.groupBy)
			if len(unpriced) > 0 {
				t.Errorf("without a price: %v", unpriced)
			}
			e := off(total(estimated), total(billed))
			t.Logf("estimated %s, billed %s: %+.3f %%", total(estimated), total(billed), 100*e)
			if math.Abs(e) > 0.01 {
				t.Errorf("the estimate is off by %+.3f %%", 100*e)
			}
			for project, usd := range billed {
				e := off(estimated[project], usd)
				t.Logf("project %q: billed %s: %+.3f %%", project, usd, 100*e)
				if math.Abs(e) > 0.03 {
					t.Errorf("project %q: the estimate is off by %+.3f %%", project, 100*e)
				}
			}
		})
	}
}
