package fetcher_test

import (
	"context"
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

func TestUsageWaitsForTheFirstBillButNotForLong(t *testing.T) {
	for name, tc := range map[string]struct {
		costs func(w http.ResponseWriter, r *http.Request) bool
		least time.Duration
		most  time.Duration
	}{
		"answered":     {says(200, `{"object":"page","data":[],"has_more":false,"next_page":null}`), 3 * time.Second, 5 * time.Second},
		"refused":      {says(404, `{"error":{"message":"unknown"}}`), 3 * time.Second, 5 * time.Second},
		"no answer":    {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, 30 * time.Second, 31 * time.Second},
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
			pass(35 * time.Second)
			polls := seen.of("embeddings")
			if len(polls) == 0 || polls[0].err != nil {
				t.Fatalf("%s: usage was not polled within 35 s: %v, %+v", name, polls, status(t, s, "embeddings"))
			}
			if after := polls[0].at.Sub(begin); after < tc.least || after > tc.most {
				t.Errorf("%s: usage was polled after %s, want %s to %s", name, after, tc.least, tc.most)
			}
		})
	}
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
