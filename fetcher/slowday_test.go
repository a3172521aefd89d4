// A day of minutes takes long under the race detector, and a day of all endpoints is held to it elsewhere.

//go:build !race

package fetcher_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestNoBucketIsMissedAndNoPollDriftsInADayOfASlowAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC))
		begin := time.Now()
		end := begin.Add(24 * time.Hour)
		sim := simulator.New(simulator.Options{
			Seed: 7, Begin: begin, End: end,
			Lateness: simulator.Lateness{Immediate: 0.4, Lumps: 4, Within: 15 * time.Minute},
			// An answer takes a third of the interval, some of them so long that the poll outlasts it.
			Faults: simulator.Faults{Latency: 20 * time.Second, Slow: 0.05, Delay: 60 * time.Second},
		})
		seen := &witness{}
		c := client(t, serve(t, sim.Handler()), seen)
		a := open(t, counts, options(t, "embeddings"))
		covered := make([]*coverage, len(a.feeds))
		polled := a.polled(t, time.Minute)
		for i := range polled {
			covered[i] = &coverage{Feed: a.feeds[i]}
			polled[i].Feed = covered[i]
		}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: polled})
		until(end.Add(2 * time.Hour))

		for i, p := range polled {
			name := p.Endpoint.Name
			polls := seen.of(name)
			if len(polls) < 1200 {
				t.Errorf("%s: %d polls in a day", name, len(polls))
			}
			// A poll begins on its tick, or as soon as the audit is over that was under way then.
			phase := polls[len(polls)-1].at.UnixNano() % int64(time.Minute)
			skipped, late := 0, 0
			for j, p := range polls[1:] {
				gap := p.at.Sub(polls[j].at)
				if gap > 12*time.Minute {
					t.Errorf("%s: no poll for %s", name, gap)
				}
				if gap > 90*time.Second {
					skipped++
				}
				if p.at.UnixNano()%int64(time.Minute) == phase {
					continue
				}
				late++
				if !slices.ContainsFunc(seen.audited(), func(a poll) bool { return a.endpoint == name && a.at.Equal(p.at) }) {
					t.Fatalf("%s: poll %d of %d began at %s, away from its ticks", name, j+1, len(polls), p.at)
				}
			}
			if late > len(polls)/10 {
				t.Errorf("%s: %d of %d polls waited for an audit", name, late, len(polls))
			}
			if skipped == 0 {
				t.Errorf("%s: no poll outlasted its interval: the API was not slow", name)
			}
			// Every minute was read again at least twenty times after it had ended.
			reads := map[int64]int{}
			for _, r := range covered[i].all() {
				if r.Window.Audit {
					continue
				}
				for m := r.Window.From; m.Add(time.Minute).Before(r.AsOf); m = m.Add(time.Minute) {
					reads[m.Unix()]++
				}
			}
			for m := begin; m.Before(end); m = m.Add(time.Minute) {
				if reads[m.Unix()] < 20 {
					t.Errorf("%s: the minute %s was read %d times", name, m, reads[m.Unix()])
				}
			}
			for measure, want := range truth(sim, name, begin, end) {
				if got := a.total(name, measure); got != want {
					t.Errorf("%s: counted %s %s, the truth is %s", name, got, measure, want)
				}
			}
		}
	})
}
