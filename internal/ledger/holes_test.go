package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// readOff answers a window with a Date that is off, and with what the API has now.
func (g *rig) readOff(w ledger.Window, off time.Duration) *ledger.Read {
	r := g.read(g.options.Endpoint, g.feed.GroupBy(), w)
	r.AsOf = g.now.Add(off)
	return r
}

// TestAHoleInACatchUpIsNotTakenForRead: what an answer leaves out in its middle is unknown, not zero.
func TestAHoleInACatchUpIsNotTakenForRead(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	for range 200 {
		g.pass(time.Hour)
		g.use(0, a, 1)
	}
	g.open()
	g.poll()
	hole := g.now.Add(-150 * time.Hour).Truncate(time.Hour)
	refused := 0
	for {
		w, due := g.feed.AuditWindow(g.now)
		if !due {
			break
		}
		whole := g.read(embeddings, g.feed.GroupBy(), w)
		r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
		r.AsOf = g.now
		_ = whole.Each(func(start time.Time, row ledger.Row, _ []ledger.Label) {
			if !start.Equal(hole) {
				r.Bucket(start)
				r.Row([]string{"proj_a", "m1"}, row.Values)
			}
		})
		if err := g.feed.Book(context.Background(), r); err != nil {
			refused++
			break // It is asked for again after the next poll.
		}
	}
	g.settle()
	g.settle()
	if refused != 1 {
		t.Errorf("%d answers were refused, want the one with the hole", refused)
	}
	g.expect(counts{a: 200})
}

// TestAWrongDateForAWhileLosesNothing: for ten minutes a gateway stamps its own Date.
func TestAWrongDateForAWhileLosesNothing(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{3 * time.Hour, 26 * time.Hour, 100 * time.Hour, 400 * time.Hour, -26 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			g := newRig(t).open()
			g.poll()
			g.audit()
			want := int64(0)
			live := func(minutes int, off time.Duration) {
				for range minutes {
					g.pass(time.Minute)
					g.use(0, a, 3)
					want += 3
					if off == 0 {
						g.poll()
						g.audit()
						continue
					}
					if err := g.feed.Book(context.Background(), g.readOff(g.feed.PollWindow(g.now.Add(off)), off)); err != nil {
						t.Log(err) // It may be refused, but nothing may be lost.
					}
					for {
						w, due := g.feed.AuditWindow(g.now.Add(off))
						if !due {
							break
						}
						if err := g.feed.Book(context.Background(), g.readOff(w, off)); err != nil {
							t.Log(err)
							break
						}
					}
				}
			}
			live(300, 0)
			live(10, off)
			live(200, 0)
			g.settle()
			if got := g.shown()[a]; got != want {
				t.Errorf("%d counted of %d", got, want)
			}
		})
	}
}

func TestARestartChangesNoEstimate(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.options.Price = perRow(func(_ time.Time, _ []string, _ []ledger.Label, v []decimal.Fixed) (usd, unpriced decimal.Fixed) {
		return v[0], decimal.Fixed{}
	})
	g.open()
	g.poll()
	g.audit()
	for range 5 * 24 {
		g.pass(time.Hour)
		g.use(0, a, 1)
		g.poll()
		g.audit()
	}
	say := func() (out []string) {
		for _, d := range g.ledger.View().Feeds[0].Books {
			usd := decimal.Fixed{}
			d.Projects(func(_ string, by ledger.Amounts) { usd = usd.Add(by.Estimated) })
			out = append(out, fmt.Sprintf("%s:%s of %d hours", d.Start.Format("02"), usd, d.Hours))
		}
		return out
	}
	before := say()
	g.open()
	if after := say(); !slices.Equal(before, after) {
		t.Errorf("estimates %v, after a restart %v", before, after)
	}
}

// TestADateThatIsBehindRestatesNothing: what begins after the Date is left out of the read, which seems to end within an
// hour that audits have put on record whole.
func TestADateThatIsBehindRestatesNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t).open()
	for range 10 * 60 {
		g.poll()
		g.audit()
		g.pass(time.Minute)
		g.use(0, a, 3)
	}
	for m := range 60 {
		off := -4*time.Hour - time.Duration(m)*time.Minute
		w := g.feed.PollWindow(g.now.Add(off))
		w.To = g.now.Add(off)
		r := g.readOff(w, off)
		r.Window.To = time.Time{}
		if err := g.feed.Book(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	g.expectAmount("restated down", g.measure().RestatedDown, 0)
	g.settle()
	g.expect(counts{a: 1800})
}

func TestAWrongDateDoesNotStick(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	r := ledger.NewRead(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now.AddDate(1, 0, 0)))
	r.AsOf = g.now.AddDate(1, 0, 0)
	if err := g.feed.Book(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	g.poll()
	if at := g.ledger.View().Feeds[0].ReadAt; at.After(g.now) {
		t.Errorf("the newest poll was answered at %s, it is %s", at, g.now)
	}
}

// TestADimensionDroppedWhileTheStartIsCaughtUp: the first audit, not the first poll, meets the dimension that is refused.
func TestADimensionDroppedWhileTheStartIsCaughtUp(t *testing.T) {
	g := newRig(t)
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.options.CountersStartText = "month"
	g.options.CountersStart = func(now time.Time) (time.Time, bool) {
		return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), true
	}
	g.use(5*24*time.Hour, a, 7)
	g.use(10*time.Minute, a, 4)
	g.open()
	g.poll()                                       // goes well
	if err := g.feed.Drop("user_id"); err != nil { // the first audit, which reads older hours, is refused
		t.Fatal(err)
	}
	g.poll()
	if g.shown()[a] != 4 {
		t.Errorf("after the drop %d are shown, want the 4 of before", g.shown()[a])
	}
	g.audit()
	g.settle()
	if g.shown()[a] != 11 {
		t.Errorf("counted %d since the start that was asked for, want 11", g.shown()[a])
	}
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

// TestWhatIsMissingForLongStaysOpenAndIsCountedOnce: after three answers with the same hole the rest is taken. The hole is
// neither zero nor read: when the API has it again, it counts, once.
func TestWhatIsMissingForLongStaysOpenAndIsCountedOnce(t *testing.T) {
	for _, audit := range []bool{false, true} {
		g := newRig(t).open()
		g.poll()
		g.audit()
		for range 3 * 60 {
			g.pass(time.Minute)
			g.use(0, a, 1)
			if !audit {
				g.poll()
			}
		}
		plan := func() ledger.Window {
			w, due := g.feed.PollWindow(g.now), true
			if audit {
				w, due = g.feed.AuditWindow(g.now)
			}
			if !due {
				t.Fatal("no audit is due")
			}
			return w
		}
		if audit {
			g.poll() // What the downtime left out is the audit's.
		}
		hole := g.now.Add(-40 * time.Minute).Truncate(time.Minute)
		if audit {
			hole = g.now.Add(-3 * time.Hour).Truncate(time.Hour) // Not the last hour of the window.
		}
		g.use(g.now.Sub(hole), a, 100) // It is there, and the API leaves it out.
		for try := range 3 {
			w := plan()
			whole := g.read(embeddings, g.feed.GroupBy(), w)
			r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
			r.AsOf = g.now
			had := map[time.Time][]decimal.Fixed{}
			if err := whole.Each(func(at time.Time, row ledger.Row, _ []ledger.Label) { had[at.UTC()] = row.Values }); err != nil {
				t.Fatal(err)
			}
			for at := w.From; at.Before(g.now) && (w.To.IsZero() || at.Before(w.To)); at = at.Add(w.Width.Duration) {
				if at.Equal(hole) {
					continue
				}
				r.Bucket(at)
				if values := had[at.UTC()]; values != nil {
					r.Row([]string{"proj_a", "m1"}, values)
				}
			}
			if err := g.feed.Book(context.Background(), r); (err == nil) != (try == 2) {
				t.Fatalf("audit %t, answer %d with a hole: %v", audit, try, err)
			}
		}
		if at := g.ledger.View().Feeds[0].Audited; audit && at.After(hole) {
			t.Errorf("audited up to %s, though %s is missing", at, hole)
		}
		g.settle()
		g.expect(counts{a: 280})
	}
}

// TestAnAuditThatAClockAheadPlannedEndsWherePollsDo: nothing is left out that polls have not seen either, not even when
// they have read exactly to the end of an hour.
func TestAnAuditThatAClockAheadPlannedEndsWherePollsDo(t *testing.T) {
	for _, past := range []time.Duration{0, time.Minute, 59 * time.Minute} {
		g := newRig(t).open()
		g.poll()
		g.now = noon.Truncate(time.Hour).Add(5*time.Hour + past)
		g.use(4*time.Hour, a, 3)
		g.poll()
		w, due := g.feed.AuditWindow(g.now.Add(6 * time.Hour))
		if !due || !w.To.After(g.now) {
			t.Fatalf("the clock that is ahead plans %v", w)
		}
		g.book(w)
		g.expect(counts{a: 3})
	}
}

// TestARoundThatAClockAheadPlannedStopsBeforeWhatPollsRead: as one bucket, the running hour would take the place of its
// minutes, and the newest of them would show nothing.
func TestARoundThatAClockAheadPlannedStopsBeforeWhatPollsRead(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"in the middle of the round": 96 * time.Hour, "after its end": 500 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t).open()
			g.poll()
			g.audit()
			g.pass(5 * time.Hour)
			g.use(0, a, 3)
			g.poll()
			if w, due := g.feed.AuditWindow(g.now.Add(ahead)); !due {
				t.Fatalf("the clock that is ahead plans %v", w)
			}
			polled := g.now.Add(-g.options.Lookback).Truncate(time.Hour)
			for {
				w, due := g.feed.AuditWindow(g.now)
				if !due {
					break
				}
				if w.To.After(polled) {
					t.Errorf("at %s an audit reads up to %s, polls from %s on", g.now, w.To, polled)
				}
				g.book(w)
			}
			if at := g.ledger.View().Feeds[0].Audited; !at.Equal(polled) {
				t.Errorf("audited up to %s, want %s", at, polled)
			}
			g.expect(counts{a: 3})
		})
	}
}

func TestARoundThatAClockAheadHasReadIsOver(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	g.pass(5 * time.Hour)
	g.poll()
	w, due := g.feed.AuditWindow(g.now.Add(96 * time.Hour))
	if !due || !w.To.After(g.now) {
		t.Fatalf("the clock that is ahead plans %v", w)
	}
	g.book(w)
	if w, due := g.feed.AuditWindow(g.now); due && !w.From.Before(w.To) {
		t.Errorf("an audit is due from %s to %s", w.From, w.To)
	}
}

func TestAnEndpointWithoutAuditsIsNotAudited(t *testing.T) {
	g := newRig(t)
	g.options.AuditWindow = 0
	g.open().poll()
	g.pass(5 * time.Hour)
	g.poll()
	if w, due := g.feed.AuditWindow(g.now); due {
		t.Errorf("an audit of %v is due", w)
	}
}

// TestAnHourThatStaysMissingIsGivenUpWhenNoAuditReachesIt: until then it may come, and from then on audits read no more than
// their window, and what has left it is let go of.
func TestAnHourThatStaysMissingIsGivenUpWhenNoAuditReachesIt(t *testing.T) {
	t.Parallel()
	for name, past := range map[string]time.Duration{"read to the end of an hour": 30 * time.Minute, "read into an hour": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t).open()
			g.pass(past)
			g.poll()
			g.audit()
			missing := g.now.Add(3 * time.Hour).Truncate(time.Hour)
			g.hole = func(start time.Time) bool { return start.Equal(missing) }
			want := int64(-1) // What the API had in that hour is lost.
			for range 6 * 24 {
				g.pass(time.Hour)
				g.use(0, a, 1)
				want++
				if since := g.now.Truncate(time.Hour).Sub(missing); since == 0 || since == time.Hour {
					continue // It is down, so that no poll reads the hour.
				}
				g.poll()
				for {
					w, due := g.feed.AuditWindow(g.now)
					if !due {
						break
					}
					_ = g.feed.Book(t.Context(), g.read(embeddings, g.feed.GroupBy(), w)) // It is refused twice, and asked for again.
				}
				v := g.ledger.View().Feeds[0]
				gone := missing.Before(v.ReadThrough.Add(-g.options.AuditWindow))
				if given := v.HoursGivenUp == 1; given != gone || v.HoursGivenUp > 1 {
					t.Fatalf("read through %s, %d hours are given up, and %s is missing", v.ReadThrough, v.HoursGivenUp, missing)
				}
			}
			g.expect(counts{a: want})
			g.pass(time.Hour)
			g.poll()
			if w, due := g.feed.AuditWindow(g.now); !due || g.now.Sub(w.From) > g.options.AuditWindow+2*time.Hour {
				t.Errorf("audits begin with %s, %t", w.From, due)
			}
			if n := g.daysHeld(); n > 5 {
				t.Errorf("%d days of buckets are held", n)
			}
		})
	}
}
