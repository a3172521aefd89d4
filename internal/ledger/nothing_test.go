// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAnAuditThatSaysNothingTakesNothingAway: the key of an organization that does not use this endpoint came into the file,
// and the bill has not told yet. What the audit can't read later would be lost.
func TestAnAuditThatSaysNothingTakesNothingAway(t *testing.T) {
	g, want := busy(t)
	g.pass(20 * time.Minute)
	audit := func(w *world) error {
		t.Helper()
		window, due := g.feed.AuditWindow(g.now)
		if !due {
			t.Fatal("no audit is due")
		}
		w.now = g.now
		return g.feed.Book(context.Background(), w.read(g.options.Endpoint, g.feed.GroupBy(), window))
	}
	if err := audit(newWorld()); err == nil || errors.Is(err, ledger.ErrForeign) || !strings.Contains(err.Error(), "will be requested again") {
		t.Errorf("an audit without any usage says %v", err)
	}
	g.pass(23 * time.Hour)
	if err := audit(newWorld()); err == nil {
		t.Error("an audit without any usage is believed within a day")
	}
	g.pass(40 * time.Hour)
	g.use(0, a, 1)
	g.poll1()
	g.settle()
	g.expect(counts{a: want + 1})
	g.expectAmount("restated down", g.measure().RestatedDown, 0)
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

// TestOldHoursThatTheAPINoLongerHasStay, and newer ones go on being audited: the organization itself says nothing of them.
func TestOldHoursThatTheAPINoLongerHasStay(t *testing.T) {
	for _, groupBy := range [][]string{{"project_id", "model"}, {"model"}} {
		g := newRig(t)
		g.options.GroupBy = groupBy
		g.open()
		g.poll()
		g.audit()
		for range 5 {
			g.pass(time.Hour)
			g.use(0, a, 1)
			g.poll()
			g.audit()
		}
		before := g.shown()
		g.pass(20 * time.Minute)
		refused := 0
		for ; refused < 40; refused++ {
			w, due := g.feed.AuditWindow(g.now)
			if !due {
				break
			}
			nothing := newWorld()
			nothing.now = g.now
			if err := g.feed.Book(context.Background(), nothing.read(g.options.Endpoint, g.feed.GroupBy(), w)); err == nil {
				break
			}
			g.pass(time.Hour)
			g.poll()
		}
		if refused != 24 {
			t.Errorf("%v: it was refused %d times, want once an hour for a day", groupBy, refused)
		}
		if got := g.shown(); !maps.Equal(got, before) {
			t.Errorf("%v: counted %v, want %v", groupBy, got, before)
		}
		g.expectAmount("restated down", g.measure().RestatedDown, 0)
		if n := g.ledger.View().Feeds[0].HoursGivenUp; n == 0 {
			t.Errorf("%v: no hour is given up", groupBy)
		}
		g.pass(time.Hour)
		g.use(0, a, 1)
		g.poll1()
		g.settle()
		g.expectAmount("withheld", g.measure().Withheld, 0)
	}
}

// voided is a rig with five hours of usage, the newest of which has newest, and how it audits an answer without any usage.
func voided(t *testing.T, newest int64) (g *rig, audit func() (due bool, err error)) {
	g = newRig(t).open()
	g.poll()
	g.audit()
	for hour := range 5 {
		g.pass(time.Hour)
		g.use(0, a, 1)
		if hour == 4 {
			g.use(0, a, newest-1)
		}
		g.poll()
		g.audit()
	}
	g.pass(20 * time.Minute)
	return g, func() (bool, error) {
		w, due := g.feed.AuditWindow(g.now)
		if !due {
			return false, nil
		}
		nothing := newWorld()
		nothing.now = g.now
		return true, g.feed.Book(context.Background(), nothing.read(g.options.Endpoint, g.feed.GroupBy(), w))
	}
}

// TestTheLastHourThatAuditsReachStaysToo: another organization answers for days, and the hours leave the audits one by one.
func TestTheLastHourThatAuditsReachStaysToo(t *testing.T) {
	g, audit := voided(t, 101)
	g.pass(2 * time.Hour) // Polls look back for an hour.
	g.poll()
	for range 3 * 24 {
		if _, err := g.ask(newWorld()); err != nil {
			t.Fatal(err)
		}
		for {
			if due, err := audit(); !due || err != nil {
				break // It is refused. One that is given up is followed by the next.
			}
		}
		g.pass(time.Hour)
	}
	g.expect(counts{a: 105})
	g.use(0, a, 100)
	g.poll1()
	g.settle()
	g.expect(counts{a: 205})
	g.expectAmount("restated down", g.measure().RestatedDown, 0)
}

// TestAnAuditThatIsGivenUpIsOver, though the polls have read nothing for long.
func TestAnAuditThatIsGivenUpIsOver(t *testing.T) {
	g, audit := voided(t, 1)
	if _, err := audit(); err == nil {
		t.Fatal("an audit without any usage is believed")
	}
	g.pass(25 * time.Hour)
	audits := 0
	for ; audits < 20; audits++ {
		if due, err := audit(); err != nil || !due {
			break
		}
	}
	if audits != 1 {
		t.Errorf("%d audits in a row, want one", audits)
	}
}

// TestADateThatWasAheadDoesNotProlongTheWait for an audit to be given up.
func TestADateThatWasAheadDoesNotProlongTheWait(t *testing.T) {
	g, audit := voided(t, 1)
	g.pass(30 * 24 * time.Hour)
	_, _ = audit() // The window lies ahead, or it is refused.
	g.pass(-30 * 24 * time.Hour)
	hours := 0
	for ; hours < 50; hours++ {
		if _, err := audit(); err == nil {
			break
		}
		g.pass(time.Hour)
	}
	if hours > 24 {
		t.Errorf("it was refused for %d hours, want a day", hours)
	}
}

// TestABillWithoutAnyRowTakesNothingAway: the key of an organization that has spent nothing came into the file.
func TestABillWithoutAnyRowTakesNothingAway(t *testing.T) {
	g := costsRig(t)
	g.open()
	today := g.now.Truncate(24 * time.Hour)
	b := bill{today.AddDate(0, 0, -1): {"gpt-5, input": "1"}, today: {"gpt-5, input": "2"}}
	g.bookBill(b)
	before, _ := g.costs()
	empty := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now))
	empty.AsOf = g.now
	for day := empty.Window.From; day.Before(g.now); day = day.AddDate(0, 0, 1) {
		empty.Bucket(day)
	}
	if err := g.feed.Book(context.Background(), empty); err == nil || !strings.Contains(err.Error(), "will be requested again") {
		t.Errorf("an empty bill says %v", err)
	}
	if now, _ := g.costs(); !maps.Equal(now, before) || len(now) == 0 {
		t.Errorf("the bill was %v and is %v", before, now)
	}
	g.expectAmount("withheld", g.measure().Withheld, 0)
	g.pass(time.Hour)
	g.bookBill(b)
}

// TestAnAuditWithARowEndsTheWait: what has nothing a day later is asked for again as long as the first time.
func TestAnAuditWithARowEndsTheWait(t *testing.T) {
	g, audit := voided(t, 1)
	if _, err := audit(); err == nil {
		t.Fatal("an audit without any usage is believed")
	}
	if g.audit() == 0 {
		t.Fatal("no audit of its own is due")
	}
	g.pass(25 * time.Hour)
	g.poll()
	if due, err := audit(); !due || err == nil {
		t.Errorf("an audit without any usage is believed or given up at once (due %t)", due)
	}
}
