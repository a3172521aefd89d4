package fetcher_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestTheTroubleOfOneTouchesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/embeddings") {
				<-r.Context().Done()
				return true
			}
			return false
		}
		seen, other := &witness{}, &witness{}
		a := open(t, counts, options(t, "embeddings"), options(t, "moderations"), options(t, "costs"))
		b := open(t, counts, options(t, "embeddings"))
		s := schedule(t, seen,
			fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{before: stuck}), seen), Endpoints: a.polled(t, time.Minute)},
		)
		healthy := schedule(t, other,
			fetcher.Organization{Name: "other", Client: client(t, serve(t, &fake{}), other), Endpoints: b.polled(t, time.Minute)},
		)
		pass(time.Hour + time.Second)
		for name, polls := range map[string][]poll{"moderations": seen.of("moderations"), "costs": seen.of("costs"), "other": other.of("embeddings")} {
			if len(polls) < 60 || slices.ContainsFunc(polls, func(p poll) bool { return p.err != nil }) {
				t.Errorf("%s: %d polls in an hour: %v", name, len(polls), polls)
			}
		}
		if st := status(t, s, "embeddings"); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "gave no answer within 45s") || st.Failures == 0 {
			t.Errorf("status of what is stuck: %+v", st)
		}
		if st := status(t, s, "costs"); st.State != fetcher.StateOK || st.Error != "" || st.LastSuccess.IsZero() || !st.NextPoll.After(time.Now()) {
			t.Errorf("status of what works: %+v", st)
		}
		if st := status(t, healthy, "embeddings"); st.Organization != "other" || st.State != fetcher.StateOK {
			t.Errorf("status of the other organization: %+v", st)
		}
	})
}

func TestPollsThatFailComeLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down switchable
		down.set(says(500, `{"error":{"message":"The server had an error"}}`, "X-Request-Id", "req_7"))
		seen := &witness{}
		a := open(t, counts, options(t, "embeddings"))
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{before: down.serve}), seen), Endpoints: a.polled(t, time.Minute)})
		pass(50 * time.Minute)
		// The first poll is off the ticks.
		if diff := cmp.Diff([]float64{2, 4, 8, 10, 10}, gaps(seen.of("embeddings"))[1:6]); diff != "" {
			t.Errorf("minutes between polls (-want +got):\n%s", diff)
		}
		if n := len(seen.logged("level=warn")); n != 1 || len(seen.logged("request_id=req_7")) == 0 {
			t.Errorf("%d warnings, want one with the request id: %v", n, seen.logged("level=warn"))
		}
		down.set(nil)
		until(status(t, s, "embeddings").NextPoll.Add(30 * time.Second))
		pass(5 * time.Minute)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK || st.Failures != 0 || st.Error != "" {
			t.Errorf("afterwards: %+v", st)
		}
		if n := len(seen.logged("Polling works again")); n != 1 {
			t.Errorf("the recovery was logged %d times", n)
		}
		last := gaps(seen.of("embeddings"))
		if got := last[len(last)-1]; got != 1 {
			t.Errorf("afterwards %v minutes between polls", got)
		}
	})
}

// A switchable answers as it was last told to.
type switchable struct {
	mu sync.Mutex
	f  func(http.ResponseWriter, *http.Request) bool
}

func (s *switchable) set(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f = f
}

func (s *switchable) serve(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	f := s.f
	s.mu.Unlock()
	return f != nil && f(w, r)
}

func TestARefusedKeyIsProbedSlowlyAndNamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fresh = "sk-admin-the-new-one"
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Authorization") != "Bearer "+fresh && says(401, published(t, "error_missing_scope_401_object.json"))(w, r)
		}}
		key := &word{text: secret}
		seen := &witness{}
		c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.Key = key })
		a := open(t, counts, options(t, "embeddings"), options(t, "moderations"))
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: a.polled(t, time.Minute)})
		pass(70 * time.Minute)
		if diff := cmp.Diff([]float64{10, 15, 15, 15}, gaps(seen.of("embeddings"))[1:]); diff != "" {
			t.Errorf("minutes between probes (-want +got):\n%s", diff)
		}
		lines := seen.logged("level=error")
		if len(lines) != 1 || !strings.Contains(lines[0], "lacks the scope api.usage.read: create an admin key") {
			t.Errorf("the log does not name it once for all endpoints: %v", lines)
		}

		// Another wrong key is tried at once, for both of them, and named again.
		pass(90 * time.Second)
		key.set("sk-admin-another-wrong-one", nil)
		before := len(seen.of("embeddings")) + len(seen.of("moderations"))
		pass(2 * time.Second)
		if n := len(seen.of("embeddings")) + len(seen.of("moderations")); n != before+2 {
			t.Errorf("%d polls within two seconds of the changed key, want 2", n-before)
		}
		if lines := seen.logged("level=error"); len(lines) != 2 {
			t.Errorf("the log: %v", lines)
		}
		pass(time.Minute)
		key.set(fresh, nil)
		pass(2 * time.Second)
		for _, name := range []string{"embeddings", "moderations"} {
			if st := status(t, s, name); st.State != fetcher.StateOK {
				t.Errorf("two seconds after the right key: %+v", st)
			}
		}
		pass(10 * time.Minute)
		if lines := seen.logged("works now"); len(lines) != 1 {
			t.Errorf("the log does not say once that the key works: %v", lines)
		}
		last := gaps(seen.of("embeddings"))
		if got := last[len(last)-1]; got != 1 {
			t.Errorf("afterwards %v minutes between polls", got)
		}
		if len(seen.logged(secret))+len(seen.logged(fresh)) > 0 {
			t.Error("the log holds a key")
		}
	})
}

// TestTheFormerKeyIsTriedAtOnceAfterAnotherOrganizations: what the ledger refuses is waited for ten intervals long, but not
// when there is another key.
func TestTheFormerKeyIsTriedAtOnceAfterAnotherOrganizations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		own := simulator.New(simulator.Options{Seed: 11, Begin: begin})
		other := simulator.New(simulator.Options{Seed: 12, Begin: begin})
		key, seen := &word{text: secret}, &witness{}
		c := client(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer "+secret {
				own.Handler().ServeHTTP(w, r)
			} else {
				other.Handler().ServeHTTP(w, r)
			}
		})), seen, func(o *fetcher.ClientOptions) { o.Key = key })
		a := open(t, counts, options(t, "completions"))
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: a.polled(t, 15*time.Minute)})
		pass(5 * time.Hour)
		key.set("sk-admin-of-another-organization", nil)
		polled := len(seen.of("completions"))
		pass(9 * time.Hour)
		if n := len(seen.of("completions")) - polled; n > 10 {
			t.Errorf("%d polls in nine hours with the other organization's key", n)
		}
		if last := seen.of("completions"); !errors.Is(last[len(last)-1].err, ledger.ErrForeign) || time.Since(last[len(last)-1].at) > 3*time.Hour {
			t.Fatalf("with the other organization's key: %+v", last[len(last)-1])
		}
		if left := time.Until(status(t, s, "completions").NextPoll); left < 10*time.Minute {
			pass(left + time.Minute)
		}
		before := len(seen.of("completions"))
		key.set(secret, nil)
		pass(2 * time.Second)
		if st := status(t, s, "completions"); st.State != fetcher.StateOK || len(seen.of("completions")) != before+1 {
			t.Errorf("two seconds after the former key: %+v", st)
		}
	})
}

func TestAKeyThatIsMissingIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := &word{err: errors.New("/run/key does not exist")}
		f, seen := &fake{}, &witness{}
		c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.Key = key })
		a := open(t, counts, options(t, "embeddings"))
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: a.polled(t, time.Minute)})
		pass(20 * time.Minute)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "/run/key does not exist") || len(f.asks()) != 0 {
			t.Errorf("without a key: %+v, %d requests", st, len(f.asks()))
		}
		// The tick that was to come is used all the same.
		tick := status(t, s, "embeddings").NextPoll
		until(tick.Add(-10 * time.Second))
		key.set(secret, nil)
		pass(2 * time.Second)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK || !st.NextPoll.Equal(tick) {
			t.Errorf("with a key: %+v, want the next poll at %s", st, tick)
		}
	})
}

func TestAnEndpointThatIsOnlyEver404IsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone switchable
		gone.set(says(404, ""))
		seen := &witness{}
		a := open(t, counts, options(t, "decisions"))
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{before: gone.serve}), seen), Endpoints: a.polled(t, time.Minute)})
		if st := status(t, s, "decisions"); st.State != fetcher.StateStarting {
			t.Errorf("before the first poll: %+v", st)
		}
		pass(time.Hour)
		if st := status(t, s, "decisions"); st.State != fetcher.StateUnavailable || st.Error == "" {
			t.Errorf("after an hour: %+v", st)
		}
		if n, lines := len(seen.of("decisions")), seen.logged("does not have this endpoint"); n > 6 || len(lines) != 1 {
			t.Errorf("%d polls, logged %v", n, lines)
		}
		if lines := append(seen.logged("level=warn"), seen.logged("level=error")...); len(lines) != 0 {
			t.Errorf("it is no trouble, but: %v", lines)
		}
		gone.set(nil)
		until(status(t, s, "decisions").NextPoll.Add(time.Second))
		if st := status(t, s, "decisions"); st.State != fetcher.StateOK {
			t.Errorf("when it came: %+v", st)
		}
		// A 404 of an endpoint that is known to exist is an outage.
		gone.set(says(404, ""))
		pass(2 * time.Minute)
		if st := status(t, s, "decisions"); st.State != fetcher.StateFailing {
			t.Errorf("when it went: %+v", st)
		}
	})
}

func TestRetryAfterHoldsOneEndpointBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/embeddings") {
				if n++; n == 2 {
					return says(429, "", "Retry-After", "1000")(w, r)
				}
			}
			return false
		}}
		seen := &witness{}
		a := open(t, counts, options(t, "embeddings"), options(t, "moderations"))
		c := client(t, serve(t, f), seen)
		polled := a.polled(t, time.Minute)
		// Only polls are asked for.
		for i := range polled {
			polled[i].Feed = &unaudited{a.feeds[i]}
		}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: polled})
		pass(3 * time.Minute)
		if st := status(t, s, "embeddings"); time.Until(st.NextPoll) < 13*time.Minute {
			t.Errorf("while it is held back: %+v", st)
		}
		pass(27 * time.Minute)
		polls := seen.of("embeddings")
		if wait := polls[2].at.Sub(polls[1].at); wait < 1000*time.Second || wait > 1061*time.Second {
			t.Errorf("asked again after %s", wait)
		}
		if got := gaps(polls)[2]; got != 1 {
			t.Errorf("afterwards %v minutes between polls", got)
		}
		if n := len(seen.of("moderations")); n < 30 {
			t.Errorf("the other endpoint was polled %d times in half an hour", n)
		}
	})
}

func TestARefusedDimensionIsDroppedAndThePollGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC))
		sim := simulator.New(simulator.Options{Seed: 3, RejectGroupBy: map[string][]string{"completions": {"model", "user_id+project_id"}}})
		seen := &witness{}
		o := options(t, "completions")
		o.GroupBy = []string{"project_id", "user_id", "model", "batch"}
		a := open(t, nil, o)
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, sim.Handler()), seen), Endpoints: a.polled(t, time.Minute)})
		pass(10 * time.Minute)
		if st := status(t, s, "completions"); st.State != fetcher.StateOK {
			t.Errorf("status: %+v", st)
		}
		for _, p := range seen.of("completions") {
			if p.err != nil {
				t.Errorf("a poll failed: %v", p.err)
			}
		}
		v := a.ledger.View().Feeds[0]
		if diff := cmp.Diff([]string{"project_id", "batch"}, v.GroupBy); diff != "" {
			t.Errorf("grouping (-want +got):\n%s", diff)
		}
		if lines := seen.logged("refuses to group by"); len(lines) != 2 {
			t.Errorf("the log: %v", lines)
		}
		// The first one is refused again after the second was given up, since it may have been taken for it.
		if n := seen.count("completions 400"); n != 3 {
			t.Errorf("%d requests were refused, want 3", n)
		}
	})
}

func TestTheBillGoesOnWithoutAUserWhereTheAPIRefusesOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC))
		sim := simulator.New(simulator.Options{Seed: 3, RejectGroupBy: map[string][]string{"costs": {"user_id+project_id"}}})
		seen := &witness{}
		o := options(t, "costs")
		o.GroupBy = []string{"project_id", "line_item", "api_key_id", "user_id"}
		a := open(t, nil, o)
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, sim.Handler()), seen), Endpoints: a.polled(t, 15*time.Minute)})
		pass(time.Hour)
		if st := status(t, s, "costs"); st.State != fetcher.StateOK {
			t.Errorf("status: %+v", st)
		}
		v := a.ledger.View().Feeds[0]
		if diff := cmp.Diff([]string{"project_id", "line_item", "api_key_id"}, v.GroupBy); diff != "" {
			t.Errorf("grouping (-want +got):\n%s", diff)
		}
		keys := map[string]bool{}
		for _, row := range v.Days[len(v.Days)-1].Rows {
			for _, l := range row.Labels {
				if l.Name == "api_key_id" {
					keys[l.Value] = true
				}
			}
		}
		if len(keys) < 10 {
			t.Errorf("%d keys are on the bill", len(keys))
		}
	})
}

func TestADimensionThatStaysEmptyIsNamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &witness{}
		o := options(t, "embeddings")
		o.GroupBy = []string{"project_id", "user_id", "model"}
		a := open(t, counts, o)
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{}), seen), Endpoints: a.polled(t, time.Minute)})
		pass(10 * time.Minute)
		lines := seen.logged("left it empty")
		if len(lines) != 1 || !strings.Contains(lines[0], "dimension=user_id") {
			t.Errorf("the log: %v", lines)
		}
	})
}
