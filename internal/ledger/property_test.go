//go:build !race

package ledger_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

var histories = flag.Int("histories", 60, "random histories that the property test drives")

// TestRandomHistoriesEndExact drives random histories against a plain model: usage, late usage, restatements, failed
// polls, crashes, downtimes, changes of width, windows and limit. The model is the definition: a total is the sum over
// all minutes of what the API says now, less what it said when the ledger started.
func TestRandomHistoriesEndExact(t *testing.T) {
	for seed := range uint64(*histories) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 42))) })
	}
}

func history(t *testing.T, rng *rand.Rand) {
	g := newRig(t)
	var sets []labels
	for p := range 3 {
		for m := range 2 {
			sets = append(sets, labels{fmt.Sprintf("proj_%d", p), fmt.Sprintf("m%d", m)})
		}
	}
	g.settings.MaxLabelSets = 3 + rng.IntN(6)
	downwards := rng.IntN(2) == 0
	// One model has a price, the other has none.
	g.options.Price = perRow(func(_ time.Time, _ []string, ls []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
		if labelsOf(ls).model == "m0" {
			return values[0].Add(values[0]), decimal.Fixed{}
		}
		return decimal.Fixed{}, values[1]
	})
	someUse := func() {
		l := sets[rng.IntN(len(sets))]
		var ago time.Duration
		switch rng.IntN(6) {
		case 0, 1, 2:
			ago = time.Duration(rng.IntN(15)) * time.Minute
		case 3:
			ago = time.Duration(rng.IntN(200)) * time.Minute
		case 4:
			ago = time.Duration(rng.IntN(70)) * time.Hour
		}
		n := int64(1 + rng.IntN(1000))
		if at := g.minutes[g.now.Add(-ago).Truncate(time.Minute).Unix()]; downwards && rng.IntN(5) == 0 && at[l] > 0 {
			n = -(1 + rng.Int64N(at[l]))
		}
		g.use(ago, l, n)
	}

	for range 200 {
		someUse()
	}
	g.open()
	g.poll()
	g.audit()
	start := map[labels]int64{}
	for _, l := range sets {
		start[l] = g.total(l)
	}

	last := map[labels]int64{}
	monotonic := func() {
		t.Helper()
		now := g.shown()
		for l, n := range last {
			if now[l] < n {
				t.Fatalf("%v fell from %d to %d", l, n, now[l])
			}
		}
		last = now
	}
	for range 250 {
		for range rng.IntN(4) {
			someUse()
		}
		switch rng.IntN(40) {
		case 0:
			g.pass(time.Duration(1+rng.IntN(600)) * time.Minute)
		case 1:
			for range 1 + rng.IntN(100) { // hours to days without the exporter
				g.pass(time.Hour)
				someUse()
			}
		case 2, 3, 4:
			g.open()
		case 5:
			g.options.Width = []api.Width{api.Minute, api.Hour}[rng.IntN(2)]
			g.configure()
		case 6:
			g.options.Lookback = time.Duration(5+rng.IntN(300)) * time.Minute
			g.configure()
		case 7:
			g.options.AuditWindow = time.Duration(72+rng.IntN(100)) * time.Hour
			g.configure()
		case 8:
			g.settings.MaxLabelSets = 3 + rng.IntN(6)
			g.configure()
		case 9: // The disk fails: nothing may change, and a retry must book it.
			if err := g.ledger.Close(); err != nil {
				t.Fatal(err)
			}
			before := g.shown()
			if err := g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now))); err == nil {
				t.Fatal("booked without a disk")
			}
			g.expect(before)
			g.open()
		default:
			g.pass(time.Duration(1+rng.IntN(300)) * time.Second)
		}
		switch rng.IntN(10) {
		case 0: // nothing succeeds
		case 1:
			g.poll()
		case 2: // an audit stops half way
			if w, due := g.feed.AuditWindow(g.now); due {
				g.book(w)
			}
		default:
			g.poll()
			g.audit()
		}
		monotonic()
	}
	g.settle()
	monotonic()

	want := int64(0)
	for _, l := range sets {
		want += g.total(l) - start[l]
	}
	sum := func() int64 {
		n := int64(0)
		for _, v := range g.shown() {
			n += v
		}
		return n - number(t, g.measure().Withheld)
	}
	if got := sum(); got != want {
		t.Fatalf("the counters less what is withheld sum up to %d, want %d", got, want)
	}
	if !downwards && !g.measure().Withheld.IsZero() {
		t.Errorf("%s is withheld without a restatement downwards", g.measure().Withheld)
	}

	// The estimate is made of the same usage, in every history.
	estimates := func() {
		t.Helper()
		var usd, unpriced int64
		for _, l := range sets {
			if l.model == "m0" {
				usd += 2 * (g.total(l) - start[l])
			} else {
				unpriced += 3 * (g.total(l) - start[l])
			}
		}
		v := g.ledger.View().Feeds[0]
		got := [2]int64{-number(t, v.DerivedWithheld[0]), -number(t, v.DerivedWithheld[1])}
		for _, s := range v.Derived {
			got[s.Measures[0]] += number(t, s.Values[0])
		}
		if got != [2]int64{usd, unpriced} {
			t.Fatalf("the estimates less what is withheld sum up to %d, want %d and %d", got, usd, unpriced)
		}
	}
	estimates()

	// Growth pays back what was withheld; then every series is exact by itself, unless it was folded at times.
	g.pass(time.Minute)
	for _, l := range sets {
		g.use(0, l, 1_000_000_000)
		want += 1_000_000_000
	}
	g.settle()
	if got := sum(); got != want {
		t.Fatalf("after growth the counters sum up to %d, want %d", got, want)
	}
	estimates()
	other := labels{"other", "other"}
	shown := g.shown()
	if _, folded := shown[other]; !folded {
		for _, l := range sets {
			if got, want := shown[l], g.total(l)-start[l]; got != want {
				t.Errorf("%v = %d, want %d", l, got, want)
			}
		}
		if w := g.measure().Withheld; !w.IsZero() {
			t.Errorf("%s is still withheld", w)
		}
	}
}
