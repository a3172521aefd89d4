package ledger_test

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestTheViewSaysSinceWhenItCounts(t *testing.T) {
	e, _ := api.Find("embeddings")
	now := time.Date(2026, 11, 20, 12, 34, 56, 0, time.UTC)
	origin := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		start func(time.Time) (time.Time, bool)
		want  time.Time
	}{
		"now":      {nil, now},
		"explicit": {func(time.Time) (time.Time, bool) { return origin, true }, origin},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for range 2 { // The second time from disk.
				l, err := ledger.Open(ledger.Options{Dir: dir})
				if err != nil {
					t.Fatal(err)
				}
				feeds, err := l.Configure(ledger.Settings{IdleRetention: 24 * time.Hour, MaxLabelSets: 10}, []ledger.FeedOptions{
					{Organization: "acme", Endpoint: e, Width: api.Minute, Lookback: time.Hour, CountersStart: tc.start},
				})
				if err != nil {
					t.Fatal(err)
				}
				w := feeds[0].PollWindow(now)
				r := ledger.NewRead(e, nil, w)
				r.AsOf = now
				for at := w.From; at.Before(now); at = at.Add(time.Minute) {
					r.Bucket(at)
				}
				if err := feeds[0].Book(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				if got := l.View().Feeds[0].CountsFrom; !got.Equal(tc.want) {
					t.Errorf("it counts from %s, want %s", got, tc.want)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				now = now.Add(time.Minute)
			}
			now = now.Add(-2 * time.Minute)
		})
	}
}
