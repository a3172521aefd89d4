package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// An hour that the books have as one may be read in minutes again, when another grouping begins with a longer lookback. What
// a read with a hole has of it does not take the hour's place, and the next whole read does, with all of its minutes.
func TestAnHourInTheBooksIsReplacedByAllOfItsMinutes(t *testing.T) {
	for _, restart := range []bool{false, true} {
		g := tierRig(t).open()
		g.poll()
		for range 5 * 6 {
			g.pass(10 * time.Minute)
			g.use(0, a, 10)
			g.poll()
			g.audit()
		}
		day := g.now
		total := func(requests int) string {
			return fmt.Sprintf("proj_a: 0 charged, 0 credited, %d estimated", 2*requests)
		}
		g.expectDay(day, total(300))
		g.options.GroupBy, g.options.Lookback = []string{"project_id", "model"}, 5*time.Hour
		g.configure()
		lacking := g.now.Truncate(time.Hour).Add(-2*time.Hour - 40*time.Minute)
		g.hole = func(start time.Time) bool { return start.Equal(lacking) }
		for range 3 { // The third one is taken as it is.
			g.pass(time.Second)
			_ = g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now)))
		}
		if g.ledger.View().Feeds[0].BegunAt.IsZero() {
			t.Fatal("the read with a hole was not taken")
		}
		g.expectDay(day, total(300))
		if restart {
			g.open()
		}
		g.hole = nil
		g.use(g.now.Sub(lacking)-10*time.Minute, a, 1) // Something comes late, in the hour that had the hole.
		g.pass(time.Second)
		g.poll()
		g.expectDay(day, total(301))
		g.poll()
		g.expectDay(day, total(301))
	}
}

// What an hour costs is made again with its width where its rows are composed otherwise, although what is shown of them is the
// same.
func TestAnHourThatChangesHandsIsPricedByItsRows(t *testing.T) {
	g := tierRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 10)
	g.pass(time.Minute)
	g.poll()
	day := g.now
	g.expectDay(day, "proj_a: 0 charged, 0 credited, 20 estimated")
	moved := labels{"proj_z", "m1"}
	g.use(time.Minute, a, -10)
	g.use(time.Minute, moved, 10)
	g.pass(5 * time.Hour)
	g.poll()
	for g.audit() > 0 {
		g.pass(time.Minute)
	}
	g.expectDay(day, "proj_z: 0 charged, 0 credited, 20 estimated")
}

// TestFoldedUsageIsPricedByItsProject: what is corrected from one project to another is the same in the label set that both
// are folded into.
func TestFoldedUsageIsPricedByItsProject(t *testing.T) {
	g := pricedRig(t, priceList{"m1": 2})
	g.settings.MaxLabelSets = 1
	g.open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, b, 1) // It takes the only place.
	g.pass(time.Minute)
	g.poll()
	moved := labels{"proj_z", "m1"}
	g.use(0, a, 10)
	g.use(0, moved, 5)
	g.pass(time.Minute)
	g.poll()
	day := g.now
	g.expectDay(day, "proj_a: 0 charged, 0 credited, 20 estimated", "proj_b: 0 charged, 0 credited, 2 estimated", "proj_z: 0 charged, 0 credited, 10 estimated")
	g.use(time.Minute, a, -1)
	g.use(time.Minute, moved, 1)
	g.pass(time.Minute)
	g.poll()
	g.expectDay(day, "proj_a: 0 charged, 0 credited, 18 estimated", "proj_b: 0 charged, 0 credited, 2 estimated", "proj_z: 0 charged, 0 credited, 12 estimated")
}
