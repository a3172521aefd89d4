package ledger_test

import (
	"maps"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A priceList has dollars per request by model. A model that is not on it has no price.
type priceList map[string]int64

func (p priceList) price(_ time.Time, _ []string, ls []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
	price, ok := p[labelsOf(ls).model]
	if !ok {
		return decimal.Fixed{}, values[1]
	}
	for range price {
		usd = usd.Add(values[0])
	}
	return usd, decimal.Fixed{}
}

func pricedRig(t *testing.T, p priceList) *rig {
	g := newRig(t)
	g.options.Price = perRow(p.price)
	return g
}

// derived is what the counters of a derived measure say.
func (g *rig) derived(measure int) map[labels]int64 {
	g.t.Helper()
	out := map[labels]int64{}
	for _, s := range g.ledger.View().Feeds[0].Derived {
		if s.Measures[0] == measure {
			out[labelsOf(s.Labels)] = number(g.t, s.Values[0])
		}
	}
	return out
}

func (g *rig) expectCost(want counts) {
	g.t.Helper()
	if got := g.derived(api.DerivedCost); !maps.Equal(got, want) {
		g.t.Fatalf("at %s the estimates say %s, want %s", g.now.Format(time.DateTime), spell(got), spell(want))
	}
}

// costOf is the estimate of a UTC day over all projects, and how many hours of it are closed.
func (g *rig) costOf(day time.Time) (usd int64, hours int) {
	g.t.Helper()
	d := g.dayBook(day)
	if d == nil {
		return 0, 0
	}
	d.Projects(func(_ string, by ledger.Amounts) { usd += number(g.t, by.Estimated) })
	return usd, d.Hours
}

func TestUsageIsPricedOnceHoweverOftenItIsRead(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2}).open()
	g.poll()
	g.pass(time.Minute)
	g.use(30*time.Second, a, 10)
	for range 3 {
		g.poll()
	}
	g.audit()
	g.expectCost(counts{a: 20})
	g.settle() // The hour is read again as one bucket.
	g.expectCost(counts{a: 20})
	g.open().settle()
	g.expectCost(counts{a: 20})
}

func TestWhatWasThereAtTheStartCostsNothingInTheCounter(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2})
	g.use(5*time.Minute, a, 100)
	g.use(30*time.Hour, a, 100)
	g.open().settle()
	g.expectCost(counts{})
	g.use(0, a, 1)
	g.settle()
	g.expectCost(counts{a: 2})
}

func TestARestatementIsPricedAnewAsAWhole(t *testing.T) {
	prices := priceList{"m1": 10}
	g := pricedRig(t, prices).open()
	g.poll()
	g.use(0, a, 100)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 1000})
	prices["m1"] = 8
	g.use(time.Minute, a, 50)
	g.poll()
	g.expectCost(counts{a: 150 * 8})
	g.use(time.Minute, a, -150)
	g.poll()
	g.expectCost(counts{a: 150 * 8})
	if w := g.ledger.View().Feeds[0].DerivedWithheld[api.DerivedCost]; w != decimal.FromInt(150*8) {
		t.Errorf("withheld = %s, want all of it", w)
	}
	g.use(0, a, 200)
	g.poll()
	g.expectCost(counts{a: 200 * 8})
}

func TestAPriceChangeDoesNotRewriteThePast(t *testing.T) {
	prices := priceList{"m1": 10}
	g := pricedRig(t, prices).open()
	g.settle()
	g.use(0, a, 7)
	g.use(20*time.Minute, a, 5)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 120})
	prices["m1"] = 1
	// Read again by polls, by a restart, and as a whole hour by the audit.
	g.poll()
	g.open().poll()
	g.settle()
	g.expectCost(counts{a: 120})
	if day, _ := g.costOf(noon); day != 120 {
		t.Errorf("the day's estimate = %d, want 120", day)
	}
	g.use(0, a, 1)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 121})
	// Another label set of a bucket that has changed keeps its price, too.
	g.use(time.Minute, b, 1)
	prices["m1"] = 5
	g.poll()
	g.expectCost(counts{a: 121, b: 5})
}

func TestAnHourThatIsReadInMinutesAgainKeepsItsPrice(t *testing.T) {
	prices := priceList{"m1": 10}
	g := pricedRig(t, prices)
	g.options.Width = api.Hour
	g.open().settle()
	for m := range 5 {
		g.use(time.Duration(m)*time.Minute, a, 1)
	}
	g.use(3*time.Minute, b, 1)
	g.poll()
	g.expectCost(counts{a: 50, b: 10})
	prices["m1"] = 1
	g.options.Width = api.Minute
	g.configure()
	g.poll()
	g.expectCost(counts{a: 50, b: 10})
	g.use(3*time.Minute, b, 1)
	g.poll()
	g.settle()
	if got := g.derived(api.DerivedCost)[a]; got != 50 {
		t.Errorf("a = %d, want 50", got)
	}
}

func TestUsageWithoutAPriceIsCounted(t *testing.T) {
	prices := priceList{}
	g := pricedRig(t, prices).open()
	g.poll()
	g.use(0, a, 10)
	g.use(0, b, 1)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{})
	unpriced := func(want int64) {
		t.Helper()
		// By model alone, since a price is missing for a model.
		if got := g.derived(api.DerivedUnpriced); !maps.Equal(got, counts{{"", "m1"}: want}) {
			t.Fatalf("unpriced = %s, want %d", spell(got), want)
		}
	}
	unpriced(33)
	g.open().settle()
	unpriced(33)
	// A price that comes to be known is for what is used from then on.
	prices["m1"] = 2
	g.use(0, a, 1)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 2})
	unpriced(33)
}

func TestTheEstimateIsKeptByProjectAndModelWhateverTheGrouping(t *testing.T) {
	completions, _ := api.Find("completions")
	for _, groupBy := range [][]string{{"project_id", "user_id", "model", "batch"}, {"model"}, {"project_id"}, nil} {
		g := newRig(t)
		g.options.Endpoint, g.options.GroupBy = completions, groupBy
		g.options.Price = perRow(func(_ time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			return values[0], values[1]
		})
		g.open().poll()
		g.use(0, a, 10)
		g.use(0, b, 1)
		g.pass(time.Minute)
		g.poll()
		var want counts
		switch {
		case len(groupBy) == 4:
			want = counts{a: 10, b: 1}
		case len(groupBy) == 0:
			want = counts{{}: 11}
		case groupBy[0] == "model":
			want = counts{{"", "m1"}: 11}
		default:
			want = counts{{"proj_a", ""}: 10, {"proj_b", ""}: 1}
		}
		g.expectCost(want)
	}
}

func TestTheEstimateGoesOnWhenTheGroupingChanges(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2}).open()
	g.poll()
	g.use(0, a, 10)
	g.pass(time.Minute)
	g.poll()
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.configure()
	g.poll()
	g.use(0, a, 1)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 22})
	g.open().settle()
	g.expectCost(counts{a: 22})
}

func TestARowIsPricedByTheTimeOfItsBucket(t *testing.T) {
	g := newRig(t)
	costlier := g.now.Truncate(time.Hour)
	g.options.Price = perRow(func(start time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
		if start.Before(costlier) {
			return values[0], decimal.Fixed{}
		}
		return values[0].Mul(decimal.FromInt(100)), decimal.Fixed{}
	})
	g.open().poll()
	g.use(g.now.Sub(costlier)+time.Minute, a, 1) // Late, of the hour before.
	g.use(0, b, 2)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 1, b: 200})
}

func TestFoldedLabelSetsKeepTheirPrices(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 1, "m2": 100})
	g.settings.MaxLabelSets = 1
	g.open().poll()
	x, y := labels{"proj_x", "m1"}, labels{"proj_y", "m2"}
	g.use(0, a, 1)
	g.pass(time.Minute)
	g.poll()
	g.use(0, x, 2)
	g.use(0, y, 3)
	g.pass(time.Minute)
	g.poll()
	other := labels{"other", "other"}
	g.expectCost(counts{a: 1, other: 302})
	if o := g.ledger.View().Organizations[0]; o.LabelSets != 1 {
		t.Errorf("%d label sets, want the one that usage has", o.LabelSets)
	}
	g.use(time.Minute, y, 1)
	g.poll()
	g.open().settle()
	g.expectCost(counts{a: 1, other: 402})
}

func TestAStateWithoutEstimatesStartsThemFromABaseline(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.use(0, a, 10)
	g.pass(time.Minute)
	g.poll()
	g.options.Price = perRow(priceList{"m1": 2}.price)
	g.open().poll()
	g.use(time.Minute, b, 1) // changes a bucket in which nothing was estimated
	g.poll()
	g.expectCost(counts{})
	g.use(time.Minute, a, 1) // from now on the bucket is known
	g.poll()
	g.use(0, a, 3)
	g.pass(time.Minute)
	g.poll()
	g.settle()
	g.expectCost(counts{a: 8})
	g.expect(counts{a: 14, b: 1})
}

// perRow makes rates of a function of everything.
func perRow(price func(start time.Time, groupBy []string, labels []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed)) func([]string, []ledger.Label) ledger.Rate {
	return func(groupBy []string, labels []ledger.Label) ledger.Rate {
		return func(start time.Time, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			return price(start, groupBy, labels, values)
		}
	}
}
