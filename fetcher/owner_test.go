// Twenty hours of all endpoints take long under the race detector, and a day of them is held to it elsewhere.

//go:build !race

package fetcher_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestTheKeyOfAnotherOrganizationIsCountedNowhere replaces the key by that of another organization for some hours, over
// HTTP: every endpoint fails and says what to do, no counter moves, and with the former key back nothing is missing.
func TestTheKeyOfAnotherOrganizationIsCountedNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC))
		begin := time.Now()
		end := begin.Add(20 * time.Hour)
		own := simulator.New(simulator.Options{Seed: 11, Begin: begin, End: end})
		other := simulator.New(simulator.Options{Seed: 12, Begin: begin.AddDate(0, 0, -30)})
		var replaced atomic.Bool
		either := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if replaced.Load() {
				other.Handler().ServeHTTP(w, r)
				return
			}
			own.Handler().ServeHTTP(w, r)
		})
		seen := &witness{}
		c := client(t, serve(t, either), seen)
		var all []ledger.FeedOptions
		for i := range api.Endpoints {
			o := options(t, api.Endpoints[i].Name)
			o.GroupBy = o.Endpoint.GroupBy(o.GroupBy)
			all = append(all, o)
		}
		a := open(t, counts, all...)
		s := fetcher.NewScheduler(fetcher.SchedulerOptions{Logger: seen.logger(), Observer: seen})
		s.Apply([]fetcher.Organization{{Name: "acme", Client: c, Endpoints: a.polled(t, 15*time.Minute)}})
		totals := func() map[string]string {
			out := map[string]string{}
			for i := range api.Endpoints {
				for _, m := range api.Endpoints[i].Measures {
					out[api.Endpoints[i].Name+" "+m.Name] = a.total(api.Endpoints[i].Name, m.Name)
				}
			}
			return out
		}

		pass(10 * time.Hour)
		before := totals()
		replaced.Store(true)
		from := time.Now()
		pass(4 * time.Hour)
		for name, total := range totals() {
			if total != before[name] {
				t.Errorf("%s went from %s to %s with the other organization's key", name, before[name], total)
			}
		}
		for i := range api.Endpoints {
			polls, failed := 0, 0
			for _, p := range seen.of(api.Endpoints[i].Name) {
				if p.at.After(from) {
					polls++
					if errors.Is(p.err, ledger.ErrForeign) {
						failed++
					}
				}
			}
			// A level has nothing on record that could tell: it follows the others.
			if enough := polls - 1; failed < enough || polls == 0 || failed < polls && !api.Endpoints[i].Stock {
				t.Errorf("%s: %d of %d polls said whose answers they got", api.Endpoints[i].Name, failed, polls)
			}
		}
		for _, line := range seen.logged("Polling fails") {
			if !strings.HasPrefix(line, "level=debug ") {
				t.Errorf("beside the ledger's own line there is %s", line)
			}
		}

		replaced.Store(false)
		pass(9 * time.Hour)
		s.Close()
		for i := range api.Endpoints {
			e := &api.Endpoints[i]
			if e.Stock {
				continue
			}
			want := map[string]decimal.Fixed{}
			for _, row := range own.Final(e.Name, all[i].GroupBy, begin, end) {
				for measure, v := range row.Values {
					want[measure] = want[measure].Add(v)
				}
			}
			if len(want) == 0 {
				t.Errorf("%s has no usage", e.Name)
			}
			for measure, n := range want {
				if got := a.total(e.Name, measure); got != n.String() {
					t.Errorf("%s: counted %s %s, the truth is %s", e.Name, got, measure, n)
				}
			}
		}
	})
}

// TestRowsSayWhoseTheyAre: the bill's rows carry the id of their organization. Rows of several leave it open.
func TestRowsSayWhoseTheyAre(t *testing.T) {
	for rows, want := range map[string]string{
		`{"amount":{"value":1,"currency":"usd"},"organization_id":"org-a"}`:                                                                         "org-a",
		`{"amount":{"value":1,"currency":"usd"},"organization_id":"org-a"},{"amount":{"value":1},"organization_id":"org-a"}`:                        "org-a",
		`{"amount":{"value":1,"currency":"usd"},"organization_id":null},{"amount":{"value":1},"organization_id":"org-a"},{"amount":{"value":2}}`:    "org-a",
		`{"amount":{"value":1,"currency":"usd"},"organization_id":""}`:                                                                              "",
		`{"amount":{"value":1,"currency":"usd"}}`:                                                                                                   "",
		`{"amount":{"value":1,"currency":"usd"},"organization_id":7}`:                                                                               "",
		`{"amount":{"value":1},"organization_id":"org-a"},{"amount":{"value":1},"organization_id":"org-b"}`:                                         "",
		`{"amount":{"value":1},"organization_id":"org-a"},{"amount":{"value":1},"organization_id":"org-b"},{"amount":{},"organization_id":"org-b"}`: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			day := midnight.AddDate(0, 0, -1)
			page := fmt.Sprintf(`{"object":"page","data":[{"object":"bucket","start_time":%d,"end_time":%d,"results":[%s]}],"has_more":false,"next_page":null}`, day.Unix(), midnight.Unix(), rows)
			c := client(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })), &witness{})
			r, err := c.Read(t.Context(), fetcher.Query{Endpoint: endpoint(t, "costs"), Window: ledger.Window{Width: api.CostDay, From: day, To: midnight}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Organization != want {
				t.Errorf("%s is of %q, want %q", rows, r.Organization, want)
			}
		})
	}
}
