package fetcher_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

func TestAReloadEndsNoWaitThatTheSameAPIHasImposed(t *testing.T) {
	more := func(o *fetcher.ClientOptions) { o.RequestsPerMinute = 900 }
	for _, tc := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		change func(o *fetcher.ClientOptions) // nil: the client stays
		asked  bool                           // whether the reload may ask at once
	}{
		{"Retry-After", says(429, "", "Retry-After", "3600"), nil, false},
		{"Retry-After, another budget", says(429, "", "Retry-After", "3600"), more, false},
		{"Retry-After, another key", says(429, "", "Retry-After", "3600"), func(o *fetcher.ClientOptions) { o.Key = &word{text: "sk-admin-another-one"} }, false},
		{"401", says(401, ""), nil, false},
		{"401, another budget", says(401, ""), more, false},
		{"403", says(403, ""), nil, false},
		{"404", says(404, ""), nil, false},
		{"404, another budget", says(404, ""), more, false},
		{"401, another key", says(401, ""), func(o *fetcher.ClientOptions) { o.Key = &word{text: "sk-admin-another-one"} }, true},
		{"401, another base_url", says(401, ""), func(o *fetcher.ClientOptions) { o.BaseURL = "http://eu.api.test/v1" }, true},
		{"404, other http settings", says(404, ""), func(o *fetcher.ClientOptions) { o.HTTP.FollowRedirects = !o.HTTP.FollowRedirects }, true},
		{"500", says(500, ""), nil, true},
		{"500 that asks for less than the pause", says(500, "", "Retry-After", "5"), nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := &witness{}
				a := open(t, counts, options(t, "embeddings"), options(t, "moderations"))
				f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
					return strings.HasSuffix(r.URL.Path, "/embeddings") && tc.answer(w, r)
				}}
				wire := serve(t, f)
				c := client(t, wire, seen)
				polled := a.polled(t, time.Minute)
				for i := range polled {
					polled[i].Feed = &unaudited{a.feeds[i]}
				}
				s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: polled})
				pass(8 * time.Minute)
				before, was := len(seen.of("embeddings")), status(t, s, "embeddings")
				if tc.change != nil {
					c = client(t, wire, seen, tc.change)
				}
				// The endpoint is switched off for a moment, and the other one stays off.
				s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: polled[1:]}})
				s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: polled[:1]}})
				is := status(t, s, "embeddings")
				if !tc.asked && is != was {
					t.Errorf("status after the reload: %+v, want %+v", is, was)
				}
				pass(30 * time.Second)
				if n := len(seen.of("embeddings")); (n != before) != tc.asked {
					t.Errorf("asked %d times more within half a minute", n-before)
				}
			})
		})
	}
}

// A short Retry-After is waited for within a poll, which a reload ends.
func TestAReloadWithinAShortRetryAfterDoesNotAskSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var throttled []time.Time // when requests came since the API has asked to be left alone
		var begun atomic.Bool
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			if !begun.Load() || !strings.HasSuffix(r.URL.Path, "/embeddings") {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			throttled = append(throttled, time.Now())
			return says(429, "", "Retry-After", "2")(w, r)
		}}
		seen := &witness{}
		c := client(t, serve(t, f), seen)
		a := open(t, counts, options(t, "embeddings"), options(t, "moderations"))
		polled := a.polled(t, time.Minute)
		for i := range polled {
			polled[i].Feed = &unaudited{a.feeds[i]}
		}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: polled})
		pass(3 * time.Minute)
		begun.Store(true)
		until(status(t, s, "embeddings").NextPoll.Add(time.Second))
		s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: polled[1:]}})
		s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: polled[:1]}})
		pass(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(throttled) < 2 {
			t.Fatal("not asked again")
		}
		if wait := throttled[1].Sub(throttled[0]); wait < 2*time.Second || wait > 4*time.Second {
			t.Errorf("asked again after %s, want the 2 s that the API has asked for", wait)
		}
	})
}

func TestAnotherKeyEndsAWaitThatHasOutlivedAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, seen := &word{text: secret}, &witness{}
		var good atomic.Bool
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return !good.Load() && says(401, "")(w, r)
		}}
		wire := serve(t, f)
		a := open(t, counts, options(t, "embeddings"))
		change := func(rpm int) *fetcher.Client {
			return client(t, wire, seen, func(o *fetcher.ClientOptions) { o.Key, o.RequestsPerMinute = key, rpm })
		}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: change(600), Endpoints: a.polled(t, time.Minute)})
		pass(8 * time.Minute)
		s.Apply([]fetcher.Organization{{Name: "acme", Client: change(900), Endpoints: a.polled(t, time.Minute)}})
		pass(time.Minute)
		good.Store(true)
		key.set("sk-admin-the-next-one", nil)
		pass(5 * time.Second)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestA404OutageOfAnEndpointThatWasReadStaysAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return gone.Load() && says(404, `{"error":{"message":"Invalid URL"}}`)(w, r)
		}}
		seen := &witness{}
		c := client(t, serve(t, f), seen)
		a := open(t, nil, options(t, "embeddings"))
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: a.polled(t, time.Minute)})
		pass(10 * time.Minute)
		gone.Store(true)
		pass(10 * time.Minute)
		failing := func(when string) {
			t.Helper()
			if st := status(t, s, "embeddings"); st.State != fetcher.StateFailing {
				t.Errorf("%s the endpoint is %s", when, st.State)
			}
		}
		failing("in the outage")
		s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: a.polled(t, 2*time.Minute)}})
		failing("right after a reload")
		pass(20 * time.Minute)
		failing("after a reload")
		// A restart knows of the reads by the ledger alone.
		s.Close()
		s = schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: a.polled(t, time.Minute)})
		pass(time.Minute)
		failing("after a restart")
	})
}

// TestAReloadAfterAnotherKeyEndsNoWait: a client counts its keys, and the next client begins to count again.
func TestAReloadAfterAnotherKeyEndsNoWait(t *testing.T) {
	for name, another := range map[string]bool{"the same client": false, "another client": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, seen := &word{text: secret}, &witness{}
				wire := serve(t, &fake{before: says(401, "")})
				a := open(t, counts, options(t, "embeddings"))
				change := func(rpm int) *fetcher.Client {
					return client(t, wire, seen, func(o *fetcher.ClientOptions) { o.Key, o.RequestsPerMinute = key, rpm })
				}
				c := change(600)
				s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: a.polled(t, time.Minute)})
				pass(8 * time.Minute)
				key.set("sk-admin-that-is-no-better", nil)
				pass(3 * time.Minute)
				before := len(seen.of("embeddings"))
				if another {
					c = change(900)
				}
				s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: a.polled(t, time.Minute)}})
				pass(time.Minute)
				if n := len(seen.of("embeddings")); n != before {
					t.Errorf("asked %d times more within a minute", n-before)
				}
			})
		})
	}
}
