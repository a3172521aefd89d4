package pricing_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// learnedMillion checks what a million input tokens of gpt-9 cost after a bill, and how many have no price.
func learnedMillion(t *testing.T, charges []pricing.Charge, want string, unpriced int64) {
	t.Helper()
	p := pricing.New(pricing.Options{Learned: pricing.Learn(charges), At: now})
	sale{"completions", model("gpt-9"), used{"input_tokens": million}, want, unpriced, ""}.check(t, p)
}

func TestAPriceThatHasJumpedIsBelievedAfterOneClosedDay(t *testing.T) {
	const item = "gpt-9, input"
	for _, c := range []struct {
		name string
		usd  []string // for a million tokens on each day, the newest last
		want string
	}{
		{"a fall", []string{"1", "1", "1", "1", "1", "0.2"}, "0.2"},
		{"a fall of two days ago", []string{"1", "1", "1", "1", "0.2", "0.2"}, "0.2"},
		{"a fall of three days ago", []string{"1", "1", "1", "0.2", "0.2", "0.2"}, "0.2"},
		{"a rise", []string{"1", "1", "1", "1", "1", "5"}, "5"},
		{"a rise of two days ago", []string{"1", "1", "1", "1", "5", "5"}, "5"},
		{"a rise and a fall", []string{"1", "1", "1", "5", "1"}, "1"},
		{"the second day ever", []string{"1", "2"}, "2"},
		{"noise", []string{"1", "1.02", "0.98", "1"}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The API has an amount and its quantity in one row, and the ledger keeps them apart.
			var together, apart []pricing.Charge
			for i, usd := range c.usd {
				one := charge(t, now.AddDate(0, 0, i-len(c.usd)), item, "tokens", usd, "1000000")
				amount, quantity := one, one
				amount.Quantity, amount.Unit, quantity.USD = decimal.Fixed{}, "", decimal.Fixed{}
				together, apart = append(together, one), append(apart, amount, quantity)
			}
			learnedMillion(t, together, c.want, 0)
			learnedMillion(t, apart, c.want, 0)
			if got := pricing.Learn(together).Effective(); len(got) != 1 || got[0].USD.Mul(decimal.FromInt(million)).String() != c.want {
				t.Errorf("effective prices %v, want one of %s a million", got, c.want)
			}
		})
	}
}

func TestADayWithHardlyAnyUsageIsNoJump(t *testing.T) {
	learnedMillion(t, []pricing.Charge{
		charge(t, now.AddDate(0, 0, -2), "gpt-9, input", "tokens", "10", "10000000"),
		charge(t, now.AddDate(0, 0, -1), "gpt-9, input", "tokens", "9.8", "9800000"),
		charge(t, now, "gpt-9, input", "tokens", "0.6", "200000"),
	}, "1.02", 0)
}

func TestThatTiersAreUsedInOtherSharesIsNoJumpOfTheirBlend(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now.AddDate(0, 0, -1), "gpt-9, input", "tokens", "9", "9000000"),
		charge(t, now.AddDate(0, 0, -1), "batch | gpt-9, input", "tokens", "0.5", "1000000"),
		charge(t, now, "gpt-9, input", "tokens", "5", "5000000"),
		charge(t, now, "batch | gpt-9, input", "tokens", "2.5", "5000000"),
	})
	p := pricing.New(pricing.Options{Learned: l, At: now})
	sale{"completions", pricing.Labels{Model: "gpt-9"}, used{"input_tokens": million}, "0.85", 0, ""}.check(t, p)
}

func TestWhatIsFreeOrTinyTeachesNoPrice(t *testing.T) {
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	// A day of free usage alone teaches nothing, so that a billion tokens of the next one do not cost 0.
	learnedMillion(t, []pricing.Charge{charge(t, ago(1), "gpt-9, input", "tokens", "0", "17")}, "0", million)
	learnedMillion(t, []pricing.Charge{
		charge(t, ago(2), "gpt-9, input", "tokens", "2", "1000000"),
		charge(t, ago(1), "gpt-9, input", "tokens", "0", "17"),
	}, "2", 0)
	// What was charged beyond a free quota is the price.
	learnedMillion(t, []pricing.Charge{
		charge(t, ago(1), "gpt-9, input", "tokens", "0", "19287"),
		charge(t, ago(1), "gpt-9, input", "tokens", "0.016", "8000"),
	}, "2", 0)
	learnedMillion(t, []pricing.Charge{{Day: ago(1), LineItem: "gpt-9, input", Unit: "tokens", USD: fixed(t, "0.016"), Quantity: fixed(t, "8000"), Free: fixed(t, "19287")}}, "2", 0)
	learnedMillion(t, []pricing.Charge{{Day: ago(1), LineItem: "gpt-9, input", Unit: "tokens", Free: fixed(t, "19287")}}, "0", million)
	// Of an amount below a millionth of a dollar the rounding may be the larger part.
	learnedMillion(t, []pricing.Charge{charge(t, ago(1), "gpt-9, input", "tokens", "0.0000009", "1")}, "0", million)
}

// TestWhatIsFreeInTheSameShareEachDayIsNoPartOfThePrice: the price is what is charged, and the share that is free is learned
// apart from it, once it has been the same for three days. Up to a quota, or once, nothing can be said of the next day.
func TestWhatIsFreeInTheSameShareEachDayIsNoPartOfThePrice(t *testing.T) {
	const item = "gpt-9, input"
	for _, c := range []struct {
		name    string
		charged []string // millions of tokens at 2 USD on each day, the newest last
		free    []string
		want    string // for a million tokens
	}{
		{"one day", []string{"1"}, []string{"9"}, "2"},
		{"two days", []string{"6", "3"}, []string{"2", "1"}, "2"},
		{"the same share for three days", []string{"9", "6", "3"}, []string{"3", "2", "1"}, "1.5"},
		{"it is over", []string{"9", "6", "3", "3"}, []string{"3", "2", "1", "0"}, "2"},
		{"nearly the same", []string{"7.5", "7.4", "7.6"}, []string{"2.5", "2.6", "2.4"}, "1.52"},
		{"a quota", []string{"1", "4", "2"}, []string{"9", "9", "9"}, "2"},
		{"the day after a gift", []string{"9", "9", "1"}, []string{"0", "0", "9"}, "2"},
		{"a day that is wholly free says nothing", []string{"9", "6", "3", "0"}, []string{"3", "2", "1", "5"}, "1.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var charges []pricing.Charge
			for i, charged := range c.charged {
				n := fixed(t, charged)
				one := pricing.Charge{Day: now.AddDate(0, 0, i-len(c.charged)).Truncate(24 * time.Hour), LineItem: item, Unit: "tokens", USD: n.Mul(fixed(t, "2")), Quantity: n.Mul(fixed(t, "1000000")), Free: fixed(t, c.free[i]).Mul(fixed(t, "1000000"))}
				charges = append(charges, one)
			}
			learnedMillion(t, charges, c.want, 0)
			if got := pricing.Learn(charges).Effective(); len(got) != 1 || got[0].USD != fixed(t, "0.000002") {
				t.Errorf("effective prices %v, want one of 2 USD a million", got)
			}
			// What is free in one tier may cost something in another.
			sale{"completions", pricing.Labels{Model: "gpt-9", ServiceTier: "flex", TierKnown: true}, used{"input_tokens": million}, "1", 0, ""}.check(t, pricing.New(pricing.Options{Learned: pricing.Learn(charges), At: now}))
		})
	}
}

// TestAnyHistoryOfPricesIsLearnedWithinOneClosedDay tries price lists that change from day to day, discounts, free quotas,
// credits, corrections, prepaid usage and rounded crumbs, in three tiers that change apart.
func TestAnyHistoryOfPricesIsLearnedWithinOneClosedDay(t *testing.T) {
	e := endpoint(t, "completions")
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var charges []pricing.Charge
		// A list price with a discount, in US dollars for a million tokens.
		price := map[string]float64{"": 0, "batch | ": 0, "fast | ": 0}
		for ago := 12; ago >= 1; ago-- {
			day := now.AddDate(0, 0, -ago)
			for _, tier := range []string{"", "batch | ", "fast | "} {
				item := tier + "gpt-9, input"
				if price[tier] == 0 || r.IntN(4) == 0 {
					price[tier] = math.Exp(6*r.Float64() - 3)
				}
				for range 1 + r.IntN(3) { // projects
					millions := 1 + r.IntN(3)
					usd := strconv.FormatFloat(price[tier]*float64(millions), 'f', 9, 64)
					charges = append(charges, charge(t, day, item, "tokens", usd, strconv.Itoa(millions*million)))
				}
				quota := strconv.Itoa(r.IntN(9 * million))
				switch r.IntN(4) { // what is free, as books and as rows have it
				case 0:
					charges = append(charges, pricing.Charge{Day: day, LineItem: item, Unit: "tokens", Free: fixed(t, quota)})
				case 1:
					charges = append(charges, charge(t, day, item, "tokens", "0", quota))
				}
				if r.IntN(3) == 0 { // a credit, a correction, and one of the organization
					charges = append(charges, charge(t, day, item, "tokens", "-0.5", "0"), charge(t, day, item, "tokens", "-9", "1000000"), charge(t, day, "", "", "-100", "0"))
				}
			}
			// What is paid in advance, and what is unknown, cost nearly nothing.
			charges = append(charges, charge(t, day, "scale | gpt-9, input", "tokens", "0.01", "90000000"), charge(t, day, "regional | gpt-9, input", "tokens", "0.01", "90000000"))
		}
		if r.IntN(2) == 0 { // The newest day has nothing but what is free, or a crumb.
			charges = append(charges, charge(t, now, "gpt-9, input", "tokens", "0", "17"), charge(t, now, "batch | gpt-9, input", "tokens", "0.0000009", "40"))
		}
		p := pricing.New(pricing.Options{Learned: pricing.Learn(charges), At: now})
		for tier, labels := range map[string]pricing.Labels{
			"": served("gpt-9", "false", "default"), "batch | ": served("gpt-9", "true", "default"), "fast | ": served("gpt-9", "false", "priority"),
		} {
			usd, unpriced := p.Row(e, labels, used{"input_tokens": million}.row(t, e))
			if off := usd.Float64()/price[tier] - 1; math.Abs(off) > 0.05 || !unpriced.IsZero() {
				t.Errorf("seed %d: a million tokens of %q cost %s, %s without a price; charged was %g", seed, tier, usd, unpriced, price[tier])
			}
		}
		if _, unpriced := p.Row(e, served("gpt-9", "false", "scale"), used{"input_tokens": million}.row(t, e)); unpriced.Float64() != million {
			t.Errorf("seed %d: what is paid in advance has a price", seed)
		}
	}
}
