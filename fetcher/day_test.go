package fetcher_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestADayOfAllEndpointsEndsExactWithoutLeaks lives through a day of every endpoint at once: late usage, and answers
// that are slow, refused, torn or reset. The counters never go down, in the end they are the truth, and nothing runs on:
// a bubble does not end while one of its goroutines lives.
func TestADayOfAllEndpointsEndsExactWithoutLeaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC))
		begin := time.Now()
		end := begin.Add(24 * time.Hour)
		faulty, err := simulator.Profile("faulty")
		if err != nil {
			t.Fatal(err)
		}
		late, err := simulator.Profile("late-minutes")
		if err != nil {
			t.Fatal(err)
		}
		sim := simulator.New(simulator.Options{Seed: 11, Begin: begin, End: end, Lateness: late.Lateness, Faults: faulty.Faults})
		seen := &witness{}
		c := client(t, serve(t, sim.Handler()), seen)
		var all []ledger.FeedOptions
		for i := range api.Endpoints {
			o := options(t, api.Endpoints[i].Name)
			o.GroupBy = o.Endpoint.GroupBy(o.GroupBy)
			all = append(all, o)
		}
		a := open(t, counts, all...)
		s := fetcher.NewScheduler(fetcher.SchedulerOptions{Logger: seen.logger(), Observer: seen})
		s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: a.polled(t, 15*time.Minute)}})

		highest := map[string]decimal.Fixed{}
		for time.Now().Before(end.Add(3 * time.Hour)) {
			pass(30 * time.Minute)
			for _, v := range a.ledger.View().Feeds {
				for _, series := range v.Series {
					for i, m := range series.Measures {
						k := fmt.Sprint(v.Endpoint.Name, v.Endpoint.Measures[m].Name, series.Labels)
						if now := series.Values[i]; now.Max(highest[k]) != now {
							t.Errorf("%s fell from %s to %s", k, highest[k], now)
						}
						highest[k] = series.Values[i]
					}
				}
			}
		}
		s.Close()
		if len(highest) < 100 {
			t.Errorf("only %d counters", len(highest))
		}
		failed := 0
		for i := range api.Endpoints {
			e := &api.Endpoints[i]
			polls := seen.of(e.Name)
			if len(polls) < 90 {
				t.Errorf("%s: %d polls", e.Name, len(polls))
			}
			for _, p := range polls {
				if p.err != nil {
					failed++
				}
			}
			if e.Stock {
				continue
			}
			want := map[string]decimal.Fixed{}
			for _, row := range sim.Final(e.Name, all[i].GroupBy, begin, end) {
				for measure, v := range row.Values {
					want[measure] = want[measure].Add(v)
				}
			}
			for measure, n := range want {
				if got := a.total(e.Name, measure); got != n.String() {
					t.Errorf("%s: counted %s %s, the truth is %s", e.Name, got, measure, n)
				}
			}
		}
		if failed == 0 {
			t.Error("no poll has failed: the API was not faulty")
		}
	})
}
