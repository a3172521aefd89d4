//go:build !race

package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAnHourThatTheAPINoLongerHasDoesNotEndAllAudits: the API refuses what is older than forty days, or has nothing of it.
func TestAnHourThatTheAPINoLongerHasDoesNotEndAllAudits(t *testing.T) {
	for _, empty := range []bool{false, true} {
		g := newRig(t)
		g.options.Price = perRow(func(time.Time, []string, []ledger.Label, []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			return decimal.FromInt(1), decimal.Fixed{}
		})
		g.options.CountersStartText = "2026-09-20"
		g.options.CountersStart = func(time.Time) (time.Time, bool) { return time.Date(2026, 9, 20, 0, 0, 0, 0, time.UTC), true }
		g.open()
		audit := func() {
			for {
				w, due := g.feed.AuditWindow(g.now)
				if !due {
					return
				}
				if w.From.Before(g.now.AddDate(0, 0, -40)) { // older than what the API keeps
					if !empty { // a 400, each time
						if gaveUp, err := g.feed.Refused(w); err != nil {
							t.Fatal(err)
						} else if !gaveUp {
							return
						}
						continue
					}
					r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
					r.AsOf = g.now
					if err := g.feed.Book(context.Background(), r); err != nil { // {"data":[]}
						return
					}
					continue
				}
				g.book(w)
			}
		}
		for range 45 * 24 {
			g.pass(time.Hour)
			g.use(0, a, 1)
			g.poll()
			audit()
		}
		before := g.shown()[a]
		g.use(5*time.Hour, a, 1000)
		g.pass(time.Hour)
		g.poll()
		audit()
		if got := g.shown()[a]; got != before+1000 {
			t.Errorf("empty answers %t: late data is not found: %d, want %d", empty, got, before+1000)
		}
		if n := g.ledger.View().Feeds[0].HoursGivenUp; n == 0 {
			t.Errorf("empty answers %t: nothing is said to be given up", empty)
		}
		if n := g.daysHeld(); n > 5 {
			t.Errorf("empty answers %t: %d days of buckets are held, want 4", empty, n)
		}
	}
}
