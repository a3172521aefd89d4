// One goroutine does all of it, so the race detector would see nothing.

//go:build !race

package spend_test

import (
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// shown is the default grouping. It tells neither batches nor tiers apart.
var shown = []string{"project_id", "model"}

// expectBill fails where what a day was estimated at is not what it costs in the end, within a hundredth.
func (a *account) expectBill(day time.Time) {
	a.t.Helper()
	estimated, billed := a.estimated(day), a.billed(day)
	if len(billed) < 6 {
		a.t.Errorf("%s: only %d projects are billed", day.Format(time.DateOnly), len(billed))
	}
	for project, usd := range billed {
		if off := estimated[project]/usd - 1; math.Abs(off) > 0.01 {
			a.t.Errorf("%s, project %q: the estimate is off by %+.3f %% of %.2f", day.Format(time.DateOnly), project, 100*off, usd)
		}
	}
}

// TestEveryMixOfTiersIsPricedAsItIsUsed: what is shown adds up batches and tiers whose prices are up to twelve times apart.
func TestEveryMixOfTiersIsPricedAsItIsUsed(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			first := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
			next := first.AddDate(0, 0, 1)
			// What is free day after day is known after three days.
			a := newAccount(t, next.Add(7*time.Hour), simulator.Options{Seed: 11 + seed, Begin: first.AddDate(0, 0, -2), MixedTiers: true}, shown)
			a.poll()
			a.until(next.Add(26 * time.Hour))
			a.expectBill(next)
		})
	}
}

// TestReadingFineTakesNoMoreRequests: the API's pages are of buckets, however many rows these have.
func TestReadingFineTakesNoMoreRequests(t *testing.T) {
	asked := func(coarse bool) map[string]map[int]int {
		a := newAccount(t, time.Date(2026, 11, 12, 7, 0, 0, 0, time.UTC), simulator.Options{Seed: 1}, shown)
		if a.coarse = coarse; coarse {
			a.open()
		}
		a.poll()
		a.until(a.now.Add(5 * time.Hour))
		return a.sim.Counts()
	}
	fine, coarse := asked(false), asked(true)
	if !maps.EqualFunc(fine, coarse, maps.Equal) || fine["completions"][200] == 0 {
		t.Errorf("requests by endpoint and code: %v when read fine, %v when read as shown", fine, coarse)
	}
}

// TestFoldingChangesNoPrice: the bill is folded for those who look at it, and teaches what it says.
func TestFoldingChangesNoPrice(t *testing.T) {
	learned := func(limit int) (prices []string) {
		a := newAccount(t, time.Date(2026, 11, 12, 7, 0, 0, 0, time.UTC), simulator.Options{Seed: 1}, shown)
		a.limit = limit
		a.open()
		a.book(a.ends[0], a.feeds[0], a.feeds[0].PollWindow(a.now))
		if o := a.ledger.View().Organizations[0]; (o.Overflow > 0) != (limit > 0) {
			t.Fatalf("with a limit of %d there are %d label sets, and %d are folded", limit, o.LabelSets, o.Overflow)
		}
		for _, p := range a.report().Effective {
			prices = append(prices, fmt.Sprint(p.LineItem, " / ", p.Unit, ": ", p.USD))
		}
		return prices
	}
	want := learned(0)
	if diff := cmp.Diff(want, learned(5)); diff != "" || len(want) < 20 {
		t.Errorf("of %d prices (-whole +folded):\n%s", len(want), diff)
	}
}

// expectRatios fails where the ratios are not those of a day's estimate to its final bill.
func (a *account) expectRatios(day time.Time) {
	a.t.Helper()
	estimated, billed := a.estimated(day), a.billed(day)
	o := a.report()
	if whole := total(estimated) / total(billed); !o.Compared || math.Abs(o.Ratio/whole-1) > 0.001 {
		a.t.Errorf("%s: the ratio is %g (compared %t), want %g", day.Format(time.DateOnly), o.Ratio, o.Compared, whole)
	}
	if len(o.Ratios) < 6 {
		a.t.Errorf("only %d projects are compared", len(o.Ratios))
	}
	for _, r := range o.Ratios {
		if want := estimated[r.ProjectID] / billed[r.ProjectID]; math.Abs(r.Ratio/want-1) > 0.001 || math.Abs(r.Ratio-1) > 0.01 {
			a.t.Errorf("%s, project %q: the ratio is %g, want %g", day.Format(time.DateOnly), r.ProjectID, r.Ratio, want)
		}
	}
}

// TestTheDemosDayIsEstimatedAtItsBill: by project, with the default grouping, from the first poll on. What the exporter says of
// it compares a day that is not corrected any more, which audits of five days have whole.
func TestTheDemosDayIsEstimatedAtItsBill(t *testing.T) {
	o, err := simulator.Demo().ServeOptions()
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []time.Time{
		time.Date(2026, 11, 18, 23, 20, 0, 0, time.UTC), time.Date(2026, 10, 26, 0, 41, 0, 0, time.UTC), time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),
	} {
		a := newAccount(t, now, o.Options, shown)
		a.audits = 120 * time.Hour
		a.open()
		a.poll()
		a.expectRatios(now.Truncate(24*time.Hour).AddDate(0, 0, -4))
		// The newest day whose usage is not corrected any more.
		a.expectBill(now.Truncate(24*time.Hour).AddDate(0, 0, -2))
		for _, f := range a.ledger.View().Feeds {
			for _, s := range f.Derived {
				if s.Measures[0] == api.DerivedUnpriced && !s.Values[0].IsZero() {
					t.Errorf("%s %v: %s have no price", f.Endpoint.Name, s.Labels, s.Values[0])
				}
			}
		}
	}
}
