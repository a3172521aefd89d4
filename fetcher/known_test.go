package fetcher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestWhatWasReadIsKnownByItsPrint: after a poll the ledger knows all of its buckets, until they change on record or rows
// are asked for otherwise.
func TestWhatWasReadIsKnownByItsPrint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 12, 30, 0, 0, time.UTC))
		sim := simulator.New(simulator.Options{Seed: 3, Begin: time.Now().Add(-6 * time.Hour), End: time.Now().Add(6 * time.Hour)})
		c := client(t, serve(t, sim.Handler()), &witness{})
		o := options(t, "completions")
		o.GroupBy = []string{"project_id", "model"}
		a := open(t, counts, o)
		poll := func() *ledger.Read {
			t.Helper()
			w := a.feeds[0].PollWindow(time.Now())
			r, err := c.Read(t.Context(), fetcher.Query{Endpoint: o.Endpoint, GroupBy: a.feeds[0].GroupBy(), Window: w})
			if err == nil {
				err = a.feeds[0].Book(t.Context(), r)
			}
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		known := func() (n int) {
			t.Helper()
			w := a.feeds[0].PollWindow(time.Now())
			r := ledger.NewRead(o.Endpoint, a.feeds[0].GroupBy(), w)
			for at := w.From; at.Before(time.Now()); at = at.Add(w.Width.Duration) {
				if p, ok := r.Recorded(at); ok && p.Size > 0 {
					n++
				}
			}
			return n
		}
		if n := known(); n != 0 {
			t.Errorf("%d buckets are known before the first poll", n)
		}
		rows := 0
		for range 5 {
			rows = poll().Rows()
			pass(time.Minute)
		}
		if n := known(); n < 60 {
			t.Errorf("%d buckets are known after a poll of an hour", n)
		}
		if again := poll().Rows(); again < rows/2 {
			t.Errorf("a read of known buckets has %d rows, want about %d", again, rows)
		}
		o.Organization, o.CountersStart, o.ReadBy = "acme", counts, []string{"batch"}
		feeds, err := a.ledger.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 100_000}, []ledger.FeedOptions{o})
		if err != nil {
			t.Fatal(err)
		}
		a.feeds = feeds
		if n := known(); n != 0 {
			t.Errorf("%d buckets are known by rows that are no longer asked for", n)
		}
	})
}
