// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// These tests are about the moments at which one state hands over to another: the first answer, a longer lookback, a new
// grouping, an answer with a hole, a wrong clock.

// TestALongerLookbackCountsNoFoldedHourAgain meets hours that were counted, became final and were let go of.
func TestALongerLookbackCountsNoFoldedHourAgain(t *testing.T) {
	g := newRig(t).open() // lookback 1h, audit 72h
	g.poll()
	g.audit()
	want := int64(0)
	live := func(minutes int) {
		for range minutes {
			g.pass(time.Minute)
			g.use(0, a, 1)
			want++
			g.poll()
			g.audit()
		}
	}
	live(80 * 60) // more than the audit window
	g.settle()
	g.expect(counts{a: want})
	g.pass(20 * time.Minute) // so that the edge of the lookback lies within an hour
	g.options.Lookback, g.options.AuditWindow = 96*time.Hour, 168*time.Hour
	g.configure()
	for range 12 {
		g.pass(10 * time.Minute)
		g.poll()
		g.audit()
	}
	g.expect(counts{a: want})
}

// TestALongerLookbackCountsNothingFromBeforeTheStart is the same before the first audit has come through.
func TestALongerLookbackCountsNothingFromBeforeTheStart(t *testing.T) {
	g := newRig(t)
	for m := range 12 * 60 {
		g.use(time.Duration(m)*time.Minute, a, 1)
	}
	g.open()
	g.poll() // the first audit fails
	g.options.Lookback = 5 * time.Hour
	g.configure()
	g.pass(time.Minute)
	g.poll()
	g.settle()
	g.expect(counts{a: 0})
}

func TestTheLimitHoldsAfterANewGrouping(t *testing.T) {
	g := newRig(t)
	g.settings.MaxLabelSets = 2
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	for _, p := range []string{"p1", "p2", "p3", "p4"} {
		g.use(0, labels{p, "m1"}, 1)
	}
	g.poll()
	for i := range 4 {
		g.options.GroupBy = [][]string{{"project_id"}, {"project_id", "model"}}[i%2]
		g.configure()
		if n := g.ledger.View().Organizations[0].LabelSets; n != 0 {
			t.Errorf("after change %d of the grouping there are %d label sets, want 0", i, n)
		}
		g.poll()
		own := 0
		for _, s := range g.ledger.View().Feeds[0].Series {
			if s.Labels[0].Value != ledger.Other {
				own++
			}
		}
		if o := g.ledger.View().Organizations[0]; own > 2 || o.LabelSets != own {
			t.Errorf("change %d: %d label sets have series of their own and %d are reported, the limit is 2", i, own, o.LabelSets)
		}
	}
}

// TestAnEmptyFirstAnswerIsNoBaseline: an answer without any bucket says nothing, so it starts nothing.
func TestAnEmptyFirstAnswerIsNoBaseline(t *testing.T) {
	g := newRig(t)
	for m := range 200 {
		g.use(time.Duration(m)*time.Minute, a, 1)
	}
	g.open()
	empty := ledger.NewRead(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now))
	empty.AsOf = g.now
	if err := g.feed.Book(context.Background(), empty); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	g.poll()
	g.settle()
	g.expect(counts{a: 0})
}

// TestAnEmptyFirstAnswerIsAskedForAgain: as far back as before, and not from 1970 on.
func TestAnEmptyFirstAnswerIsAskedForAgain(t *testing.T) {
	for name, g := range map[string]*rig{"usage": newRig(t), "the bill": costsRig(t)} {
		g.open()
		first := g.feed.PollWindow(g.now)
		if age := g.now.Sub(first.From); age > 40*24*time.Hour {
			t.Errorf("%s is asked for from %s on at first", name, first.From)
		}
		for range 3 {
			empty := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now))
			empty.AsOf = g.now
			if err := g.feed.Book(context.Background(), empty); err != nil {
				t.Fatal(err)
			}
			if again := g.feed.PollWindow(g.now); !again.From.Equal(first.From) {
				t.Errorf("%s is asked for from %s on after an answer without buckets, and was from %s", name, again.From, first.From)
			}
		}
	}
}

func TestAnEmptyFirstBillIsNoBaseline(t *testing.T) {
	g := costsRig(t).open()
	today := g.now.Truncate(24 * time.Hour)
	b := bill{}
	for d := range 20 {
		b[today.AddDate(0, 0, -d)] = map[string]string{"gpt-5, input": "100"}
	}
	empty := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now))
	empty.AsOf = g.now
	if err := g.feed.Book(context.Background(), empty); err != nil {
		t.Fatal(err)
	}
	g.pass(15 * time.Minute)
	g.bookBill(b)
	if usd, _ := g.costs(); usd["gpt-5, input"] != "0" {
		t.Errorf("cost = %v, want 0", usd)
	}
}

// TestAFirstWindowOfTheFutureLosesNothing: a clock far ahead plans the first poll where the API has nothing yet.
func TestAFirstWindowOfTheFutureLosesNothing(t *testing.T) {
	g := newRig(t).open()
	w := g.feed.PollWindow(g.now.Add(26 * time.Hour))
	r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
	r.AsOf = g.now.Add(26 * time.Hour)
	if err := g.feed.Book(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	g.poll()
	for range 300 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		g.poll()
		g.audit()
	}
	g.settle()
	g.expect(counts{a: 300})
}

func TestAnAnswerWithoutBucketsTakesNoStockAway(t *testing.T) {
	g := newRig(t)
	stores, _ := api.Find("vector_stores")
	g.options = ledger.FeedOptions{Organization: "acme", Endpoint: stores, GroupBy: []string{"project_id"}, Width: api.Hour, Lookback: 24 * time.Hour}
	g.open()
	w := g.feed.PollWindow(g.now)
	r := ledger.NewRead(stores, g.feed.GroupBy(), w)
	r.AsOf = g.now
	r.Bucket(g.now.Truncate(time.Hour))
	r.Row([]string{"proj_a"}, []decimal.Fixed{decimal.FromInt(50)})
	if err := g.feed.Book(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	r = ledger.NewRead(stores, g.feed.GroupBy(), w)
	r.AsOf = g.now
	if err := g.feed.Book(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if n := len(g.ledger.View().Feeds[0].Stock); n != 1 {
		t.Errorf("%d stocks after an answer without a bucket, want 1", n)
	}
}

func TestARefusedDimensionIsTriedAgainWhenItIsPutBack(t *testing.T) {
	g := newRig(t)
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.open()
	if err := g.feed.Drop("user_id"); err != nil {
		t.Fatal(err)
	}
	g.options.GroupBy = []string{"project_id", "model"}
	g.open()
	if d := g.ledger.View().Feeds[0].Dropped; len(d) != 0 {
		t.Errorf("%v is said to be refused, but is not asked for any more", d)
	}
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.open()
	if got := g.feed.GroupBy(); len(got) != 3 {
		t.Errorf("grouped by %v", got)
	}
}

// TestAReadFromBeforeTheGroupingChangedThereAndBackIsRefused: the read is of the right grouping, but its window was
// planned for a state that has ended.
func TestAReadFromBeforeTheGroupingChangedThereAndBackIsRefused(t *testing.T) {
	for _, audit := range []bool{false, true} {
		g := newRig(t)
		for m := range 6 * 60 {
			g.use(time.Duration(m)*time.Minute, a, 1)
		}
		g.open()
		g.poll()
		g.audit()
		g.pass(20 * time.Minute)
		g.poll()
		w := g.feed.PollWindow(g.now)
		if audit {
			var due bool
			if w, due = g.feed.AuditWindow(g.now); !due {
				t.Fatal("no audit is due")
			}
		}
		r := g.read(embeddings, g.feed.GroupBy(), w)
		g.options.GroupBy = []string{"project_id"}
		g.configure()
		g.options.GroupBy = []string{"project_id", "model"}
		g.configure()
		if err := g.feed.Book(context.Background(), r); !errors.Is(err, ledger.ErrReshaped) {
			t.Errorf("audit %t: booking says %v", audit, err)
		}
		for range 10 {
			g.pass(10 * time.Minute)
			g.poll()
			g.audit()
		}
		if got := g.shown()[a]; got != 0 {
			t.Errorf("audit %t: %d requests from before the new shape are counted", audit, got)
		}
	}
}

// TestAHoleInTheFirstReadOfAShapeIsMetLater: what it leaves out was counted in the former shape, so it does not count again.
func TestAHoleInTheFirstReadOfAShapeIsMetLater(t *testing.T) {
	for _, width := range []api.Width{api.Minute, api.Hour} {
		for _, back := range []time.Duration{3 * time.Hour, 20 * time.Minute} {
			g := newRig(t)
			g.options.Width, g.options.Lookback = width, 5*time.Hour
			g.open()
			g.poll()
			for range 24 * 6 {
				g.pass(10 * time.Minute)
				g.use(0, a, 1)
				g.poll()
				g.audit()
			}
			g.options.GroupBy = []string{"project_id"}
			g.configure()
			hole := g.now.Add(-back).Truncate(width.Duration)
			if width == api.Hour && !hole.Before(g.now.Truncate(time.Hour)) {
				continue // It is the newest one, which the API need not have yet.
			}
			g.hole = func(start time.Time) bool { return start.Equal(hole) }
			refused := 0
			for g.feed.Book(context.Background(), g.read(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now))) != nil {
				if refused++; refused > 10 {
					t.Fatal("nothing is ever booked")
				}
				g.pass(10 * time.Minute)
			}
			g.hole = nil
			of := labels{project: "proj_a"}
			for range 24 * 6 {
				g.pass(10 * time.Minute)
				g.use(0, a, 1)
				g.poll()
				g.audit()
			}
			if got := g.shown()[of]; got != 24*6 {
				t.Errorf("%s, %s back: %d are counted, want 144", width.Name, back, got)
			}
		}
	}
}

func TestTheNewestClosedBucketIsShownAfterTheWidthHasGrown(t *testing.T) {
	g := newRig(t)
	l := a
	for m := range 3 * 60 {
		g.use(time.Duration(m)*time.Minute, l, 1)
	}
	g.open()
	g.poll()
	g.audit()
	g.options.Width = api.Hour
	g.configure()
	g.pass(time.Minute)
	g.poll()
	rows := g.ledger.View().Feeds[0].LastBucket
	if len(rows) != 1 || number(t, rows[0].Values[0]) != 60 {
		t.Errorf("the newest closed hour is shown as %v, want 60 requests", rows)
	}
}

// TestALevelKeepsItsPlacesWhenNothingIsRead: a change of the configuration that reads nothing counts its label sets as
// before.
func TestALevelKeepsItsPlacesWhenNothingIsRead(t *testing.T) {
	g := newRig(t)
	stores, _ := api.Find("vector_stores")
	g.options = ledger.FeedOptions{Organization: "acme", Endpoint: stores, GroupBy: []string{"project_id"}, Width: api.Hour, Lookback: 24 * time.Hour}
	g.open()
	if err := g.feed.Drop("project_id"); err != nil {
		t.Fatal(err)
	}
	r := ledger.NewRead(stores, g.feed.GroupBy(), g.feed.PollWindow(g.now))
	r.AsOf = g.now
	r.Bucket(g.now.Truncate(time.Hour))
	r.Row(nil, []decimal.Fixed{decimal.FromInt(50)})
	if err := g.feed.Book(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	before := g.ledger.View().Organizations[0].LabelSets
	g.options.GroupBy = nil // What was refused is not asked for any more.
	g.configure()
	if n := g.ledger.View().Organizations[0].LabelSets; n != before || n != 1 {
		t.Errorf("%d label sets after the change, %d before, want 1", n, before)
	}
}
