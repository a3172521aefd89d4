// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"bytes"
	"context"
	"errors"
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

// TestAProvenKeyIsNotAccusedByOneHour: with the key of an answer that was this organization's, an hour whose usage was
// corrected to nothing is no sign of another one.
func TestAProvenKeyIsNotAccusedByOneHour(t *testing.T) {
	for name, c := range map[string]struct {
		key     uint64 // of the poll that names only a new project
		asked   bool   // before an answer to this key has named a known one
		answers int
		foreign bool
	}{
		"the proven key":                         {key: 1, answers: 1},
		"another key":                            {key: 2, answers: 2, foreign: true},
		"another key, proven after it was asked": {key: 2, asked: true, answers: 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t).open()
			g.key = 1
			g.poll()
			g.audit()
			for range 5 * 60 {
				g.pass(time.Minute)
				g.use(0, a, 1)
				g.poll()
				g.audit()
			}
			for range 2 * 60 {
				g.pass(time.Minute)
				g.poll()
				g.audit()
			}
			g.use(0, newcomer, 3)
			newest := g.now.Add(-2 * time.Hour).Truncate(time.Hour)
			for at := newest; at.Before(newest.Add(time.Hour)); at = at.Add(time.Minute) {
				if n := g.minutes[at.Unix()][a]; n > 0 {
					g.use(g.now.Sub(at), a, -n)
				}
			}
			g.key = c.key
			if c.asked {
				if err := g.feed.Book(context.Background(), g.read(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now))); !errors.Is(err, ledger.ErrDoubt) {
					t.Fatalf("booking only a new project says %v", err)
				}
				g.pass(time.Hour)
				g.use(0, newcomer, 3)
				g.audit()
			}
			answers, err := g.ask(g.world)
			if errors.Is(err, ledger.ErrForeign) != c.foreign || answers != c.answers {
				t.Fatalf("booking only a new project says %v after %d answers", err, answers)
			}
			if want := g.total(newcomer); !c.foreign && g.shown()[newcomer] != want {
				t.Errorf("counted %v, want %d of the new project", g.shown(), want)
			}
		})
	}
}

// TestAProvenKeyIsAccusedByTwoHours: a gateway may come to answer the same key with another organization's usage.
func TestAProvenKeyIsAccusedByTwoHours(t *testing.T) {
	g := newRig(t)
	g.options.Lookback = 5 * time.Hour
	g.open()
	g.key = 1
	g.poll()
	for range 5 * 60 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		g.poll()
	}
	other := foreign(g.now)
	other.key = 1
	mustRefuse(t, "another organization's answer")(g.ask(other))
	g.expect(counts{a: 300})
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
