// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// ask polls like the fetcher: what is to be read first is read first. It returns why nothing was booked, and how many
// answers it took.
func (g *rig) ask(w *world) (answers int, err error) {
	g.t.Helper()
	w.now = g.now
	for answers = 1; ; answers++ {
		err = g.feed.Book(context.Background(), w.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now)))
		if !errors.Is(err, ledger.ErrDoubt) {
			return answers, err
		}
		if answers > 20 {
			g.t.Fatal("it is asked for more and more")
		}
	}
}

var (
	stranger = labels{"proj_x", "m1"}
	newcomer = labels{"proj_new", "m1"}
)

// foreign is an organization that has used a lot, of other projects.
func foreign(now time.Time) *world {
	w := newWorld()
	w.now = now
	for m := range 100 * 60 {
		w.use(time.Duration(m)*time.Minute, stranger, 1000)
	}
	return w
}

// busy is a rig that has counted for some hours.
func busy(t *testing.T) (g *rig, want int64) {
	g = newRig(t).open()
	g.poll()
	g.audit()
	for range 5 * 60 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		want++
		g.poll()
		g.audit()
	}
	g.expect(counts{a: want})
	return g, want
}

// TestAnotherOrganizationsAnswersAreNotBooked: a key file came to hold the key of another organization.
func TestAnotherOrganizationsAnswersAreNotBooked(t *testing.T) {
	g, want := busy(t)
	var said bytes.Buffer
	g.logger = log.NewLogfmtLogger(&said)
	g.open()
	other := foreign(g.now)
	for range 3 {
		g.pass(time.Minute)
		if _, err := g.ask(other); !errors.Is(err, ledger.ErrForeign) {
			t.Fatalf("booking another organization's answer says %v", err)
		}
		g.expect(counts{a: want})
	}
	if n := strings.Count(said.String(), "level=error"); n != 1 || !strings.Contains(said.String(), "name of its own under organizations") {
		t.Errorf("the log says what to do %d times: %s", n, said.String())
	}
	// An audit is refused as well, and so is an answer without any project while it is not clear who answers.
	if w, due := g.feed.AuditWindow(g.now.Add(20 * time.Minute)); due {
		if err := g.feed.Book(context.Background(), other.read(embeddings, g.feed.GroupBy(), w)); !errors.Is(err, ledger.ErrForeign) {
			t.Errorf("an audit says %v", err)
		}
	}
	g.open() // The state remembers.
	g.pass(time.Minute)
	if _, err := g.ask(newWorld()); !errors.Is(err, ledger.ErrForeign) {
		t.Errorf("after a restart, an answer without projects says %v", err)
	}
	g.expect(counts{a: want})

	// The former key is back. Nothing was lost.
	for range 40 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		want++
	}
	if answers, err := g.ask(g.world); err != nil || answers != 2 {
		t.Errorf("its own answer says %v after %d answers", err, answers)
	}
	g.settle()
	g.expect(counts{a: want})
	g.expectAmount("restated down", g.measure().RestatedDown, 0)
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

// TestAQuietHourDoesNotLetAnotherOrganizationIn: nothing in the last hour tells, so that an older one is asked.
func TestAQuietHourDoesNotLetAnotherOrganizationIn(t *testing.T) {
	g, want := busy(t)
	for range 3 * 60 {
		g.pass(time.Minute)
		g.poll()
		g.audit()
	}
	answers, err := g.ask(foreign(g.now))
	if !errors.Is(err, ledger.ErrForeign) || answers != 2 {
		t.Errorf("booking another organization's answer says %v after %d answers", err, answers)
	}
	g.expect(counts{a: want})
	g.pass(time.Minute)
	g.poll1()
	g.use(0, a, 1)
	g.settle()
	g.expect(counts{a: want + 1})
}

// poll1 polls by way of what has to be read first.
func (g *rig) poll1() {
	g.t.Helper()
	if _, err := g.ask(g.world); err != nil {
		g.t.Fatal(err)
	}
}

// TestAnOrganizationWithNewProjectsOnlyIsItself: all projects of before are archived, and have no usage any more.
func TestAnOrganizationWithNewProjectsOnlyIsItself(t *testing.T) {
	for _, quiet := range []time.Duration{0, 2 * time.Hour, 30 * time.Hour, 100 * time.Hour, 60 * 24 * time.Hour} {
		g, want := busy(t)
		for passed := time.Duration(0); passed < quiet; passed += 30 * time.Minute {
			g.pass(30 * time.Minute)
			g.poll1()
			g.audit()
		}
		g.pass(time.Minute)
		g.use(0, newcomer, 7)
		if answers, err := g.ask(g.world); err != nil || answers > 3 {
			t.Errorf("after %s of quiet, a new project says %v after %d answers", quiet, err, answers)
		}
		g.settle()
		if got := g.shown(); got[newcomer] != 7 || quiet < 30*24*time.Hour && got[a] != want {
			t.Errorf("after %s of quiet: %v", quiet, got)
		}
	}
}

// TestUsageThatMovesToANewProjectIsOnesOwn: what little there is now belongs to another project, but older hours don't.
func TestUsageThatMovesToANewProjectIsOnesOwn(t *testing.T) {
	g, want := busy(t)
	g.pass(3 * time.Hour)
	g.use(0, a, 5)
	g.poll1()
	g.audit()
	g.use(0, a, -5)
	g.use(0, newcomer, 5)
	g.poll1()
	g.settle()
	g.expect(counts{a: want + 5, newcomer: 5})
	g.expectAmount("withheld", g.measure().Withheld, 5)
}

// TestAWrongVerdictDoesNotStand: of the hours on record each is asked in turn, until one still has its projects.
func TestAWrongVerdictDoesNotStand(t *testing.T) {
	g, _ := busy(t)
	for m := range 2 * 60 { // two hours move, whole: nobody would believe that
		g.use(time.Duration(m)*time.Minute, a, -1)
		g.use(time.Duration(m)*time.Minute, newcomer, 1)
	}
	refused := 0
	for range 10 {
		g.pass(time.Minute)
		_, err := g.ask(g.world)
		if err == nil {
			break
		}
		refused++
	}
	if refused == 0 || refused > 5 {
		t.Errorf("%d polls were refused", refused)
	}
	g.settle()
	if got := g.shown(); got[newcomer] != 120 {
		t.Errorf("counted %v", got)
	}
}

// TestAnHourThatCannotBeAskedLetsTheDoubtEnd: the API does not answer for the hour that would tell.
func TestAnHourThatCannotBeAskedLetsTheDoubtEnd(t *testing.T) {
	g, _ := busy(t)
	for range 2 * 60 {
		g.pass(time.Minute)
		g.poll()
		g.audit()
	}
	g.use(0, newcomer, 3)
	if err := g.feed.Book(context.Background(), g.read(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now))); !errors.Is(err, ledger.ErrDoubt) {
		t.Fatalf("booking only a new project says %v", err)
	}
	tries, w := 0, g.feed.PollWindow(g.now)
	for ; !w.To.IsZero(); w = g.feed.PollWindow(g.now) {
		if tries++; tries > 20 {
			t.Fatal("it is asked for for ever")
		}
	}
	if tries != 10 {
		t.Errorf("it was asked for %d times, want ten", tries)
	}
	g.book(w)
	if got := g.shown()[newcomer]; got != 3 {
		t.Errorf("counted %d", got)
	}
}

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
	if err := audit(newWorld()); err == nil || errors.Is(err, ledger.ErrForeign) || !strings.Contains(err.Error(), "asked for again") {
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
		for due, err := audit(); due && err == nil; due, err = audit() { // It is refused, or given up.
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
	if err := g.feed.Book(context.Background(), empty); err == nil || !strings.Contains(err.Error(), "asked for again") {
		t.Errorf("an empty bill says %v", err)
	}
	if now, _ := g.costs(); !maps.Equal(now, before) || len(now) == 0 {
		t.Errorf("the bill was %v and is %v", before, now)
	}
	g.expectAmount("withheld", g.measure().Withheld, 0)
	g.pass(time.Hour)
	g.bookBill(b)
}

// TestTheBillTellsWhoAnswers by the id of the organization, whatever its projects are called.
func TestTheBillTellsWhoAnswers(t *testing.T) {
	g := costsRig(t)
	g.options.GroupBy = []string{"line_item"} // no project can tell
	g.open()
	b := bill{g.now.Truncate(24 * time.Hour): {"gpt-5, input": "1"}}
	book := func(organization string) error {
		r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now))
		r.AsOf, r.Organization = g.now, organization
		for at := r.Window.From; at.Before(g.now); at = at.AddDate(0, 0, 1) {
			r.Bucket(at)
			for item, usd := range b[at] {
				row := make([]string, len(r.Columns()))
				row[0] = item
				values := make([]decimal.Fixed, len(g.options.Endpoint.Measures))
				values[0], _ = decimal.Parse([]byte(usd))
				r.Row(row, values)
			}
		}
		return g.feed.Book(context.Background(), r)
	}
	for _, step := range []struct {
		organization string
		refused      bool
	}{
		{"", false}, {"org-a", false}, {"", false}, {"org-b", true}, {"", true}, {"org-b", true}, {"org-a", false}, {"", false},
	} {
		g.pass(15 * time.Minute)
		if err := book(step.organization); errors.Is(err, ledger.ErrForeign) != step.refused {
			t.Fatalf("the bill of %q says %v", step.organization, err)
		}
		g.open() // The state remembers all of it.
	}
}
