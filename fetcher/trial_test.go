package fetcher_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestADimensionIsGivenUpOnlyWhereTheRequestWithoutItIsAnswered(t *testing.T) {
	const refusal = `{"error":{"message":"Grouping by user_id is not supported","param":"group_by"}}`
	grouped := func(r *http.Request, d string) bool { return strings.Contains(r.URL.RawQuery, "group_by="+d) }
	for _, tc := range []struct {
		name   string
		before func(w http.ResponseWriter, r *http.Request) bool
		groups []string
		ok     bool
	}{
		{
			"refused with it only", func(w http.ResponseWriter, r *http.Request) bool {
				return grouped(r, "user_id") && says(400, refusal)(w, r)
			},
			[]string{"project_id", "model"},
			true,
		},
		{"refused with and without it", says(400, refusal), []string{"project_id", "user_id", "model"}, false},
		{
			"an outage without it", func(w http.ResponseWriter, r *http.Request) bool {
				return grouped(r, "user_id") && says(400, refusal)(w, r) || says(500, "")(w, r)
			},
			[]string{"project_id", "user_id", "model"},
			false,
		},
		{
			"another one is the culprit", func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case !grouped(r, "model"):
					return false
				case grouped(r, "user_id"):
					return says(400, refusal)(w, r)
				}
				return says(400, `{"error":{"message":"Invalid value: 'model'","param":"group_by"}}`)(w, r)
			},
			[]string{"project_id", "user_id"},
			true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := &witness{}
				o := options(t, "embeddings")
				o.GroupBy = []string{"project_id", "user_id", "model"}
				a := open(t, nil, o)
				polled := a.polled(t, time.Minute)
				polled[0].Feed = &unaudited{a.feeds[0]}
				s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{before: tc.before}), seen), Endpoints: polled})
				pass(3 * time.Minute)
				if diff := cmp.Diff(tc.groups, a.ledger.View().Feeds[0].GroupBy); diff != "" {
					t.Errorf("grouping (-want +got):\n%s", diff)
				}
				st := status(t, s, "embeddings")
				if (st.State == fetcher.StateOK) != tc.ok {
					t.Errorf("status: %+v", st)
				}
				if !tc.ok && !strings.Contains(st.Error, "user_id is not supported") {
					t.Errorf("the first refusal is not told: %s", st.Error)
				}
			})
		})
	}
}

// A resigned feed gives up every audit window that is refused.
type resigned struct {
	script

	given []ledger.Window
}

func (r *resigned) Refused(w ledger.Window) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = append(r.given, w)
	r.audits--
	return true, nil
}

func TestAFeedIsToldOfOldHoursThatTheAPIRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		told   int
	}{
		{"refused", 400, `{"error":{"message":"start_time is too old","param":"start_time"}}`, 3},
		{"gone", 404, "", 3},
		{"a dimension is refused, and the hours without it", 400, `{"error":{"message":"Grouping by model is not supported"}}`, 3},
		{"forbidden", 403, "", 0},
		{"broken", 500, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				polls := 0
				f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
					mu.Lock()
					defer mu.Unlock()
					if !r.URL.Query().Has("end_time") {
						polls++
						return false
					}
					return says(tc.status, tc.body)(w, r)
				}}
				feed, seen := &resigned{script: script{groupBy: []string{"model"}, audits: 3}}, &witness{}
				schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
				pass(50 * time.Second)
				feed.mu.Lock()
				defer feed.mu.Unlock()
				if len(feed.given) != tc.told {
					t.Errorf("told of %d windows, want %d", len(feed.given), tc.told)
				}
				for _, p := range seen.audited() {
					if p.err == nil {
						t.Error("a refused audit is told as a success")
					}
				}
				if len(seen.audited()) == 0 {
					t.Error("no audit is told")
				}
			})
		})
	}
}
