// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

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
