// One goroutine does all of it, so the race detector would see nothing.

//go:build !race

package spend_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/internal/spend"
	testclient "github.com/openai-exporter/openai_exporter/test/client"
)

// An account is a simulated organization, read over HTTP into a ledger that is priced by books.
type account struct {
	t      *testing.T
	now    time.Time
	sim    *simulator.Simulator
	client *fetcher.Client
	dir    string
	ledger *ledger.Ledger
	books  *spend.Books
	feeds  []*ledger.Feed
	ends   []*api.Endpoint
	groups map[string][]string
	coarse bool // nothing is read but what is shown
	limit  int  // of label sets, if there is one
	// audits is how far back audits go, 72 hours at least.
	audits time.Duration
	// settings are those of the books. Prices are learned in any case.
	settings spend.Settings
}

func (a *account) View() *ledger.View { return a.ledger.View() }

func newAccount(t *testing.T, now time.Time, o simulator.Options, completionsBy []string) *account {
	t.Helper()
	a := &account{t: t, now: now, dir: t.TempDir(), groups: map[string][]string{"completions": completionsBy, "decisions": completionsBy}}
	o.Clock = func() time.Time { return a.now }
	a.sim = simulator.New(o)
	a.client = testclient.New(t, a.sim.Handler())
	a.open()
	t.Cleanup(func() { _ = a.ledger.Close() })
	return a
}

// open opens the ledger, or opens it again as after a restart.
func (a *account) open() {
	a.t.Helper()
	if a.ledger != nil {
		if err := a.ledger.Close(); err != nil {
			a.t.Fatal(err)
		}
	}
	l, err := ledger.Open(ledger.Options{Dir: a.dir})
	if err != nil {
		a.t.Fatal(err)
	}
	a.ledger = l
	if a.books == nil {
		a.books = spend.New(a)
	}
	a.settings.Learn = true
	a.books.Configure(a.settings)
	var options []ledger.FeedOptions
	a.ends = nil
	costs, _ := api.Find(api.Costs)
	// The bill first, as the scheduler does it.
	for _, e := range append([]*api.Endpoint{costs}, usage()...) {
		o := ledger.FeedOptions{Organization: "acme", Endpoint: e, GroupBy: []string{"project_id", "model", "line_item"}, Width: api.Hour, Lookback: time.Hour, AuditInterval: time.Hour, AuditWindow: max(a.audits, 72*time.Hour)}
		if by := a.groups[e.Name]; by != nil {
			o.GroupBy = by
		}
		if e.IsCosts() {
			o.Width, o.Lookback, o.AuditInterval, o.AuditWindow = api.CostDay, 96*time.Hour, 0, 0
			o.BillFrom = func(now time.Time) time.Time { return a.settings.BillFrom("acme", now) }
		}
		if e.Stock {
			o.Lookback, o.AuditInterval, o.AuditWindow = 24*time.Hour, 0, 0
		}
		o.Price = a.books.Pricer("acme", e)
		if !a.coarse {
			o.ReadBy = spend.ReadBy(e)
		}
		options, a.ends = append(options, o), append(a.ends, e)
	}
	a.feeds, err = l.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: cmp.Or(a.limit, 20_000)}, options)
	if err != nil {
		a.t.Fatal(err)
	}
}

func usage() (out []*api.Endpoint) {
	for i := range api.Endpoints {
		if e := &api.Endpoints[i]; !e.IsCosts() {
			out = append(out, e)
		}
	}
	return out
}

// poll polls every endpoint and makes every audit that is due.
func (a *account) poll() {
	a.t.Helper()
	for i, f := range a.feeds {
		a.book(a.ends[i], f, f.PollWindow(a.now))
		for {
			w, due := f.AuditWindow(a.now)
			if !due {
				break
			}
			a.book(a.ends[i], f, w)
		}
	}
}

func (a *account) book(e *api.Endpoint, f *ledger.Feed, w ledger.Window) {
	a.t.Helper()
	r, err := a.client.Read(a.t.Context(), fetcher.Query{Endpoint: e, GroupBy: f.GroupBy(), Window: w})
	if err == nil {
		err = f.Book(context.Background(), r)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// until polls every hour up to a moment.
func (a *account) until(t time.Time) {
	a.t.Helper()
	for a.now.Before(t) {
		a.now = a.now.Add(time.Hour)
		a.poll()
	}
}

func (a *account) report() spend.Organization {
	a.t.Helper()
	out := a.books.Report(a.ledger.View(), a.now)
	if len(out) != 1 {
		a.t.Fatalf("%d organizations", len(out))
	}
	return out[0]
}

// estimated is what the usage of a day is estimated to have cost, by project.
func (a *account) estimated(day time.Time) map[string]float64 {
	out := map[string]float64{}
	for _, f := range a.ledger.View().Feeds {
		for _, d := range f.Books {
			if d.Start.Equal(day) {
				d.Projects(func(project string, by ledger.Amounts) { out[project] += by.Estimated.Float64() })
			}
		}
	}
	return out
}

// billed is the final bill of a day by project.
func (a *account) billed(day time.Time) map[string]float64 {
	out := map[string]float64{}
	for _, r := range a.sim.Final(api.Costs, []string{"project_id"}, day, day.AddDate(0, 0, 1)) {
		out[r.Labels["project_id"]] += r.Values[api.MeasureCost].Float64()
	}
	return out
}

// worth is the final bill of a day by project, if what is free cost what the rest of it does. The simulator gives 300 of 1024
// tokens of one model away.
func (a *account) worth(day time.Time) map[string]float64 {
	out := map[string]float64{}
	for _, r := range a.sim.Final(api.Costs, []string{"project_id", "line_item"}, day, day.AddDate(0, 0, 1)) {
		usd := r.Values[api.MeasureCost].Float64()
		if strings.Contains(r.Labels["line_item"], "gpt-5.6-luna, ") {
			usd *= 1024. / (1024 - 300)
		}
		out[r.Labels["project_id"]] += usd
	}
	return out
}

func total(byProject map[string]float64) (sum float64) {
	for _, usd := range byProject {
		sum += usd
	}
	return sum
}

var tiered = []string{"project_id", "model", "batch", "service_tier"}

// TestAfterOneBilledDayTheNextIsWorthWhatItIsBilledAt: one day teaches what is charged for, and not yet what is free. A bill
// of several days is tried in TestEveryMixOfTiersIsPricedAsItIsUsed.
func TestAfterOneBilledDayTheNextIsWorthWhatItIsBilledAt(t *testing.T) {
	for _, tc := range []struct {
		profile string
		seed    uint64
		groupBy []string
		project float64 // how far off a single project may be
	}{
		{"late-minutes", 1, tiered, 0.02},
		{"late-hours", 2, tiered, 0.01},
		{"restated", 3, tiered, 0.01},
		{"late-minutes", 4, []string{"project_id", "model"}, 0.01},
	} {
		t.Run(fmt.Sprintf("%s/%d", tc.profile, len(tc.groupBy)), func(t *testing.T) {
			t.Parallel()
			conditions, err := simulator.Profile(tc.profile)
			if err != nil {
				t.Fatal(err)
			}
			// An organization that is two days old: one day of it is on the bill when the exporter starts.
			first := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
			next := first.AddDate(0, 0, 1)
			a := newAccount(t, next.Add(7*time.Hour), simulator.Options{Seed: tc.seed, Begin: first, Lateness: conditions.Lateness, Restate: conditions.Restate}, tc.groupBy)
			a.poll()
			a.until(next.Add(30 * time.Hour))
			a.open() // A restart keeps the estimates.
			a.until(next.Add(50 * time.Hour))

			estimated, billed, worth := a.estimated(next), a.billed(next), a.worth(next)
			off := total(estimated)/total(worth) - 1
			t.Logf("estimated %.2f, worth %.2f, billed %.2f: %+.3f %%", total(estimated), total(worth), total(billed), 100*off)
			if math.Abs(off) > 0.01 {
				t.Errorf("the estimate is off by %+.3f %%", 100*off)
			}
			for project, usd := range worth {
				if off := estimated[project]/usd - 1; math.Abs(off) > tc.project {
					t.Errorf("project %q: the estimate is off by %+.3f %% of %.2f", project, 100*off, usd)
				}
			}
			o := a.report()
			if len(o.Ratios) < 6 {
				t.Errorf("%d projects are compared with their bill: %+v", len(o.Ratios), o.Ratios)
			}
			for _, r := range o.Ratios {
				// A bill that is still restated is not the final one.
				if charged := r.Ratio * billed[r.ProjectID] / worth[r.ProjectID]; charged < 0.9 || charged > 1.06 {
					t.Errorf("project %q: estimate over bill = %g, of what is charged for %g", r.ProjectID, r.Ratio, charged)
				}
			}
			for _, p := range o.Prices {
				if p.Source != "bill" && p.Endpoint != "moderations" {
					t.Errorf("%s of %s is priced by %s, want the bill", p.Model, p.Endpoint, p.Source)
				}
			}
			if o.Unparsed != 0 {
				t.Errorf("%d line items are not known", o.Unparsed)
			}
			for _, f := range a.ledger.View().Feeds {
				for _, s := range f.Derived {
					if s.Measures[0] == api.DerivedUnpriced && !s.Values[0].IsZero() {
						t.Errorf("%s %v: %s have no price", f.Endpoint.Name, s.Labels, s.Values[0])
					}
				}
			}
		})
	}
}

func TestTheMonthIsTheBillAndWhatItDoesNotHaveYet(t *testing.T) {
	conditions, err := simulator.Profile("late-hours")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 11, 7, 0, 0, 0, time.UTC)
	a := newAccount(t, now, simulator.Options{Seed: 5, Lateness: conditions.Lateness}, tiered)
	a.poll()
	// The bill lags by hours. What is spent must not: it follows usage, which is late by minutes but for a quarter.
	for range 12 {
		a.until(a.now.Add(2 * time.Hour))
		month := time.Date(a.now.Year(), a.now.Month(), 1, 0, 0, 0, 0, time.UTC)
		var truth decimal.Fixed
		for _, r := range a.sim.Final(api.Costs, nil, month, a.now.Truncate(24*time.Hour)) {
			truth = truth.Add(r.Values[api.MeasureCost])
		}
		today := total(a.usd(a.now.Truncate(24*time.Hour), a.now))
		want := truth.Float64() + today
		o := a.report()
		if got := o.Month.Spent().Float64(); math.Abs(got-want) > 0.01*want {
			t.Errorf("at %s: spent %.2f (%s billed, %s not yet), want %.2f", a.now.Format(time.DateTime), got, o.Month.Billed, o.Month.Unbilled, want)
		}
		if o.Month.Unbilled.IsZero() {
			t.Errorf("at %s: nothing is unbilled, though the bill lags", a.now.Format(time.DateTime))
		}
		if f := o.Month.Forecast; f.Cmp(o.Month.Spent()) <= 0 {
			t.Errorf("at %s: the forecast is %s, spent is %s", a.now.Format(time.DateTime), f, o.Month.Spent())
		}
	}
}

// usd is what the usage between two moments of a day is worth: its share of the day's bill, by line of traffic. The
// simulator bills whole days, so a bill of an organization that ended at the moment is asked.
func (a *account) usd(from, to time.Time) map[string]float64 {
	cut := simulator.New(simulator.Options{Seed: 5, Clock: func() time.Time { return a.now.AddDate(0, 0, 30) }, End: to})
	out := map[string]float64{}
	for _, r := range cut.Final(api.Costs, []string{"project_id"}, from, from.AddDate(0, 0, 1)) {
		out[r.Labels["project_id"]] += r.Values[api.MeasureCost].Float64()
	}
	return out
}

// TestABudgetKnowsItsPeriodFromTheFirstPollOn: the bill is read back to where quarter, year and term began, in pages of 180
// days, and a reload that adds a budget has it read, too.
func TestABudgetKnowsItsPeriodFromTheFirstPollOn(t *testing.T) {
	begin := time.Date(2025, 9, 3, 0, 0, 0, 0, time.UTC)
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	a := newAccount(t, now, simulator.Options{Seed: 5, Begin: begin, Scale: 0.1}, tiered)
	asked := func() int { return a.sim.Counts()[api.Costs][http.StatusOK] }
	a.pollOne(api.Costs)
	month := asked()
	a.settings.Budgets = []spend.Budget{
		{Name: "quarter", Organization: "acme", USD: 1, Period: budget.Quarterly},
		{Name: "year", Organization: "acme", USD: 1, Period: budget.Yearly},
		{Name: "term", Organization: "acme", USD: 1, Period: budget.Term, Term: budget.Period{Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}},
	}
	a.open()
	a.pollOne(api.Costs)
	// The polls of the running month, and 290 days before.
	if n := asked() - month; n > 3 {
		t.Errorf("%d requests for a poll and 290 days, want 3 at most", n)
	}
	o := a.report()
	for i, from := range []time.Time{time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} {
		b := o.Budgets[i]
		var want float64
		for _, r := range a.sim.Truth(api.Costs, []string{"project_id", "line_item"}, from, now, now) {
			want += r.Values[api.MeasureCost].Float64()
		}
		if !b.Known || math.Abs(b.Spend.Billed.Float64()-want) > 1e-9*want || want < 1 {
			t.Errorf("%s: known %t, billed %s, want %.9f", b.Name, b.Known, b.Spend.Billed, want)
		}
	}
}

// pollOne polls one endpoint and makes what is due of it.
func (a *account) pollOne(name string) {
	a.t.Helper()
	for i, f := range a.feeds {
		if a.ends[i].Name != name {
			continue
		}
		a.book(a.ends[i], f, f.PollWindow(a.now))
		for w, due := f.AuditWindow(a.now); due; w, due = f.AuditWindow(a.now) {
			a.book(a.ends[i], f, w)
		}
	}
}
