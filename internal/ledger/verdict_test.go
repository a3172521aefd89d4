// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// TestAnEndpointThatWasOffIsAcquittedWithTheOthers: it was switched off while another organization answered. It comes back
// with that verdict only if nothing has told since that the organization answers itself.
func TestAnEndpointThatWasOffIsAcquittedWithTheOthers(t *testing.T) {
	moderations := *embeddings
	moderations.Name = "moderations"
	for name, told := range map[string]bool{"its own key was back": true, "nothing has told": false} {
		t.Run(name, func(t *testing.T) {
			g, want := busy(t)
			off := g.options
			other := off
			other.Endpoint = &moderations
			configure := func(options ...ledger.FeedOptions) []*ledger.Feed {
				t.Helper()
				feeds, err := g.ledger.Configure(g.settings, options)
				if err != nil {
					t.Fatal(err)
				}
				return feeds
			}
			book := func(f *ledger.Feed, w *world) error {
				w.now = g.now
				return f.Book(context.Background(), w.read(&moderations, f.GroupBy(), f.PollWindow(g.now)))
			}
			feeds := configure(off, other)
			if err := book(feeds[1], g.world); err != nil {
				t.Fatal(err)
			}
			g.pass(time.Minute)
			if _, err := g.ask(foreign(g.now)); !errors.Is(err, ledger.ErrForeign) {
				t.Fatalf("booking another organization's answer says %v", err)
			}
			feeds = configure(other)
			g.pass(time.Minute)
			answer := newWorld()
			if told {
				answer = g.world
			}
			if err := book(feeds[0], answer); err != nil {
				t.Fatal(err)
			}
			g.feed = configure(off, other)[0]
			g.pass(time.Minute)
			if told {
				if answers, err := g.ask(g.world); err != nil || answers != 1 {
					t.Errorf("its own answer says %v after %d answers", err, answers)
				}
			} else if _, err := g.ask(newWorld()); !errors.Is(err, ledger.ErrForeign) {
				t.Errorf("an answer without projects says %v", err)
			}
			g.expect(counts{a: want})
			g.expectAmount("restated down", g.measure().RestatedDown, 0)
		})
	}
}
