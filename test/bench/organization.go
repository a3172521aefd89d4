package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// An organization is a ledger of one, whose clock is the benchmark's.
type organization struct {
	ledger *ledger.Ledger
	feed   *ledger.Feed
	sets   int
}

var grouping = []string{"project_id", "user_id", "api_key_id", "model"}

func open(dir string) (*organization, error) {
	completions, _ := api.Find("completions")
	o := &organization{sets: (seriesOfAMillion + len(completions.Measures) - 1) / len(completions.Measures)}
	var err error
	if o.ledger, err = ledger.Open(ledger.Options{Dir: dir}); err != nil {
		return nil, err
	}
	feeds, err := o.ledger.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 2 * o.sets}, []ledger.FeedOptions{{
		Organization: "acme", Endpoint: completions, GroupBy: grouping, Width: api.Minute,
		Lookback: lookback, AuditInterval: 15 * time.Minute, AuditWindow: audited,
	}})
	if err != nil {
		return nil, err
	}
	o.feed = feeds[0]
	return o, nil
}

// labelSet names label set i as the API would: forty projects, each with as many users, keys and models as it takes.
func labelSet(i int) []string {
	project := i % 40
	user := i / 40 % 100
	return []string{
		fmt.Sprintf("proj_%024d", project), fmt.Sprintf("user-%024d", user), fmt.Sprintf("key_%016d", project*100+user),
		fmt.Sprintf("gpt-5.%d-2026-08-07", i/4000),
	}
}

// fill fills a read of a window as the fetcher does: it passes over buckets that are what they were when they were read last.
// has says what label set i has in the bucket that starts at a time: nothing, or a number that its values follow from.
func (o *organization) fill(w ledger.Window, asOf time.Time, has func(i int, at time.Time) int64) *ledger.Read {
	completions, _ := api.Find("completions")
	r := ledger.NewRead(completions, grouping, w)
	r.AsOf = asOf
	end := w.To
	if end.IsZero() {
		end = asOf
	}
	values := make([]decimal.Fixed, len(completions.Measures))
	for at := w.From; at.Before(end); at = at.Add(w.Width.Duration) {
		fingerprint := o.fingerprint(at, has)
		if known, ok := r.Recorded(at); ok && known == fingerprint {
			r.Same(at, known)
			continue
		}
		r.Bucket(at)
		for i := range o.sets {
			n := has(i, at)
			if n == 0 {
				continue
			}
			clear(values)
			kinds := 8 // Text without audio and images, as most usage is.
			if at.Equal(born.Truncate(time.Minute)) {
				kinds = len(values)
			}
			for m := range kinds {
				values[m] = decimal.FromInt(n * int64(1+m*m*37))
			}
			r.Row(labelSet(i), values)
		}
		r.Fingerprint(fingerprint)
	}
	return r
}

// fingerprint tells what label sets have in a bucket from all else that they could have, as the one of the bucket's bytes would.
func (o *organization) fingerprint(at time.Time, has func(i int, at time.Time) int64) ledger.Fingerprint {
	f, h := ledger.Fingerprint{Size: 1}, fnv.New128a()
	for i := range o.sets {
		n := has(i, at)
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) // It can't fail.
		if n == 0 {
			continue
		}
		f.Rows++
		for column := range grouping {
			f.Filled = f.Filled.With(column)
		}
	}
	sum := h.Sum(nil)
	f.Sums = [2]uint64{binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])}
	return f
}

// poll books what a poll and the audits that are due read.
func (o *organization) poll(ctx context.Context, now time.Time, has, hourly func(i int, at time.Time) int64) error {
	if err := o.feed.Book(ctx, o.fill(o.feed.PollWindow(now), now, has)); err != nil {
		return err
	}
	for {
		w, due := o.feed.AuditWindow(now)
		if !due {
			return nil
		}
		if err := o.feed.Book(ctx, o.fill(w, now, hourly)); err != nil {
			return err
		}
	}
}

func nothing(int, time.Time) int64 { return 0 }

// spread lets a label set have usage in every nth bucket.
func spread(width time.Duration, n int64) func(i int, at time.Time) int64 {
	return func(i int, at time.Time) int64 {
		// Scattered over the state, as the usage of an organization is.
		slot := at.Unix()/int64(width/time.Second) + int64(uint32(i)*2654435761>>8)
		if slot%n != 0 {
			return 0
		}
		return 1 + slot%97
	}
}
