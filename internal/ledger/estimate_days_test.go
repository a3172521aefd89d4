package ledger_test

import (
	"testing"
	"time"
)

func TestADaysEstimateHasTheWholeDay(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2})
	g.use(5*time.Minute, a, 10)
	g.use(11*time.Hour, b, 100) // before counting began
	g.use(24*time.Hour, a, 1000)
	g.open().settle()
	g.use(0, a, 1)
	g.pass(time.Minute)
	g.poll()
	for range 2 {
		if usd, hours := g.costOf(g.now); usd != 222 || hours != 15 {
			t.Errorf("today = %d of %d hours, want 222 of 15", usd, hours)
		}
		if usd, hours := g.costOf(g.now.AddDate(0, 0, -1)); usd != 2000 || hours != 24 {
			t.Errorf("yesterday = %d of %d hours, want 2000 of 24", usd, hours)
		}
		g.open()
	}
	// Two days on, all of today is still there, and weeks later, too.
	day := g.now
	g.pass(48 * time.Hour)
	g.settle()
	if usd, hours := g.costOf(day); usd != 222 || hours != 24 {
		t.Errorf("the day before yesterday = %d of %d hours, want 222 of 24", usd, hours)
	}
	for range 10 {
		g.pass(72 * time.Hour)
		g.settle()
	}
	if usd, hours := g.open().costOf(day); usd != 222 || hours != 24 {
		t.Errorf("five weeks ago = %d of %d hours, want 222 of 24", usd, hours)
	}
}

func TestDaysOfTheBillAreHeldForAMonthsRhythm(t *testing.T) {
	g := costsRig(t).open()
	b := bill{}
	day := g.now.Truncate(24 * time.Hour)
	for d := range 60 {
		b[day.AddDate(0, 0, -d)] = map[string]string{"gpt-5, input": "1"}
	}
	days := func() int { return len(g.ledger.View().Feeds[0].Days) }
	g.bookBill(b)
	if got := days(); got != 35 {
		t.Errorf("%d days after the first read, want 34 and today", got)
	}
	for range 30 {
		g.pass(24 * time.Hour)
		g.bookBill(b)
		g.open()
	}
	if got := days(); got != 35 {
		t.Errorf("%d days a month later, want 34 and today", got)
	}
}

func TestALabelSetStaysFoldedAsLongAsItsNewestBucket(t *testing.T) {
	g := newRig(t)
	g.settings.MaxLabelSets = 1
	g.open().poll()
	g.use(0, a, 1)
	g.settle()
	// One read brings the folded label set in two hours.
	g.pass(62 * time.Hour)
	g.use(59*time.Hour, b, 2)
	g.use(5*time.Hour, b, 3)
	g.poll()
	g.audit()
	other := labels{"other", "other"}
	g.expect(counts{a: 1, other: 5})
	// There is room again, and the first of the hours is out of every window.
	g.settings.MaxLabelSets = 10
	g.configure()
	for range 3 {
		g.pass(7 * time.Hour)
		g.poll()
		g.audit()
	}
	g.use(26*time.Hour, b, 1)
	g.settle()
	g.expect(counts{a: 1, other: 6})
}

// TestAFoldedLabelSetMovesInNoHourThatIsStillRead: not even in the last one in which audits reach back to its bucket.
func TestAFoldedLabelSetMovesInNoHourThatIsStillRead(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.settings.MaxLabelSets = 1
	g.open().poll()
	g.use(0, a, 1)
	g.settle()
	at, n, folded := g.now.Truncate(time.Hour), int64(1), labels{a.project, "m9"}
	g.use(g.now.Sub(at), folded, n)
	g.settle()
	g.settings.MaxLabelSets = 10
	g.configure()
	for g.now.Sub(at) < 76*time.Hour {
		g.pass(20 * time.Minute)
		if g.now.Sub(at) < 73*time.Hour {
			g.use(g.now.Sub(at), folded, 1)
			n++
		}
		g.poll()
		g.audit()
	}
	g.expect(counts{a: 1, {"other", "other"}: n})
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

func TestAnEstimateLivesAsLongAsItsUsage(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2}).open()
	g.poll()
	for range 45 {
		g.pass(24 * time.Hour)
		g.use(0, a, 1)
		g.poll()
		g.audit()
	}
	g.expectCost(counts{a: 90})
}

func TestANewGroupingEstimatesNoDayTwice(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2}).open()
	g.poll()
	g.use(0, a, 10)
	g.pass(time.Minute)
	g.poll()
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.configure()
	g.settle()
	if usd, _ := g.costOf(noon); usd != 20 {
		t.Errorf("the day's estimate = %d, want 20", usd)
	}
}

func TestAWithheldEstimateSurvivesARestart(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2}).open()
	g.poll()
	g.use(0, a, 10)
	g.pass(time.Minute)
	g.poll()
	g.use(time.Minute, a, -4)
	g.poll()
	g.open().poll()
	g.expectCost(counts{a: 20})
	g.use(0, a, 5)
	g.pass(time.Minute)
	g.poll()
	g.expectCost(counts{a: 22})
}

func TestADayOfTheBillIsHeldWithAllItsItemsOrNotAtAll(t *testing.T) {
	g := costsRig(t)
	g.settings.IdleRetention = 10 * 24 * time.Hour
	g.open()
	day := g.now.Truncate(24 * time.Hour)
	b := bill{day: {"once, input": "1"}}
	g.bookBill(b)
	for range 36 {
		g.pass(24 * time.Hour)
		g.bookBill(b)
		for _, d := range g.ledger.View().Feeds[0].Days {
			if d.Start.Equal(day) && len(d.Rows) == 0 {
				t.Fatalf("at %s the first day is held without its item", g.now.Format(time.DateOnly))
			}
		}
	}
}
