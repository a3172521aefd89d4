package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

var (
	a = labels{"proj_a", "m1"}
	b = labels{"proj_b", "m1"}
	c = labels{"proj_c", "m1"}
)

type counts = map[labels]int64

func TestPollingAgainCountsNothingTwice(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(30*time.Second, a, 10)
	for range 5 {
		g.poll()
	}
	g.expect(counts{a: 10})
	g.audit()
	g.audit()
	g.expect(counts{a: 10})
}

func TestColdStartNowCountsOnlyWhatIsAddedLater(t *testing.T) {
	g := newRig(t)
	g.use(10*time.Second, a, 5)  // the running minute, partly over
	g.use(25*time.Minute, a, 7)  // an early minute of the current hour
	g.use(70*time.Minute, a, 11) // a minute of the hour at the edge of the lookback
	g.use(50*time.Hour, b, 13)   // an hour that only the audit reads
	g.open()
	g.poll()
	g.audit()
	g.expect(counts{a: 0, b: 0})
	g.use(0, a, 1)
	g.use(25*time.Minute, a, 1)
	g.use(70*time.Minute, a, 1)
	g.use(50*time.Hour, b, 1)
	g.pass(time.Minute)
	g.poll()
	g.expect(counts{a: 2, b: 0})
	g.pass(15 * time.Minute)
	g.audit()
	g.expect(counts{a: 2, b: 1})
	g.settle()
	g.expect(counts{a: 3, b: 1})
}

func TestTheAuditsBaselineMayComeLate(t *testing.T) {
	g := newRig(t)
	g.use(2*time.Minute, a, 100)
	g.use(30*time.Hour, b, 100)
	g.open()
	g.poll()
	// The first audit fails for three hours; meanwhile the first hours leave the fast window.
	for range 180 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		g.poll()
	}
	g.audit()
	g.use(30*time.Hour, b, 5)
	g.settle()
	g.expect(counts{a: 180, b: 5})
}

func TestStartSettings(t *testing.T) {
	hour := func(now time.Time) time.Time { return now.Truncate(time.Hour) }
	for name, tc := range map[string]struct {
		start func(time.Time) (time.Time, bool)
		want  int64
		late  int64 // what counts of what comes late for 61 hours ago
	}{
		"now":       {func(time.Time) (time.Time, bool) { return time.Time{}, false }, 0, 1000},
		"none":      {nil, 0, 1000},
		"today":     {func(now time.Time) (time.Time, bool) { return now.Truncate(24 * time.Hour), true }, 1 + 2 + 4, 0},
		"this hour": {func(now time.Time) (time.Time, bool) { return hour(now), true }, 1, 0},
		"month": {func(now time.Time) (time.Time, bool) {
			return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), true
		}, 1 + 2 + 4 + 8 + 16, 1000},
		"a day in the past": {func(time.Time) (time.Time, bool) { return time.Date(2026, 9, 1, 5, 0, 0, 0, time.UTC), true }, 1 + 2 + 4 + 8 + 16 + 32, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.options.Start, g.options.StartText = tc.start, name
			g.use(20*time.Minute, a, 1)
			g.use(90*time.Minute, a, 2)
			g.use(8*time.Hour, a, 4)
			g.use(60*time.Hour, a, 8)
			g.use(9*24*time.Hour, a, 16)
			g.use(60*24*time.Hour, a, 32)
			g.use(80*24*time.Hour, a, 64)
			g.open()
			g.poll()
			g.audit()
			g.use(61*time.Hour, a, 1000) // late: before a start that was given it never counts
			g.pass(time.Minute)
			g.use(0, a, 100)
			g.settle()
			g.expect(counts{a: tc.want + tc.late + 100})

			g.options.StartText = "changed"
			g.options.Start = func(time.Time) (time.Time, bool) { return time.Unix(0, 0), true }
			g.open().settle()
			g.expect(counts{a: tc.want + tc.late + 100})
		})
	}
}

func TestLateDataCountsOnce(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	for i := range 300 { // five hours, each minute ramping up over the next ten
		g.pass(time.Minute)
		for back := range min(i+1, 10) {
			g.use(time.Duration(back)*time.Minute, a, 1)
		}
		g.poll()
		g.audit()
	}
	want := int64(0)
	for i := range 300 {
		want += int64(min(i+1, 10))
	}
	g.expect(counts{a: want})
	g.use(4*time.Hour, a, 1) // hours late: only the audit can find it
	g.use(70*time.Hour, a, 1)
	g.settle()
	g.expect(counts{a: want + 2})
	m := g.measure()
	g.expectAmount("audit difference up", m.AuditUp, 2)
	g.expectAmount("restated up", m.RestatedUp, 2)
}

func TestRestatementDownIsWithheldUntilPaidBack(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 100)
	g.poll()
	g.use(0, a, -30)
	g.poll()
	g.expect(counts{a: 100})
	g.expectAmount("withheld", g.measure().Withheld, 30)
	g.expectAmount("restated down", g.measure().RestatedDown, 30)
	g.open() // the high-water mark is on disk
	g.expect(counts{a: 100})
	g.expectAmount("withheld", g.measure().Withheld, 30)
	g.pass(time.Minute)
	g.use(0, a, 29)
	g.poll()
	g.expect(counts{a: 100})
	g.pass(time.Minute)
	g.use(0, a, 6)
	g.poll()
	g.expect(counts{a: 105})
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

func TestALabelSetThatVanishesFromABucketCountsAsZeroThere(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 10)
	g.poll()
	g.use(0, a, -10) // the row is gone, the project was wrong
	g.use(0, b, 10)
	g.poll()
	g.expect(counts{a: 10, b: 10})
	g.expectAmount("withheld", g.measure().Withheld, 10)
}

func TestDowntimeOfAnyLengthLosesNothing(t *testing.T) {
	for _, down := range []time.Duration{
		time.Minute, 10 * time.Minute, 45 * time.Minute, time.Hour, 2 * time.Hour, 5 * time.Hour, 26 * time.Hour,
		72 * time.Hour, 80 * time.Hour, 12 * 24 * time.Hour, 40 * 24 * time.Hour,
	} {
		t.Run(down.String(), func(t *testing.T) {
			g := newRig(t).open()
			g.poll()
			g.audit()
			want := int64(0)
			live := func(minutes int) {
				for range minutes {
					g.pass(time.Minute)
					g.use(0, a, 3)
					g.use(5*time.Minute, a, 1)
					want += 4
					g.poll()
					g.audit()
				}
			}
			live(200)
			if down == 26*time.Hour {
				g.open()
			}
			g.use(50*time.Hour, b, 5) // late, found after the return
			for range int(down / time.Minute) {
				g.pass(time.Minute)
				g.use(0, a, 2)
				want += 2
			}
			g.open()
			live(1)
			total := counts{a: want, b: 5}
			if down > g.settings.IdleRetention {
				delete(total, b) // found, and idle for so long that it is retired at once
			}
			g.expect(total)
			live(150)
			g.settle()
			total[a] = want
			g.expect(total)
		})
	}
}

func TestAPollAfterADowntimeReadsAgainWhatMayHaveGrown(t *testing.T) {
	g := newRig(t)
	g.options.Lookback = 20 * time.Minute
	g.now = noon.Add(20 * time.Minute) // 12:50
	g.open()
	g.poll()
	g.audit()
	g.use(10*time.Minute, a, 7)
	g.pass(22 * time.Minute)
	g.poll() // the lookback begins at 12:52, but 12:40 was last read when it was ten minutes old
	g.expect(counts{a: 7})
}

func TestASpanChangesHandsOnlyWhole(t *testing.T) {
	g := newRig(t)
	g.options.Width = api.Hour
	g.open()
	g.poll()
	for range 50 {
		g.pass(time.Minute)
		g.use(0, a, 1)
	}
	g.poll()
	g.expect(counts{a: 50})
	g.options.Width = api.Minute
	g.configure()
	hour := g.now.Truncate(time.Hour)
	for name, missing := range map[string]func(time.Time) bool{
		"start":  func(at time.Time) bool { return at.Before(hour.Add(-time.Hour).Add(10 * time.Minute)) },
		"middle": func(at time.Time) bool { return at.Minute() == 41 },
		"end":    func(at time.Time) bool { return at.Before(hour) && at.Minute() > 41 },
	} {
		for try := range 3 { // What is there is taken at the third answer of the kind.
			w := g.feed.PollWindow(g.now)
			r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
			r.AsOf = g.now
			for at := w.From; at.Before(hour); at = at.Add(time.Minute) {
				if !missing(at) {
					r.Bucket(at)
				}
			}
			r.Bucket(hour.Add(time.Minute)) // what is missing is not just yet to come
			if err := g.feed.Book(context.Background(), r); (err == nil) != (try == 2) {
				t.Fatalf("answer %d without its %s: %v", try, name, err)
			}
		}
		if w := g.measure().Withheld; !w.IsZero() {
			t.Errorf("without its %s an hour was replaced: %s withheld", name, w)
		}
	}
	g.settle()
	g.expect(counts{a: 50})
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

func TestAChangedWidthShowsAtOnce(t *testing.T) {
	g := newRig(t)
	g.options.Width, g.options.Lookback = api.Hour, 10*time.Minute
	g.now = noon.Add(20 * time.Minute) // 12:50
	g.open()
	g.poll()
	g.audit()
	g.options.Width = api.Minute
	g.configure()
	g.pass(time.Minute)
	g.use(0, a, 7)
	g.poll() // must read the hour from its start, else it could not take it over
	g.expect(counts{a: 7})
}

func TestCatchingUpIsNoFindingOfTheAudit(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	for range 300 {
		g.pass(time.Minute)
		g.use(0, a, 1)
	}
	g.settle()
	g.expect(counts{a: 300})
	g.expectAmount("audit difference up", g.measure().AuditUp, 0)
}

func TestAnHourIsAuditedOnlyOutsideTheFastWindow(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	for range 600 {
		g.pass(time.Minute)
		g.poll()
		for {
			w, due := g.feed.AuditWindow(g.now)
			if !due {
				break
			}
			if w.To.After(g.now.Add(-g.options.Lookback)) {
				t.Fatalf("at %s the hour up to %s is audited", g.now, w.To)
			}
			if fast := g.feed.PollWindow(g.now); fast.From.Before(w.To) && w.To.Sub(fast.From) > 0 && fast.From.Truncate(time.Hour).Before(w.To) {
				t.Fatalf("the fast window from %s overlaps the audit up to %s", fast.From, w.To)
			}
			g.book(w)
		}
	}
}

func TestEveryWindowOfAPollIsAligned(t *testing.T) {
	g := newRig(t).open()
	for i := range 500 {
		w := g.feed.PollWindow(g.now)
		if !w.From.Equal(w.From.Truncate(time.Minute)) {
			t.Fatalf("window from %s", w.From)
		}
		if lag := g.now.Sub(w.From); lag < time.Hour || lag > 2*time.Hour+2*time.Minute {
			t.Fatalf("poll %d reads %s back", i, lag)
		}
		g.book(w)
		g.pass(time.Duration(i%90)*time.Second + 7*time.Millisecond)
	}
}

func TestWidthMayChangeWithoutLossOrDoubleCount(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	want := int64(0)
	for i := range 40 {
		for range 13 {
			g.pass(time.Minute)
			g.use(0, a, 5)
			g.use(7*time.Minute, a, 2)
			want += 7
			g.poll()
			g.audit()
		}
		g.options.Width = []api.Width{api.Hour, api.Minute}[i%2]
		if i%3 == 0 {
			g.open()
		} else {
			g.configure()
		}
	}
	g.poll()
	g.expect(counts{a: want})
	g.settle()
	g.expect(counts{a: want})
}

func TestLookbackAndAuditWindowMayChangeWithoutDoubleCount(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	want := int64(0)
	windows := []time.Duration{72 * time.Hour, 24 * time.Hour, 400 * time.Hour, 48 * time.Hour, 120 * time.Hour}
	lookbacks := []time.Duration{time.Hour, 10 * time.Minute, 5 * time.Hour}
	for i := range 30 {
		for range 9 {
			g.pass(11 * time.Minute)
			g.use(0, a, 5)
			g.use(9*time.Minute, a, 1)
			want += 6
			g.poll()
			g.audit()
		}
		g.options.AuditWindow = windows[i%len(windows)]
		g.options.Lookback = lookbacks[i%len(lookbacks)]
		g.configure()
	}
	g.settle()
	g.expect(counts{a: want})
}

func TestAnAuditThatWasInterruptedLeavesNothingBehind(t *testing.T) {
	g := newRig(t)
	g.options.AuditWindow = 200 * time.Hour // two pages
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Hour)
	g.poll()
	w, due := g.feed.AuditWindow(g.now)
	if !due {
		t.Fatal("no audit is due")
	}
	g.book(w)
	g.use(150*time.Hour, a, 7) // late, in an hour of the page just read
	g.pass(100 * time.Hour)
	g.settle()
	g.expect(counts{a: 7})
}

func TestAWindowThatGrewCountsWhatComesLateInIt(t *testing.T) {
	g := newRig(t)
	g.options.AuditWindow = 24 * time.Hour
	g.use(50*time.Hour, a, 7) // before the start: part of the baseline, whenever it is read
	g.open()
	g.poll()
	g.audit()
	for range 60 {
		g.pass(time.Hour)
		g.use(0, a, 1)
		g.poll()
		g.audit()
	}
	g.options.AuditWindow = 120 * time.Hour
	g.configure()
	g.settle()
	g.expect(counts{a: 60}) // what was folded is met again and counts no second time
	g.use(100*time.Hour, a, 3)
	g.use(45*time.Hour, a, 5)
	g.settle()
	g.expect(counts{a: 68})
}

func TestANewGroupingStartsAfreshAndSharedLabelSetsGoOn(t *testing.T) {
	g := newRig(t)
	plain := labels{project: "proj_a"} // exists in both shapes: its model is unknown
	// The start concerns a ledger without state, not a new shape.
	g.options.Start = func(now time.Time) (time.Time, bool) { return now.Truncate(24 * time.Hour), true }
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 10)
	g.use(0, plain, 4)
	g.poll()
	g.expect(counts{a: 10, plain: 4})

	g.options.GroupBy = []string{"project_id"}
	g.open()
	g.expect(counts{}) // two shapes of the same usage never stand beside each other
	g.poll()
	g.audit()
	g.expect(counts{plain: 4})
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.use(0, plain, 1)
	g.settle()
	g.expect(counts{plain: 6})

	g.options.GroupBy = []string{"project_id", "model"}
	g.open()
	g.poll()
	g.audit()
	g.use(0, a, 5)
	g.settle()
	g.expect(counts{a: 15, plain: 6})
}

func TestARefusedDimensionIsRememberedOverRestarts(t *testing.T) {
	g := newRig(t)
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.open()
	if err := g.feed.Drop("user_id"); err != nil {
		t.Fatal(err)
	}
	if err := g.feed.Drop("user_id"); err == nil {
		t.Error("dropping twice succeeded")
	}
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 10)
	g.poll()
	g.expect(counts{a: 10})
	g.open()
	g.expect(counts{a: 10})
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.poll()
	g.expect(counts{a: 11})
	v := g.ledger.View().Feeds[0]
	if len(v.Dropped) != 1 || v.Dropped[0] != "user_id" || len(v.GroupBy) != 2 {
		t.Errorf("dropped %v, grouped by %v", v.Dropped, v.GroupBy)
	}
}

func TestAReadOfAFormerGroupingIsRefused(t *testing.T) {
	g := newRig(t).open()
	w := g.feed.PollWindow(g.now)
	r := g.read(embeddings, g.feed.GroupBy(), w)
	if err := g.feed.Drop("model"); err != nil {
		t.Fatal(err)
	}
	if err := g.feed.Book(context.Background(), r); err == nil {
		t.Fatal("a read of the old grouping was booked")
	}
}

func TestPastTheLimitLabelSetsFoldIntoOtherAndSumsStayExact(t *testing.T) {
	g := newRig(t)
	g.settings.MaxLabelSets = 2
	other := labels{ledger.Other, ledger.Other}
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.use(0, b, 2)
	g.poll()
	g.use(0, c, 4)
	g.use(0, labels{"proj_d", "m1"}, 8)
	g.poll()
	g.expect(counts{a: 1, b: 2, other: 12})
	o := g.ledger.View().Organizations[0]
	if o.LabelSets != 2 || o.Limit != 2 || o.Overflow != 2 {
		t.Errorf("organization = %+v", o)
	}

	// Room is made, but what is folded stays folded until every window has left it behind: over a restart, too.
	g.settings.MaxLabelSets = 10
	g.open()
	g.pass(time.Minute)
	g.use(0, c, 100)
	g.poll()
	g.audit()
	g.expect(counts{a: 1, b: 2, other: 112})
	e := labels{"proj_e", "m1"}
	g.use(0, e, 3)
	g.poll()
	g.expect(counts{a: 1, b: 2, e: 3, other: 112})
	for range 80 {
		g.pass(time.Hour)
		g.poll()
		g.audit()
	}
	if o := g.ledger.View().Organizations[0]; o.Overflow != 0 {
		t.Errorf("%d label sets still folded", o.Overflow)
	}
	g.use(0, c, 7)
	g.poll()
	g.settle()
	g.expect(counts{a: 1, b: 2, e: 3, c: 7, other: 112})
}

func TestAnIdleSeriesIsRetiredAndReturnsAtZero(t *testing.T) {
	g := newRig(t)
	g.settings.IdleRetention = 10 * 24 * time.Hour
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 50)
	g.use(0, b, 50)
	g.poll()
	born := g.ledger.View().Feeds[0].Series[0].Born
	for i := range 14 * 24 {
		g.pass(time.Hour)
		g.use(0, b, 1)
		g.poll()
		g.audit()
		if i == 9*24 {
			g.expect(counts{a: 50, b: 50 + 9*24 + 1})
		}
	}
	g.expect(counts{b: 50 + 14*24})
	g.open()
	g.expect(counts{b: 50 + 14*24})
	g.use(0, a, 2)
	g.poll()
	g.expect(counts{a: 2, b: 50 + 14*24})
	for _, s := range g.ledger.View().Feeds[0].Series {
		if labelsOf(s.Labels) == a && !s.Born.After(born) {
			t.Errorf("the returned series was born %s, before it was retired", s.Born)
		}
	}
}

func TestADowntimeIsNotIdleness(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 50)
	g.poll()
	for range 60 * 24 {
		g.pass(time.Hour)
		g.use(0, a, 1)
	}
	g.open()
	g.poll()
	g.expect(counts{a: 52}) // the fast window alone, before the catching up
	g.audit()
	g.settle()
	g.expect(counts{a: 50 + 60*24})
}

func TestClockJumpsNeitherLoseNorDouble(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, 26 * time.Hour, 400 * 24 * time.Hour, -time.Hour, -26 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			g := newRig(t).open()
			g.poll()
			g.audit()
			want := int64(0)
			live := func(minutes int) {
				for range minutes {
					g.pass(time.Minute)
					g.use(0, a, 3)
					want += 3
					g.poll()
					g.audit()
				}
			}
			live(150)
			// For a while the exporter plans with a wrong clock. The API answers by its own: it has no buckets of the
			// future, and says when it answered.
			for range 30 {
				g.pass(time.Minute)
				g.use(0, a, 3)
				want += 3
				g.book(g.feed.PollWindow(g.now.Add(jump)))
				if w, due := g.feed.AuditWindow(g.now.Add(jump)); due {
					g.book(w)
				}
			}
			g.open()
			live(200)
			g.settle()
			g.expect(counts{a: want})
		})
	}
}

func TestAJumpedAPIClockWithoutBucketsFoldsNothing(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 5)
	g.poll()
	for range 3 { // an answer without a bucket, a year ahead
		r := ledger.NewRead(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now.AddDate(1, 0, 0)))
		r.AsOf = g.now.AddDate(1, 0, 0)
		if err := g.feed.Book(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	g.pass(time.Minute)
	g.use(0, a, 5)
	g.use(40*time.Minute, a, 5)
	g.poll()
	g.expect(counts{a: 15})
	g.settle()
	g.expect(counts{a: 15})
}

func TestANewSeriesIsShownAsZeroFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.settings.ZeroHold = 2 * time.Minute
		g.open()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		run := func() {
			go func() { defer close(done); g.ledger.Run(ctx) }()
		}
		run()
		g.poll()
		g.use(0, a, 42)
		g.poll()
		g.expect(counts{a: 0})
		born := g.ledger.View().Feeds[0].Series[0].Born
		<-time.After(2*time.Minute - time.Second)
		synctest.Wait()
		g.expect(counts{a: 0})
		// A crash now: nobody knows whether the zero was seen, so it is shown once more.
		cancel()
		<-done
		g.open()
		ctx, cancel = context.WithCancel(t.Context())
		done = make(chan struct{})
		run()
		<-time.After(time.Minute)
		synctest.Wait()
		g.expect(counts{a: 0})
		<-time.After(time.Minute + time.Second)
		synctest.Wait()
		g.expect(counts{a: 42})
		// A crash after the release: the counter must not fall back to zero.
		cancel()
		<-done
		g.open()
		g.expect(counts{a: 42})
		if got := g.ledger.View().Feeds[0].Series[0].Born; !got.Equal(born) {
			t.Errorf("the series was born %s, and now says %s", born, got)
		}
	})
}

func TestViewsAreImmutable(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.poll()
	v := g.ledger.View()
	g.use(0, a, 1)
	g.poll()
	if got := number(t, v.Feeds[0].Series[0].Values[0]); got != 1 {
		t.Errorf("an old view shows %d", got)
	}
	if g.ledger.View().Generation <= v.Generation {
		t.Error("the generation did not grow")
	}
}

func TestLastBucketIsTheNewestClosedOne(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(2 * time.Minute)
	g.use(time.Minute, a, 7)
	g.use(0, a, 100)
	g.use(2*time.Minute, b, 9)
	g.poll()
	v := g.ledger.View().Feeds[0]
	if len(v.LastBucket) != 1 || labelsOf(v.LastBucket[0].Labels) != a || number(t, v.LastBucket[0].Values[0]) != 7 {
		t.Errorf("last bucket = %+v", v.LastBucket)
	}
	if want := g.now.Truncate(time.Minute); !v.ReadThrough.Equal(want) {
		t.Errorf("read through %s, want %s", v.ReadThrough, want)
	}
}

func TestAContradictoryAnswerBooksNothing(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	w := g.feed.PollWindow(g.now)
	for name, start := range map[string][]time.Time{
		"twice":      {w.From, w.From.Add(time.Minute), w.From},
		"before":     {w.From.Add(-time.Minute)},
		"misaligned": {w.From.Add(time.Second)},
	} {
		r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
		r.AsOf = g.now
		for _, s := range start {
			r.Bucket(s)
			r.Row([]string{"proj_a", "m1"}, []decimal.Fixed{decimal.FromInt(1), decimal.FromInt(3)})
		}
		if err := g.feed.Book(context.Background(), r); err == nil {
			t.Errorf("%s: booked", name)
		}
	}
	g.expect(counts{})
}

func TestTwoOrganizationsShareNothing(t *testing.T) {
	g := newRig(t).open()
	second := g.options
	second.Organization = "umbrella"
	g.settings.MaxLabelSets = 1
	feeds, err := g.ledger.Configure(g.settings, []ledger.FeedOptions{g.options, second})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range feeds {
		g.feed = f
		g.poll()
	}
	g.pass(time.Minute)
	g.use(0, a, 5)
	for _, f := range feeds {
		g.feed = f
		g.poll()
	}
	for _, f := range g.ledger.View().Feeds {
		if len(f.Series) != 1 || number(t, f.Series[0].Values[0]) != 5 {
			t.Errorf("%s: %+v", f.Organization, f.Series)
		}
	}
}

func TestAFeedThatIsSwitchedOffIsNotShownAndGoesOnLater(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 5)
	g.poll()
	if _, err := g.ledger.Configure(g.settings, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(g.ledger.View().Feeds); n != 0 {
		t.Errorf("%d feeds shown", n)
	}
	g.pass(5 * time.Hour)
	g.use(3*time.Hour, a, 5)
	g.configure()
	g.settle()
	g.expect(counts{a: 10})
}

func TestStateThatCannotBeUsedIsRefused(t *testing.T) {
	prepare := func(t *testing.T) (*rig, string) {
		g := newRig(t).open()
		g.poll()
		g.pass(time.Minute)
		for i := range 200 {
			g.use(0, labels{strings.Repeat("x", i), "m"}, int64(i)+1)
		}
		g.poll()
		return g, filepath.Join(g.dir, ledger.FileName)
	}
	refused := func(t *testing.T, g *rig, want string) {
		t.Helper()
		l, err := ledger.Open(ledger.Options{Dir: g.dir})
		if err == nil {
			_, err = l.Configure(g.settings, []ledger.FeedOptions{g.options})
			_ = l.Close()
		}
		var se *ledger.StateError
		if !errors.As(err, &se) {
			t.Fatalf("error = %v", err)
		}
		if msg := err.Error(); !strings.Contains(msg, want) || !strings.Contains(msg, g.dir) || strings.Contains(msg, "\n") {
			t.Errorf("message %q does not say %q", msg, want)
		}
	}
	t.Run("second process", func(t *testing.T) {
		g, _ := prepare(t)
		refused(t, g, "another process is using it")
	})
	t.Run("torn", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "damaged")
	})
	t.Run("not a database", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		if err := os.WriteFile(path, []byte(strings.Repeat("junk", 10000)), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "damaged")
	})
	t.Run("flipped bits", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(data), strings.Repeat("x", 150))
		if at < 0 {
			t.Fatal("the label is not in the file")
		}
		for i := range data { // every copy of it, for old pages hold some, too
			if strings.HasPrefix(string(data[i:min(i+150, len(data))]), strings.Repeat("x", 150)) {
				data[i+75] = 'y'
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "damaged")
	})
	t.Run("newer schema", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		setSchema(t, path, "7")
		refused(t, g, "newer version")
	})
	t.Run("no directory", func(t *testing.T) {
		g := newRig(t)
		g.dir = filepath.Join(g.dir, "file", "below")
		if err := os.WriteFile(filepath.Dir(g.dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "--storage.path")
	})
}
