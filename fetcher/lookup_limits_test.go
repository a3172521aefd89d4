package fetcher_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestLimitsAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Options{})
		seen := &witness{}
		d, entry := known(t, false)
		s := schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, sim.Handler()), seen), Lookups: fetcher.Lookups{Directory: entry, LimitsInterval: 10 * time.Minute},
		})
		want := []directory.SpendLimit{{USD: 25_000, Enforcement: directory.Inactive}}
		rows := map[string]int{}
		for _, p := range sim.Projects() {
			if p.SpendLimitCents > 0 {
				limit := directory.SpendLimit{ProjectID: p.ID, USD: float64(p.SpendLimitCents) / 100, Enforcement: directory.Inactive}
				if len(want) == 1 {
					limit.Enforcement = directory.Enforcing
					sim.SetEnforcing(p.ID)
				}
				want = append(want, limit)
			}
			if p.Archived == 0 {
				rows[p.ID] = 186
			}
		}
		pass(time.Minute)
		o := d.Snapshot().Organizations[0]
		if diff := cmp.Diff(want, o.SpendLimits); diff != "" {
			t.Errorf("spend limits (-want +got):\n%s", diff)
		}
		got, unlimited := map[string]int{}, 0
		for _, l := range o.RateLimits {
			got[l.ProjectID]++
			if l.Model == "dall-e-3" && l.TokensPerMinute == 0 && l.RequestsPerMinute == 500 {
				unlimited++
			}
		}
		if diff := cmp.Diff(rows, got); diff != "" {
			t.Errorf("rate limits by project (-want +got):\n%s", diff)
		}
		if unlimited != len(rows) {
			t.Errorf("%d projects without a limit of tokens for dall-e-3, want %d", unlimited, len(rows))
		}
		for _, name := range []string{fetcher.LookupProjects, fetcher.LookupRateLimits, fetcher.LookupSpendLimits} {
			if st := status(t, s, name); st.State != fetcher.StateOK {
				t.Errorf("%s: %+v", name, st)
			}
		}
		if n := seen.count("users 200") + seen.count("api_keys 200"); n > 0 {
			t.Errorf("%d requests for names that nobody asked for", n)
		}
	})
}

func TestASpendLimitThatIsNoMonthOfDollarsIsRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"threshold_amount":100,"currency":"eur","interval":"month"}`: `in the currency "eur"`,
		`{"threshold_amount":100,"currency":"USD","interval":"week"}`:  `the interval is "week"`,
		`{"threshold_amount":"many","currency":"USD"}`:                 "can't be used: threshold_amount is of the wrong type: string",
		`[]`: "can't be used: it is of the wrong type: array",
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(simulator.Options{})
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/organization/spend_limit" || !says(200, body)(w, r) {
					sim.Handler().ServeHTTP(w, r)
				}
			})
			seen := &witness{}
			d, entry := known(t, false)
			s := schedule(t, seen, fetcher.Organization{
				Name: "acme", Client: client(t, serve(t, handler), seen), Lookups: fetcher.Lookups{Directory: entry, LimitsInterval: 10 * time.Minute},
			})
			pass(time.Minute)
			if st := status(t, s, fetcher.LookupSpendLimits); st.State != fetcher.StateFailing || !strings.Contains(st.Error, want) {
				t.Errorf("%s: %+v", body, st)
			}
			if limits := d.Snapshot().Organizations[0].SpendLimits; len(limits) != 0 {
				t.Errorf("%s: limits %v", body, limits)
			}
		})
	}
}

// TestASpendLimitThatIsTakenAwayIsGone: the API answers 404, or a limit without an amount, where it has told one before.
func TestASpendLimitThatIsTakenAwayIsGone(t *testing.T) {
	t.Parallel()
	gone := map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"not found": says(http.StatusNotFound, `{"error":{"message":"no limit"}}`),
		"no amount": says(http.StatusOK, `{"threshold_amount":null,"currency":"USD","interval":"month"}`),
	}
	for name, answer := range gone {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(simulator.Options{})
			var taken atomic.Bool
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !taken.Load() || !strings.HasSuffix(r.URL.Path, "/spend_limit") || !answer(w, r) {
					sim.Handler().ServeHTTP(w, r)
				}
			})
			seen := &witness{}
			d, entry := known(t, false)
			s := schedule(t, seen, fetcher.Organization{
				Name: "acme", Client: client(t, serve(t, handler), seen), Lookups: fetcher.Lookups{Directory: entry, LimitsInterval: 10 * time.Minute},
			})
			pass(time.Minute)
			if limits := d.Snapshot().Organizations[0].SpendLimits; len(limits) < 2 {
				t.Fatalf("%s: limits %v", name, limits)
			}
			taken.Store(true)
			pass(20 * time.Minute)
			if st := status(t, s, fetcher.LookupSpendLimits); st.State != fetcher.StateOK {
				t.Errorf("%s: %+v", name, st)
			}
			if limits := d.Snapshot().Organizations[0].SpendLimits; len(limits) > 0 {
				t.Errorf("%s: limits that were taken away: %v", name, limits)
			}
		})
	}
}

func TestAnUnknownEnforcementIsNamedOnceAndTakenForNeither(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Options{})
		seen := &witness{}
		d, entry := known(t, false)
		w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/spend_limit") {
				sim.Handler().ServeHTTP(w, r)
				return
			}
			_, _ = w.Write([]byte(`{"threshold_amount":100,"currency":"USD","interval":"month","enforcement":{"status":"paused"}}`))
		}))
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, w, seen), Lookups: fetcher.Lookups{Directory: entry, LimitsInterval: time.Minute}})
		pass(10 * time.Minute)
		limits := d.Snapshot().Organizations[0].SpendLimits
		if len(limits) == 0 {
			t.Fatal("no limits were looked up")
		}
		for _, l := range limits {
			if l.Enforcement != "" || l.USD != 1 {
				t.Errorf("limit %+v", l)
			}
		}
		if n := len(seen.logged("paused")); n != 1 {
			t.Errorf("it was named %d times, want once", n)
		}
	})
}
