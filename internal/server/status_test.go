package server_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/server"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func described(t *testing.T) server.Options {
	t.Helper()
	s := organization(t)
	books := spend.New(s)
	books.Configure(spend.Settings{Budgets: []spend.Budget{
		{Name: "all <of it>", Organization: "acme", USD: 6000, Period: budget.Monthly},
		{Name: "a", Organization: "acme", ProjectIDs: []string{"proj_a"}, USD: 8.5, Period: budget.Monthly},
		{Name: "year", Organization: "acme", USD: 70000, Period: budget.Yearly},
	}})
	return server.Options{
		Views: s, Statuses: s, Allowances: s, Books: books, Version: "1.2.3", Started: noon.Add(-27*time.Hour - 5*time.Minute),
		Config: func() string { return "organizations:\n  - name: acme\n    api_key_env: <secret>\n" },
	}
}

func TestStatusAsJSONIsTheGoldenOne(t *testing.T) {
	a := start(t, described(t)).do(t, http.MethodGet, "/api/v1/status")
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	const golden = "testdata/status.json"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(a.body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), a.body); d != "" {
		t.Errorf("%s is not current, -update rewrites it (-file +now):\n%s", golden, d)
	}
	var back server.Report
	if err := json.Unmarshal([]byte(a.body), &back); err != nil {
		t.Error(err)
	}
}

func TestThePageSaysWhereEveryEndpointStands(t *testing.T) {
	a := start(t, described(t)).do(t, http.MethodGet, "/")
	for _, want := range []string{
		"1 of 3 endpoints failing", "1.2.3 · up 1 d 3 h", ">acme<",
		"up to date", "failing, 3 polls in a row", "not available to this organization",
		"12 s ago", "1 min 12 s ago", "in 48 s", "in 10 min", "2026-11-20 11:58:48 UTC",
		"HTTP 502 &lt;b&gt;Bad Gateway&lt;/b&gt;", "switch it off with enabled: false", "refuses to group by user_id",
		"$12.50", "$4,333.60", "1,312", "20,000", "4 folded into other",
		"1,234 input tokens", "&#43;56,789 −2,000 input tokens",
		"Found by the audit: ", "&#43;321 input tokens", "Counting since", "2026-11-19 16:00:00 UTC",
		"Requests left this minute", "43 <small>of 60, 3 waiting", "Most cost today, by project", "proj_a", "$9.99", "80 %", "no project", "20 %", "&lt;proj_b&gt;", "$0.01", "under 1 %",
		"Forecast for the month", "<caption>Budgets<", "all &lt;of it&gt;", "$4,333.60 <small>of $6,000.00 this month<", "72 %", "118 %", "forecast $229.77, spent 2026-11-1", "– <small>of $70,000.00 this year",
		"api_key_env: &lt;secret&gt;", `href="metrics"`, `href="api/v1/status"`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "ZgotmplZ"} {
		if strings.Contains(strings.ReplaceAll(a.body, "xmlns='http://www.w3.org/2000/svg'", ""), never) {
			t.Errorf("the page has %s", never)
		}
	}
}

func TestThePageSaysWhyNothingIsKnownOfABudget(t *testing.T) {
	s := organization(t)
	s.view.Store(&ledger.View{Generation: 1, Organizations: []ledger.OrganizationView{{Name: "acme"}}, Feeds: s.View().Feeds[:1]})
	books := spend.New(s)
	books.Configure(spend.Settings{Budgets: []spend.Budget{{Name: "all", Organization: "acme", USD: 6000, Period: budget.Monthly}}})
	r := start(t, server.Options{Views: s, Statuses: s, Books: books})
	const why = "not known: this exporter does not read the bill"
	s.set(fetcher.Status{Organization: "acme", Endpoint: "completions", State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon})
	if a := r.do(t, http.MethodGet, "/"); !strings.Contains(a.body, why) {
		t.Errorf("without costs the page does not say why:\n%s", a.body)
	}
	s.set(fetcher.Status{Organization: "acme", Endpoint: "costs", State: fetcher.StateStarting})
	if a := r.do(t, http.MethodGet, "/"); strings.Contains(a.body, "not known") || !strings.Contains(a.body, "of $6,000.00 this month") {
		t.Errorf("before the first poll of the bill the page says more than that nothing is there:\n%s", a.body)
	}
}

func TestThePageStandsBeforeAnythingIsKnown(t *testing.T) {
	s := new(source)
	r := start(t, server.Options{Views: s, Statuses: s})
	if a := r.do(t, http.MethodGet, "/"); a.code != http.StatusOK || !strings.Contains(a.body, "Polling has not begun") {
		t.Errorf("status %d", a.code)
	}
	s.set(fetcher.Status{Organization: `<acme> "1"`, Endpoint: "costs", State: fetcher.StateStarting})
	a := r.do(t, http.MethodGet, "/")
	if !strings.Contains(a.body, "Starting: 0 of 1 endpoint polled") || !strings.Contains(a.body, "waiting for the first poll") || !strings.Contains(a.body, "never") {
		t.Errorf("the page does not say that it starts:\n%s", a.body)
	}
	if strings.Contains(a.body, "<acme>") {
		t.Error("a name is not escaped")
	}
	a = r.do(t, http.MethodGet, "/api/v1/status")
	if !strings.Contains(a.body, `"ready": false`) || strings.Contains(a.body, "cost_today_usd") || strings.Contains(a.body, "0001-01-01") {
		t.Errorf("status: %s", a.body)
	}
}

func TestAWrongLocalClockShowsInNoAge(t *testing.T) {
	for _, wrong := range []time.Duration{-time.Hour, time.Hour, 13 * 24 * time.Hour} {
		local := noon.Add(wrong)
		s := new(source)
		s.set(fetcher.Status{Organization: "acme", Endpoint: "costs", State: fetcher.StateOK, LastPoll: local.Add(-30 * time.Second), LastSuccess: local.Add(-30 * time.Second), NextPoll: local.Add(20 * time.Second)})
		r := start(t, server.Options{Views: s, Statuses: s, Started: local.Add(-10 * time.Minute), Local: func() time.Time { return local }})
		page := r.do(t, http.MethodGet, "/").body
		for _, want := range []string{"up 10 min", "30 s ago", "in 20 s"} {
			if !strings.Contains(page, want) {
				t.Errorf("with a clock %s ahead the page does not say %q", wrong, want)
			}
		}
		var report server.Report
		if err := json.Unmarshal([]byte(r.do(t, http.MethodGet, "/api/v1/status").body), &report); err != nil {
			t.Fatal(err)
		}
		if report.UptimeSeconds != 600 || !report.Started.Equal(noon.Add(-10*time.Minute)) || !report.Organizations[0].Endpoints[0].LastPoll.Equal(noon.Add(-30*time.Second)) {
			t.Errorf("with a clock %s ahead the status says %+v", wrong, report)
		}
	}
}

func TestTroubleThatEndpointsShareIsSaidOnce(t *testing.T) {
	const trouble = "the admin key can't be read: it is empty"
	s := new(source)
	var statuses []fetcher.Status
	for _, name := range []string{"completions", "embeddings", "images"} {
		statuses = append(statuses, fetcher.Status{Organization: "acme", Endpoint: name, State: fetcher.StateFailing, Failures: 1, Error: trouble})
	}
	statuses = append(statuses, fetcher.Status{Organization: "acme", Endpoint: "costs", State: fetcher.StateFailing, Failures: 1, Error: "something else"})
	s.set(statuses...)
	r := start(t, server.Options{Views: s, Statuses: s})
	page := r.do(t, http.MethodGet, "/").body
	if n := strings.Count(page, "the admin key can&#39;t be read"); n != 1 || !strings.Contains(page, "something else") {
		t.Errorf("the page says it %d times:\n%s", n, page)
	}
	if status := r.do(t, http.MethodGet, "/api/v1/status").body; strings.Count(status, trouble) != 4 {
		t.Errorf("the JSON leaves out whose trouble it is:\n%s", status)
	}
}
