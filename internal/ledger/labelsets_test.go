package ledger_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestANewGroupingStartsAfreshAndSharedLabelSetsGoOn(t *testing.T) {
	g := newRig(t)
	plain := labels{project: "proj_a"} // exists in both shapes: its model is unknown
	// The start concerns a ledger without state, not a new shape.
	g.options.CountersStart = func(now time.Time) (time.Time, bool) { return now.Truncate(24 * time.Hour), true }
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
	t.Parallel()
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
