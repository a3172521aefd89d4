// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// fail has commits fail until what it returns is called: another file lies where the state was.
func (g *rig) fail() (repair func()) {
	g.t.Helper()
	path := filepath.Join(g.dir, ledger.FileName)
	if err := errors.Join(os.Rename(path, path+".former"), os.WriteFile(path, []byte("another file"), 0o600)); err != nil {
		g.t.Fatal(err)
	}
	return func() {
		if err := os.Rename(path+".former", path); err != nil {
			g.t.Fatal(err)
		}
	}
}

// TestAVerdictThatIsNotOnDiskStands: the disk fails when another organization answers first, and its next answers, which
// name no project, are no better for that.
func TestAVerdictThatIsNotOnDiskStands(t *testing.T) {
	for name, restarts := range map[string]bool{"same process": false, "a restart later": true} {
		t.Run(name, func(t *testing.T) {
			g, want := busy(t)
			repair := g.fail()
			g.pass(time.Minute)
			if _, err := g.ask(foreign(g.now)); !errors.Is(err, ledger.ErrForeign) {
				t.Fatalf("booking another organization's answer says %v", err)
			}
			repair()
			for range 2 {
				g.pass(time.Minute)
				if _, err := g.ask(newWorld()); !errors.Is(err, ledger.ErrForeign) {
					t.Errorf("an answer without projects says %v", err)
				}
				g.expect(counts{a: want})
				if restarts {
					g.open()
				}
			}
			g.pass(time.Minute)
			g.poll1()
			g.use(0, a, 1)
			g.settle()
			g.expect(counts{a: want + 1})
			g.expectAmount("restated down", g.measure().RestatedDown, 0)
		})
	}
}

// TestAnAcquittalThatIsNotOnDiskIsAskedForAgain: the disk fails when the hour that was asked for tells that the
// organization answers itself again. It is quiet now, so nothing else would tell.
func TestAnAcquittalThatIsNotOnDiskIsAskedForAgain(t *testing.T) {
	g, want := busy(t)
	for range 2 * 60 {
		g.pass(time.Minute)
		g.poll()
		g.audit()
	}
	if _, err := g.ask(foreign(g.now)); !errors.Is(err, ledger.ErrForeign) {
		t.Fatalf("booking another organization's answer says %v", err)
	}
	repair := g.fail()
	g.pass(time.Minute)
	var failed *ledger.StateError
	if answers, err := g.ask(g.world); !errors.As(err, &failed) || answers != 1 {
		t.Errorf("with a disk that fails, its own answer says %v after %d answers", err, answers)
	}
	repair()
	g.pass(time.Minute)
	if answers, err := g.ask(g.world); err != nil || answers != 2 {
		t.Errorf("its own answer says %v after %d answers", err, answers)
	}
	g.use(0, a, 1)
	g.settle()
	g.expect(counts{a: want + 1})
}

// twoFeeds is a rig with a second endpoint of the same organization, which has the same usage.
type twoFeeds struct {
	*rig
	both  []ledger.FeedOptions
	other *ledger.Feed
}

// busyFeeds is two feeds that have counted for some hours.
func busyFeeds(t *testing.T) (p *twoFeeds, want int64) {
	g, want := busy(t)
	moderations := *embeddings
	moderations.Name = "moderations"
	second := g.options
	second.Endpoint = &moderations
	p = &twoFeeds{rig: g, both: []ledger.FeedOptions{g.options, second}}
	p.configure(p.both...)
	for range 2 * 60 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		want++
		g.poll()
		if _, err := p.askOther(g.world); err != nil {
			t.Fatal(err)
		}
	}
	return p, want
}

// configure configures some of both.
func (p *twoFeeds) configure(options ...ledger.FeedOptions) {
	p.t.Helper()
	feeds, err := p.ledger.Configure(p.settings, options)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, f := range feeds {
		if options[i].Endpoint == p.both[0].Endpoint {
			p.feed = f
		} else {
			p.other = f
		}
	}
}

// askOther is ask of the second endpoint.
func (p *twoFeeds) askOther(w *world) (answers int, err error) {
	q := *p.rig
	q.feed, q.options = p.other, p.both[1]
	return q.ask(w)
}

// mustRefuse says whose answer was not refused.
func mustRefuse(t *testing.T, whose string) func(answers int, err error) {
	return func(answers int, err error) {
		t.Helper()
		if !errors.Is(err, ledger.ErrForeign) {
			t.Errorf("%s: booking it says %v after %d answers", whose, err, answers)
		}
	}
}

// TestAnEndpointThatWasOffIsAcquittedWithTheOthers: it was switched off while another organization answered. It comes back
// with that verdict only if nothing has told since that the organization answers itself, or the other one answers again.
func TestAnEndpointThatWasOffIsAcquittedWithTheOthers(t *testing.T) {
	for name, tc := range map[string]struct{ told, again, restarts bool }{
		"its own key was back":                              {told: true},
		"its own key was back for a while":                  {told: true, again: true},
		"nothing has told":                                  {},
		"its own key was back after a restart":              {told: true, restarts: true},
		"its own key was back for a while, after a restart": {told: true, again: true, restarts: true},
		"nothing has told after a restart":                  {restarts: true},
	} {
		t.Run(name, func(t *testing.T) {
			g, want := busyFeeds(t)
			g.pass(time.Minute)
			mustRefuse(t, "another organization's answer")(g.ask(foreign(g.now)))
			g.configure(g.both[1])
			if tc.restarts {
				g.reopen()
				g.configure(g.both[1])
			}
			g.pass(time.Minute)
			mustRefuse(t, "an answer without projects, while it is off")(g.askOther(newWorld()))
			if tc.told {
				if _, err := g.askOther(g.world); err != nil {
					t.Fatal(err)
				}
			}
			if tc.again {
				g.pass(time.Minute)
				mustRefuse(t, "another organization's answer, again")(g.askOther(foreign(g.now)))
			}
			g.configure(g.both[0])
			g.pass(time.Minute)
			if tc.told && !tc.again {
				if answers, err := g.ask(g.world); err != nil || answers != 1 {
					t.Errorf("its own answer says %v after %d answers", err, answers)
				}
			} else {
				mustRefuse(t, "an answer without projects")(g.ask(newWorld()))
			}
			g.expect(counts{a: want})
			g.expectAmount("restated down", g.measure().RestatedDown, 0)
		})
	}
}

// TestAnyAnswerThatIsRefusedWritesTheVerdict: the disk failed when one endpoint came to it, and before that one is read
// again the program ends.
func TestAnyAnswerThatIsRefusedWritesTheVerdict(t *testing.T) {
	g, want := busyFeeds(t)
	stock := g.both[1]
	quiet := *stock.Endpoint
	quiet.Name = "images" // It has no usage on record that could tell.
	stock.Endpoint = &quiet
	g.both[1] = stock
	g.configure(g.both...)
	repair := g.fail()
	g.pass(time.Minute)
	mustRefuse(t, "another organization's answer")(g.ask(foreign(g.now)))
	repair()
	mustRefuse(t, "an answer without projects")(g.askOther(newWorld()))
	g.open()
	g.configure(g.both...)
	mustRefuse(t, "an answer without projects after a restart")(g.askOther(newWorld()))
	g.expect(counts{a: want})
}

// TestAVerdictThatIsNotOnDiskOutlivesAReload: the disk failed when an endpoint came to it, and before that was tried again
// the endpoint was switched off and on.
func TestAVerdictThatIsNotOnDiskOutlivesAReload(t *testing.T) {
	for name, told := range map[string]bool{"nothing has told": false, "its own key was back": true} {
		t.Run(name, func(t *testing.T) {
			g, want := busyFeeds(t)
			repair := g.fail()
			g.pass(time.Minute)
			mustRefuse(t, "another organization's answer")(g.ask(foreign(g.now)))
			repair()
			g.configure(g.both[1])
			g.pass(time.Minute)
			if told {
				if _, err := g.askOther(g.world); err != nil {
					t.Fatal(err)
				}
			}
			g.configure(g.both...)
			for _, restarts := range []bool{false, true} {
				if restarts {
					g.open()
					g.configure(g.both...)
				}
				g.pass(time.Minute)
				if !told {
					mustRefuse(t, "an answer without projects")(g.ask(newWorld()))
					mustRefuse(t, "an answer without projects, of the other endpoint")(g.askOther(newWorld()))
				} else if answers, err := g.ask(g.world); err != nil || answers != 1 {
					t.Errorf("its own answer says %v after %d answers", err, answers)
				}
				g.expect(counts{a: want})
			}
			g.pass(time.Minute)
			g.poll1()
			g.use(0, a, 1)
			g.settle()
			g.expect(counts{a: want + 1})
			g.expectAmount("restated down", g.measure().RestatedDown, 0)
		})
	}
}

// TestWhatAnHourHasToldIsForOnePoll: the hour that was asked for has told that the organization answers itself, or could
// not be asked for, and the poll that comes next fails. Before the one after that the key is replaced.
func TestWhatAnHourHasToldIsForOnePoll(t *testing.T) {
	for name, outage := range map[string]bool{"it has told": false, "nothing could be read": true} {
		t.Run(name, func(t *testing.T) {
			g, want := busy(t)
			for range 2 * 60 {
				g.pass(time.Minute)
				g.poll()
				g.audit()
			}
			g.use(0, newcomer, 3)
			window := func() ledger.Window { return g.feed.PollWindow(g.now) }
			book := func(w ledger.Window) {
				t.Helper()
				if err := g.feed.Book(context.Background(), g.read(embeddings, g.feed.GroupBy(), w)); !errors.Is(err, ledger.ErrDoubt) {
					t.Fatalf("booking only a new project, or the hour that tells, says %v", err)
				}
			}
			book(window())
			if outage {
				for !window().To.IsZero() {
					g.pass(time.Minute)
				}
			} else {
				book(window())
				if w := window(); !w.To.IsZero() { // It fails.
					t.Errorf("the hour from %s to %s is asked for again", w.From, w.To)
				}
			}
			g.pass(time.Minute)
			mustRefuse(t, "another organization's answer")(g.ask(foreign(g.now)))
			g.expect(counts{a: want})
			g.pass(time.Minute)
			g.poll1()
			g.settle()
			g.expect(counts{a: want, newcomer: 3})
		})
	}
}

// said tells of each line of a log.
type said chan string

func (s said) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}

// TestAVerdictIsForgottenWithItsRecord: an endpoint was off for so long that its state was removed. It begins again, and has
// nothing that could tell whose answers it gets.
func TestAVerdictIsForgottenWithItsRecord(t *testing.T) {
	for name, written := range map[string]bool{"a verdict on disk": true, "one that could not be written": false} {
		t.Run(name, func(t *testing.T) {
			g, _ := busy(t)
			lines := make(said, 100)
			g.logger = log.NewLogfmtLogger(lines)
			g.open()
			elsewhere := g.options
			elsewhere.Organization = "globex"
			p := &twoFeeds{rig: g, both: []ledger.FeedOptions{g.options, elsewhere}}
			configure := func(options ...ledger.FeedOptions) {
				feeds, err := g.ledger.Configure(g.settings, options)
				if err != nil {
					t.Fatal(err)
				}
				p.feed, p.other = feeds[0], feeds[len(feeds)-1]
			}
			configure(p.both...)
			repair := func() {}
			if !written {
				repair = g.fail()
			}
			g.pass(time.Minute)
			mustRefuse(t, "another organization's answer")(g.ask(foreign(g.now)))
			repair()
			configure(elsewhere)
			g.pass(g.settings.IdleRetention + 24*time.Hour)
			if _, err := p.askOther(newWorld()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				g.ledger.Run(ctx)
			}()
			for removed := false; !removed; {
				select {
				case line := <-lines:
					removed = strings.Contains(line, "Removed state")
				case <-time.After(10 * time.Second):
					t.Fatal("the state is not removed")
				}
			}
			cancel()
			<-ended
			configure(p.both...)
			if answers, err := g.ask(newWorld()); err != nil || answers != 1 {
				t.Errorf("an answer without projects says %v after %d answers", err, answers)
			}
		})
	}
}
