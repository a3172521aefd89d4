//go:build !race

package fetcher_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestLookupsOfHundredsOfProjectsStayInTheBudgetAndBehindUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perMinute, more = 60, 200
		sim := simulator.New(simulator.Options{Projects: more})
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			lookup := !strings.Contains(r.URL.Path, "/usage/")
			if lookup {
				sim.Handler().ServeHTTP(w, r)
			}
			return lookup
		}}
		seen := &witness{}
		d, entry := known(t, false)
		names := []string{"completions", "decisions", "embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions", "web_search_calls"}
		var feeds []fetcher.PolledEndpoint
		for _, name := range names {
			o := options(t, name)
			o.AuditInterval, o.AuditWindow = 0, 0
			feeds = append(feeds, open(t, counts, o).polled(t, time.Minute)...)
		}
		schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.RequestsPerMinute = perMinute }),
			Endpoints: feeds, Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 5 * time.Minute, LimitsInterval: 5 * time.Minute},
		})
		pass(50 * time.Minute)
		o := d.Snapshot().Organizations[0]
		if len(o.Projects) != len(sim.Projects()) || len(o.Keys) < more {
			t.Errorf("%d projects and %d keys, want all of them", len(o.Projects), len(o.Keys))
		}
		if want := 186 * (len(sim.Projects()) - 1); len(o.RateLimits) != want {
			t.Errorf("%d rate limits, want %d", len(o.RateLimits), want)
		}
		asks := f.asks()
		for i := range asks {
			n := 0
			for j := i; j < len(asks) && asks[j].at.Sub(asks[i].at) < time.Minute; j++ {
				n++
			}
			if n > perMinute*11/10 {
				t.Fatalf("%d requests in the minute from %s", n, asks[i].at)
			}
		}
		for _, name := range names {
			for i, gap := range gaps(seen.of(name)) {
				if i > 0 && gap > 1.2 {
					t.Errorf("%s was not polled for %v minutes", name, gap)
				}
			}
		}
		if again := len(seen.of(fetcher.LookupProjects)); again < 6 {
			t.Errorf("the projects were listed %d times in 50 minutes, behind their own keys", again)
		}
	})
}
