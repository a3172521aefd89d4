package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// BenchmarkPoll books polls of an organization of many label sets, each of which has usage in every tenth minute of the
// lookback: one in which nothing has changed, and one in which the newest minute has.
func BenchmarkPoll(b *testing.B) {
	const labelSets, every = 20_000, 10
	completions, _ := api.Find("completions")
	groupBy := []string{"project_id", "model"}
	l, err := ledger.Open(ledger.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	feeds, err := l.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 2 * labelSets}, []ledger.FeedOptions{
		{Organization: "acme", Endpoint: completions, GroupBy: groupBy, Width: api.Minute, Lookback: time.Hour},
	})
	if err != nil {
		b.Fatal(err)
	}
	names := make([][]string, labelSets)
	for i := range names {
		names[i] = []string{fmt.Sprintf("proj_%024d", i/20), fmt.Sprintf("gpt-%d-2026-01-01", i%20)}
	}
	values := make([]decimal.Fixed, len(completions.Measures))
	read := func(now time.Time, newest int64) *ledger.Read {
		w := feeds[0].PollWindow(now)
		r := ledger.NewRead(completions, groupBy, w)
		r.AsOf = now
		for at := w.From; at.Before(now); at = at.Add(time.Minute) {
			r.Bucket(at)
			for i := int(at.Unix()/60) % every; i < labelSets; i += every {
				for m := range 6 {
					values[m] = decimal.FromInt(at.Unix()%1000 + int64(i%97*m))
				}
				if at.Equal(now.Truncate(time.Minute)) {
					values[0] = decimal.FromInt(newest)
				}
				r.Row(names[i], values)
			}
		}
		return r
	}
	now := time.Date(2026, 11, 10, 12, 30, 20, 0, time.UTC)
	book := func(r *ledger.Read) {
		if err := feeds[0].Book(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
	book(read(now, 1))
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(now, 1)
		}
	})
	unchanged := read(now, 1)
	b.Run("book/unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			book(unchanged)
		}
	})
	changed := []*ledger.Read{read(now, 2), read(now, 3)}
	b.Run("book/changed", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			book(changed[i%2])
		}
	})
}
