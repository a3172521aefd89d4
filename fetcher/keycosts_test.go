package fetcher_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// keyed says what each key has cost on a day.
func keyed(costs []directory.KeyCost) map[string]string {
	out := map[string]string{}
	for _, c := range costs {
		out[c.KeyID] = c.USD
	}
	return out
}

// TestWhatEachKeyHasCostTodayIsLookedUp: in one request beside the keys, of the running UTC day and the chosen projects.
func TestWhatEachKeyHasCostTodayIsLookedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pass(time.Until(time.Date(2026, 11, 18, 22, 0, 0, 0, time.UTC)))
		sim := simulator.New(simulator.Options{})
		chosen := []string{sim.Projects()[1].ID, sim.Projects()[2].ID}
		seen := &witness{}
		d, entry := known(t, false)
		schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, sim.Handler()), seen),
			Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute, KeyCosts: true, CostFilters: api.Filters{api.FilterProjects: chosen}.Encode()},
		})
		pass(time.Minute)
		for _, day := range []time.Time{time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC)} {
			pass(time.Until(day.Add(22*time.Hour + time.Minute)))
			var asked []simulator.Request
			for _, r := range sim.Requests() {
				if r.Endpoint == api.Costs {
					asked = append(asked, r)
				}
			}
			if len(asked) == 0 || asked[len(asked)-1].Query.Get("start_time") != fmt.Sprint(day.Unix()) {
				t.Fatalf("the bill was asked for %d times, last with %v", len(asked), asked[max(len(asked)-1, 0):])
			}
			want := map[string]string{}
			at := asked[len(asked)-1].Time
			for _, r := range sim.Truth(api.Costs, []string{"project_id", "api_key_id"}, day, day.AddDate(0, 0, 1), at) {
				if r.Labels["project_id"] == chosen[0] || r.Labels["project_id"] == chosen[1] {
					want[r.Labels["api_key_id"]] = r.Values[api.MeasureCost].String()
				}
			}
			o := d.Snapshot().Organizations[0]
			if diff := cmp.Diff(want, keyed(o.KeyCosts)); diff != "" || !o.CostDay.Equal(day) || len(want) < 4 {
				t.Errorf("of %s, %d keys (-want +got):\n%s", o.CostDay, len(want), diff)
			}
		}
	})
}

// TestABillThatIsNotToldByKeyIsNoFailureOfTheKeys: the poll of the bill says what is wrong with it. Where nobody wants to know
// what keys cost, it is not asked for.
func TestABillThatIsNotToldByKeyIsNoFailureOfTheKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		wanted bool
		says   func(http.ResponseWriter, *http.Request) bool
	}{
		"refused":     {true, says(400, `{"error":{"message":"Invalid value: 'api_key_id'.","type":"invalid_request_error","param":"group_by"}}`)},
		"no such key": {true, says(401, `{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.usage.read."}}`)},
		"not wanted":  {false, says(500, "")},
	} {
		synctest.Test(t, func(t *testing.T) {
			pass(time.Until(time.Date(2026, 11, 18, 22, 0, 0, 0, time.UTC)))
			sim := simulator.New(simulator.Options{})
			seen := &witness{}
			d, entry := known(t, false)
			asked := 0
			s := schedule(t, seen, fetcher.Organization{
				Name: "acme", Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute, KeyCosts: tc.wanted},
				Client: client(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !strings.HasSuffix(r.URL.Path, "/costs") {
						sim.Handler().ServeHTTP(w, r)
						return
					}
					asked++
					tc.says(w, r)
				})), seen),
			})
			pass(time.Minute)
			if st := status(t, s, fetcher.LookupAPIKeys); st.State != fetcher.StateOK || tc.wanted != (asked > 0) {
				t.Errorf("%s: asked %d times, %+v", name, asked, st)
			}
			if o := d.Snapshot().Organizations[0]; len(o.Keys) == 0 || len(o.KeyCosts) > 0 {
				t.Errorf("%s: %d keys, costs %v", name, len(o.Keys), o.KeyCosts)
			}
		})
	}
}

// TestTheBillByKeyIsAskedAgainAfterAWrongDate: within the same look-up, and of the right day. What one answer says of the time
// raises a doubt; the next one settles it.
func TestTheBillByKeyIsAskedAgainAfterAWrongDate(t *testing.T) {
	for _, wrong := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			pass(time.Until(time.Date(2026, 11, 18, 22, 0, 0, 0, time.UTC)))
			sim := simulator.New(simulator.Options{})
			seen := &witness{}
			d, entry := known(t, false)
			// Servers of the same API whose clocks are wrong, each in its own way.
			var servers []*simulator.Simulator
			for _, ahead := range []time.Duration{26 * time.Hour, -26 * time.Hour}[:wrong] {
				servers = append(servers, simulator.New(simulator.Options{Clock: func() time.Time { return time.Now().Add(ahead) }}))
			}
			asked := 0
			schedule(t, seen, fetcher.Organization{
				Name: "acme", Lookups: fetcher.Lookups{Directory: entry, NamesInterval: time.Hour, KeyCosts: true},
				Client: client(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					server := sim
					if strings.HasSuffix(r.URL.Path, "/costs") {
						if asked++; asked <= wrong {
							server = servers[asked-1]
						}
					}
					server.Handler().ServeHTTP(w, r)
				})), seen),
			})
			pass(30 * time.Second)
			today := time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)
			if o := d.Snapshot().Organizations[0]; !o.CostDay.Equal(today) || len(o.KeyCosts) < 4 {
				t.Errorf("after %d wrong answers the bill was asked for %d times; of %s it knows %d keys", wrong, asked, o.CostDay, len(o.KeyCosts))
			}
		})
	}
}
