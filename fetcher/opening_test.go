package fetcher_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

// everything polls all endpoints of an organization with a budget of a request a second, with audits and look-ups to be made.
func everything(t *testing.T, seen *witness, f *fake) {
	_, entry := known(t, false)
	o := fetcher.Organization{
		Name: "acme", Client: client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.RequestsPerMinute = 60 }),
		Lookups: fetcher.Lookups{Directory: entry, NamesInterval: time.Hour},
	}
	for i := range api.Endpoints {
		o.Endpoints = append(o.Endpoints, fetcher.PolledEndpoint{Endpoint: &api.Endpoints[i], Interval: 10 * time.Minute, Feed: &script{audits: -1}})
	}
	schedule(t, seen, o)
}

// TestEveryEndpointIsPolledBeforeAnythingElse: what the budget has saved up goes to the first polls, so that all endpoints
// are shown as early as the budget allows.
func TestEveryEndpointIsPolledBeforeAnythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, begin := &witness{}, time.Now()
		everything(t, seen, &fake{})
		pass(time.Minute)
		var last time.Time
		for i := range api.Endpoints {
			polls := seen.of(api.Endpoints[i].Name)
			if len(polls) == 0 {
				t.Fatalf("%s was not polled", api.Endpoints[i].Name)
			}
			if polls[0].at.After(last) {
				last = polls[0].at
			}
		}
		// Five requests are saved up, and the others come once a second, after half a second in which the first ones spread.
		saved := 60 / 12
		if most := time.Duration(len(api.Endpoints)-saved)*time.Second + time.Second/2; last.Sub(begin) > most {
			t.Errorf("all endpoints were polled after %s, want %s", last.Sub(begin), most)
		}
		audits := seen.audited()
		if len(audits) == 0 || audits[0].at.Before(last) {
			t.Errorf("%d audits, the first one before all endpoints were polled", len(audits))
		}
	})
}

// TestOneEndpointWithoutAnAnswerHoldsUpTheOthersNotForLong: neither their polls, nor audits and look-ups for ever.
func TestOneEndpointWithoutAnAnswerHoldsUpTheOthersNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, begin := &witness{}, time.Now()
		everything(t, seen, &fake{before: func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/embeddings") {
				<-r.Context().Done()
				return true
			}
			return false
		}})
		pass(40 * time.Second)
		audits := seen.audited()
		if len(audits) == 0 || audits[0].at.Sub(begin) < 30*time.Second || audits[0].at.Sub(begin) > 32*time.Second {
			t.Errorf("%d audits, want the first after 30 s", len(audits))
		}
		if len(seen.of("costs")) == 0 {
			t.Error("costs were not polled")
		}
	})
}
