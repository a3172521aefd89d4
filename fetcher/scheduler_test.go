package fetcher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// until lets the time of a bubble pass up to a moment.
func until(t time.Time) { <-time.After(time.Until(t)) }

func pass(d time.Duration) { <-time.After(d) }

// options of a feed of an endpoint at its finest width.
func options(t *testing.T, name string) ledger.FeedOptions {
	t.Helper()
	e := endpoint(t, name)
	o := ledger.FeedOptions{Endpoint: e, GroupBy: []string{"project_id", "model", "line_item"}, Width: e.Widths[0], Lookback: time.Hour}
	if e.IsCosts() {
		o.Lookback = 96 * time.Hour
	} else {
		o.AuditInterval, o.AuditWindow = 15*time.Minute, 72*time.Hour
	}
	return o
}

// polled is what a scheduler polls for an account: every feed each interval.
func (a *account) polled(t *testing.T, interval time.Duration) (out []fetcher.PolledEndpoint) {
	t.Helper()
	for i, v := range a.ledger.View().Feeds {
		out = append(out, fetcher.PolledEndpoint{Endpoint: v.Endpoint, Interval: interval, Feed: a.feeds[i]})
	}
	return out
}

// schedule polls organizations until the test ends.
func schedule(t *testing.T, seen *witness, organizations ...fetcher.Organization) *fetcher.Scheduler {
	t.Helper()
	s := fetcher.NewScheduler(fetcher.SchedulerOptions{Logger: seen.logger(), Observer: seen})
	s.Apply(organizations)
	t.Cleanup(s.Close)
	return s
}

// status is that of one endpoint of the first organization that has it.
func status(t *testing.T, s *fetcher.Scheduler, name string) fetcher.Status {
	t.Helper()
	for _, st := range s.Status() {
		if st.Endpoint == name {
			return st
		}
	}
	t.Fatalf("no status of %s", name)
	return fetcher.Status{}
}

// gaps are the times between polls, in minutes.
func gaps(polls []poll) (out []float64) {
	for i := 1; i < len(polls); i++ {
		out = append(out, polls[i].at.Sub(polls[i-1].at).Round(time.Second).Minutes())
	}
	return out
}

// A coverage is a feed that remembers what was read.
type coverage struct {
	*ledger.Feed
	mu    sync.Mutex
	reads []*ledger.Read
}

func (c *coverage) Book(ctx context.Context, r *ledger.Read) error {
	if err := c.Feed.Book(ctx, r); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, r)
	return nil
}

// all are the reads so far.
func (c *coverage) all() []*ledger.Read {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.reads)
}

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

// truth is what an endpoint's measures come to.
func truth(sim *simulator.Simulator, name string, from, to time.Time) map[string]string {
	sum := map[string]decimal.Fixed{}
	for _, row := range sim.Final(name, nil, from, to) {
		for measure, v := range row.Values {
			sum[measure] = sum[measure].Add(v)
		}
	}
	out := map[string]string{}
	for measure, v := range sum {
		out[measure] = v.String()
	}
	return out
}

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

func TestUsageWaitsForTheFirstBillButNotForLong(t *testing.T) {
	for name, tc := range map[string]struct {
		costs func(w http.ResponseWriter, r *http.Request) bool
		least time.Duration
		most  time.Duration
	}{
		"answered":     {says(200, `{"object":"page","data":[],"has_more":false,"next_page":null}`), 3 * time.Second, 5 * time.Second},
		"refused":      {says(404, `{"error":{"message":"unknown"}}`), 3 * time.Second, 5 * time.Second},
		"no answer":    {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, 10 * time.Second, 11 * time.Second},
		"not to be so": {nil, 0, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			slow := func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/costs") || tc.costs == nil {
					return false
				}
				pass(3 * time.Second)
				return tc.costs(w, r)
			}
			seen := &witness{}
			a := open(t, counts, options(t, "embeddings"), options(t, "costs"))
			begin := time.Now()
			s := schedule(t, seen, fetcher.Organization{
				Name: "acme", Client: client(t, serve(t, &fake{before: slow}), seen), Endpoints: a.polled(t, time.Minute), BillFirst: tc.costs != nil,
			})
			pass(15 * time.Second)
			polls := seen.of("embeddings")
			if len(polls) == 0 || polls[0].err != nil {
				t.Fatalf("%s: usage was not polled within 15 s: %v, %+v", name, polls, status(t, s, "embeddings"))
			}
			if after := polls[0].at.Sub(begin); after < tc.least || after > tc.most {
				t.Errorf("%s: usage was polled after %s, want %s to %s", name, after, tc.least, tc.most)
			}
		})
	}
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

// An unaudited feed is never due for an audit.
type unaudited struct{ *ledger.Feed }

func (unaudited) AuditWindow(time.Time) (ledger.Window, bool) { return ledger.Window{}, false }

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

// A script is a feed of a test that books into nothing. Its audits never end.
type script struct {
	mu      sync.Mutex
	groupBy []string
	audits  int // how many are due; below zero for ever
	book    func(r *ledger.Read) error
	booked  []ledger.Window
}

func (s *script) GroupBy() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.groupBy)
}

func (s *script) ReadAt() time.Time { return time.Time{} }

func (s *script) Refused(ledger.Window) (bool, error) { return false, nil }

func (s *script) Drop(string) error { return errors.New("disk full") }

func (s *script) PollWindow(now time.Time) ledger.Window {
	return ledger.Window{Width: api.Minute, From: now.Truncate(time.Minute).Add(-time.Hour)}
}

func (s *script) AuditWindow(now time.Time) (ledger.Window, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hour := now.Truncate(time.Hour)
	return ledger.Window{Width: api.Hour, From: hour.Add(-10 * time.Hour), To: hour.Add(-2 * time.Hour), Audit: true}, s.audits != 0
}

func (s *script) Book(ctx context.Context, r *ledger.Read) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book != nil {
		if err := s.book(r); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Window.Audit && s.audits > 0 {
		s.audits--
	}
	s.booked = append(s.booked, r.Window)
	return nil
}

func (s *script) windows() []ledger.Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.booked)
}

func one(t *testing.T, feed fetcher.Feed) []fetcher.PolledEndpoint {
	return []fetcher.PolledEndpoint{{Endpoint: endpoint(t, "embeddings"), Interval: time.Minute, Feed: feed}}
}

func TestACatchUpDoesNotStarveThePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("bucket_width") == "1h" {
				select {
				case <-time.After(7 * time.Second):
				case <-r.Context().Done():
				}
			}
			return false
		}}
		feed, seen := &script{audits: -1}, &witness{}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(time.Hour)
		polls, audits := seen.of("embeddings"), seen.audited()
		if len(polls) < 60 {
			t.Errorf("%d polls in an hour", len(polls))
		}
		for _, g := range gaps(polls) {
			if g > 1.2 {
				t.Errorf("no poll for %v minutes", g)
			}
		}
		if len(audits) < 400 {
			t.Errorf("%d audits in an hour: the time between polls was not used", len(audits))
		}
	})
}

func TestAuditsGoOnUntilNoneIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, seen := &script{audits: 5}, &witness{}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{}), seen), Endpoints: one(t, feed)})
		pass(5 * time.Second)
		if n := len(seen.audited()); n != 5 {
			t.Errorf("%d audits after the first poll, want 5", n)
		}
	})
}

func TestAFailedAuditDoesNotFailThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("bucket_width") == "1h" && says(500, "")(w, r)
		}}
		feed, seen := &script{audits: -1}, &witness{}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(10*time.Minute + 30*time.Second)
		polls, audits := seen.of("embeddings"), seen.audited()
		if len(polls) < 10 || len(audits) != len(polls) {
			t.Errorf("%d polls and %d audits in ten minutes", len(polls), len(audits))
		}
		for i, a := range audits {
			if a.err == nil || polls[i].err != nil {
				t.Errorf("audit: %v, poll: %v", a.err, polls[i].err)
			}
		}
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK || st.Error != "" {
			t.Errorf("status: %+v", st)
		}
		if n := len(seen.logged("An audit fails")) - len(seen.logged("level=debug")); n > 1 || len(seen.logged("level=warn")) != 1 {
			t.Errorf("the log: %v", seen.logged("level=warn"))
		}
	})
}

func TestABookThatCanNotBeWrittenIsAFailedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		feed, seen := &script{}, &witness{}
		feed.book = func(*ledger.Read) error {
			if full {
				return errors.New("no space left on device")
			}
			return nil
		}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{}), seen), Endpoints: one(t, feed)})
		pass(10 * time.Minute)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "no space left") {
			t.Errorf("status: %+v", st)
		}
		feed.mu.Lock()
		full = false
		feed.mu.Unlock()
		pass(10 * time.Minute)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK || len(seen.logged("works again")) != 1 {
			t.Errorf("status: %+v, log: %v", st, seen.logged("works again"))
		}
	})
}

func TestAGroupingThatChangesDuringAPollIsAskedForAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, seen, f := &script{groupBy: []string{"project_id", "model"}}, &witness{}, &fake{}
		feed.book = func(r *ledger.Read) error {
			if len(r.Columns()) != 1 {
				feed.groupBy = []string{"model"}
				return ledger.ErrReshaped
			}
			return nil
		}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(2 * time.Second)
		polls := seen.of("embeddings")
		if len(polls) == 0 || polls[0].err != nil || len(feed.windows()) != len(polls) || len(f.asks()) != len(polls)+1 {
			t.Errorf("polls %v after %d requests", polls, len(f.asks()))
		}
	})
}

func TestADimensionThatCanNotBeDroppedFailsThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, seen := &script{groupBy: []string{"model"}}, &witness{}
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Has("group_by") && says(400, `{"error":{"message":"no","param":"group_by"}}`)(w, r)
		}}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(2 * time.Second)
		if polls := seen.of("embeddings"); len(polls) == 0 || polls[0].err == nil || !strings.Contains(polls[0].err.Error(), "disk full") {
			t.Errorf("polls: %v", polls)
		}
	})
}

func TestWindowsArePlannedByTheAPIsClock(t *testing.T) {
	for _, ahead := range []time.Duration{-26 * time.Hour, -5 * time.Minute, 3 * time.Hour} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until(time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC))
				begin := time.Now().Add(ahead)
				sim := simulator.New(simulator.Options{Seed: 5, Begin: begin, Clock: func() time.Time { return time.Now().Add(ahead) }})
				seen := &witness{}
				a := open(t, nil, options(t, "completions"))
				covered := &coverage{Feed: a.feeds[0]}
				polled := a.polled(t, time.Minute)
				polled[0].Feed = covered
				c := client(t, serve(t, sim.Handler()), seen)
				schedule(t, seen, fetcher.Organization{Name: "acme", Client: c, Endpoints: polled})
				pass(20 * time.Minute)
				sim.SetEnd(c.Now())
				pass(5 * time.Minute)
				for _, r := range covered.all() {
					if r.Window.Audit {
						continue
					}
					if back := r.AsOf.Sub(r.Window.From); back < time.Hour || back > 2*time.Hour+time.Minute {
						t.Errorf("a window starts %s before the API's now", back)
					}
				}
				if n := len(covered.all()); n < 25 {
					t.Errorf("%d reads", n)
				}
				if n := len(seen.logged("level=warn")); n != 1 {
					t.Errorf("%d warnings, want one: %v", n, seen.logged("level=warn"))
				}
				for _, p := range seen.of("completions") {
					if p.err != nil {
						t.Errorf("a poll failed: %v", p.err)
					}
				}
				// What was used before the first poll is the baseline, which a second is all but nothing of.
				for measure, want := range truth(sim, "completions", begin, begin.Add(time.Hour)) {
					if got := a.total("completions", measure); got != want {
						t.Errorf("counted %s %s, the truth is %s", got, measure, want)
					}
				}
			})
		})
	}
}

func TestApplyLeavesWhatHasNotChangedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &witness{}
		var names []string
		organizations := map[string]fetcher.Organization{}
		asked := map[string]*fake{}
		for _, name := range []string{"kept", "changed", "removed", "added"} {
			f := &fake{}
			names, asked[name] = append(names, name), f
			organizations[name] = fetcher.Organization{Name: name, Client: client(t, serve(t, f), &witness{}), Endpoints: one(t, &script{})}
		}
		s := schedule(t, seen, organizations["kept"], organizations["changed"], organizations["removed"])
		pass(90 * time.Second)
		before := map[string]int{}
		for _, name := range names {
			before[name] = len(asked[name].asks())
		}
		changed := organizations["changed"]
		changed.Endpoints = slices.Clone(changed.Endpoints)
		changed.Endpoints[0].Interval = 10 * time.Second
		s.Apply([]fetcher.Organization{organizations["added"], changed, organizations["kept"]})
		var order []string
		for _, st := range s.Status() {
			order = append(order, st.Organization+" "+string(st.State))
		}
		if diff := cmp.Diff([]string{"added starting", "changed starting", "kept ok"}, order); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		pass(time.Second)
		got := map[string]int{}
		for _, name := range names {
			got[name] = len(asked[name].asks()) - before[name]
		}
		if diff := cmp.Diff(map[string]int{"kept": 0, "changed": 1, "removed": 0, "added": 1}, got); diff != "" {
			t.Errorf("requests at once (-want +got):\n%s", diff)
		}
		pass(5 * time.Minute)
		if n := len(asked["changed"].asks()) - before["changed"]; n < 30 {
			t.Errorf("%d requests with the new interval", n)
		}
		if n := len(asked["removed"].asks()); n != before["removed"] {
			t.Error("what was removed is still polled")
		}
		s.Apply(nil)
		if n := len(s.Status()); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

func TestCloseEndsRequestsAndFinishesBookings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := &fake{before: func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}}
		seen := &witness{}
		feed := &script{}
		feed.book = func(*ledger.Read) error {
			pass(3 * time.Second)
			return nil
		}
		s := schedule(t, seen,
			fetcher.Organization{Name: "hung", Client: client(t, serve(t, hung), seen), Endpoints: one(t, &script{})},
			fetcher.Organization{Name: "booking", Client: client(t, serve(t, &fake{}), seen), Endpoints: one(t, feed)},
		)
		pass(time.Second)
		begin := time.Now()
		s.Close()
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("closing took %s", took)
		}
		if n := len(feed.windows()); n != 1 {
			t.Errorf("%d bookings, want the one under way", n)
		}
		if n := seen.count("embeddings network") + seen.count("embeddings timeout"); n != 0 {
			t.Error("a request that we gave up is counted as the API's fault")
		}
		for _, p := range seen.of("embeddings") {
			if p.err != nil {
				t.Errorf("a poll that we gave up is counted as a failure: %v", p.err)
			}
		}
		s.Apply([]fetcher.Organization{{Name: "late", Client: client(t, serve(t, &fake{}), seen), Endpoints: one(t, &script{})}})
		s.Close()
		if n := len(s.Status()); n != 2 {
			t.Errorf("%d endpoints after the end", n)
		}
	})
}
