package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/server"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// known stands for what the look-ups found.
type known []*directory.Organization

func (k known) Snapshot() *directory.Snapshot { return &directory.Snapshot{Organizations: k} }

func labels(namesAndValues ...string) []ledger.Label {
	var out []ledger.Label
	for i := 0; i < len(namesAndValues); i += 2 {
		out = append(out, ledger.Label{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return out
}

// spending are the feeds of an organization that has spent money for forty days: proj_a 10 and proj_b 3 a day. Of today the
// bill has only 4 of proj_a, where usage says 6.
func spending(t *testing.T, name string) []*ledger.FeedView {
	t.Helper()
	today := noon.Truncate(24 * time.Hour)
	costs, _ := api.Find(api.Costs)
	completions, _ := api.Find("completions")
	bill := &ledger.FeedView{
		Organization: name, Endpoint: costs, GroupBy: []string{"project_id", "line_item", "api_key_id"}, ReadAt: noon, ReadThrough: today,
		ByMeasure: make([]ledger.MeasureView, len(costs.Measures)),
	}
	usage := &ledger.FeedView{
		Organization: name, Endpoint: completions, GroupBy: []string{"project_id"}, ReadAt: noon, ReadThrough: noon.Add(-time.Minute),
		ByMeasure: make([]ledger.MeasureView, len(completions.Measures)),
	}
	row := func(usd string, l ...string) ledger.Row {
		return ledger.Row{Labels: labels(l...), Measures: []int{0}, Values: []decimal.Fixed{amount(t, usd)}}
	}
	for i := 39; i > 0; i-- {
		start := today.AddDate(0, 0, -i)
		bill.Days = append(bill.Days, ledger.Day{Start: start, Rows: []ledger.Row{row("10", "project_id", "proj_a"), row("3", "project_id", "proj_b")}})
		bill.Books = append(bill.Books, ledger.NewDayBook(start, noon, 0, map[string]ledger.Amounts{"proj_a": {Charged: amount(t, "10")}, "proj_b": {Charged: amount(t, "3")}}, nil))
		usage.Books = append(usage.Books, ledger.NewDayBook(start, noon, 24, map[string]ledger.Amounts{"proj_a": {Estimated: amount(t, "10")}, "proj_b": {Estimated: amount(t, "3")}}, nil))
	}
	bill.Days = append(bill.Days, ledger.Day{Start: today, Rows: []ledger.Row{
		row("3", "project_id", "proj_a", "line_item", "gpt-5.2-2025-12-11, input", "api_key_id", "key_1"),
		row("1", "project_id", "proj_a", "line_item", "gpt-5.2-2025-12-11, output", "api_key_id", "key_2"),
		row("-0.5", "project_id", "proj_b", "line_item", "whisper", "api_key_id", "key_2"),
	}})
	bill.Books = append(bill.Books, ledger.NewDayBook(today, noon, 0, map[string]ledger.Amounts{"proj_a": {Charged: amount(t, "4")}, "proj_b": {Credited: amount(t, "0.5")}}, map[ledger.Item]ledger.Sale{
		{LineItem: "gpt-5.2-2025-12-11, input", Unit: "input_tokens"}:   {USD: amount(t, "3")},
		{LineItem: "gpt-5.2-2025-12-11, output", Unit: "output_tokens"}: {USD: amount(t, "1")},
	}))
	usage.Books = append(usage.Books, ledger.NewDayBook(today, noon, 11, map[string]ledger.Amounts{"proj_a": {Estimated: amount(t, "6")}}, nil))
	return []*ledger.FeedView{bill, usage}
}

// spenders is a source of organizations that spend money.
func spenders(t *testing.T, names ...string) *source {
	t.Helper()
	s := new(source)
	v := &ledger.View{Generation: 1}
	var statuses []fetcher.Status
	for _, name := range names {
		v.Organizations = append(v.Organizations, ledger.OrganizationView{Name: name, Limit: 20000})
		v.Feeds = append(v.Feeds, spending(t, name)...)
		for _, endpoint := range []string{"completions", api.Costs} {
			statuses = append(statuses, fetcher.Status{Organization: name, Endpoint: endpoint, State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon, NextPoll: noon.Add(time.Minute)})
		}
	}
	s.view.Store(v)
	s.set(statuses...)
	return s
}

func spent(s *source, of ...*directory.Organization) server.Options {
	return server.Options{Views: s, Statuses: s, Books: spend.New(s), Directory: known(of)}
}

func acme() *directory.Organization {
	return &directory.Organization{
		Name:     "acme",
		Projects: []directory.Project{{ID: "proj_a", Name: "Search <beta>"}, {ID: "proj_b", Name: "Support"}},
		Keys:     []directory.Key{{ID: "key_1", Name: "crawler", ProjectID: "proj_a"}, {ID: "key_2"}},
	}
}

// status is an organization's part of the JSON.
func (r *running) status(t *testing.T, path string) []server.Organization {
	t.Helper()
	var report server.Report
	if err := json.Unmarshal([]byte(r.do(t, http.MethodGet, path).body), &report); err != nil {
		t.Fatal(err)
	}
	return report.Organizations
}

func TestThePageSaysByNameWhoSpendsWhat(t *testing.T) {
	r := start(t, spent(spenders(t, "acme"), acme()))
	page := r.do(t, http.MethodGet, "/").body
	for _, want := range []string{
		"$3.50 <small>&#43; $2.00 not billed yet</small>",
		"Most cost today, by project", "Search &lt;beta&gt; <small>proj_a</small>",
		"Most cost today, by model", "gpt-5.2-2025-12-11",
		"Most cost today, by API key", "crawler <small>Search &lt;beta&gt; · key_1</small>", ">key_2<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	o := r.status(t, "/api/v1/status")[0]
	if len(o.TopProjects) != 1 || o.TopProjects[0].Name != "Search <beta>" || o.TopProjects[0].Share != 1 {
		t.Errorf("projects: %+v", o.TopProjects)
	}
	if len(o.TopModels) != 1 || o.TopModels[0].Model != "gpt-5.2-2025-12-11" || o.TopModels[0].USD != "4" {
		t.Errorf("models: %+v", o.TopModels)
	}
	if len(o.TopKeys) != 2 || o.TopKeys[0].Name != "crawler" || o.TopKeys[0].Project != "Search <beta>" || o.TopKeys[0].Share != 0.75 {
		t.Errorf("keys: %+v", o.TopKeys)
	}
}

// TestKeysThatTheSeriesDoNotShowAreNamedToo: as the look-ups found them on the bill of today, and of no other day.
func TestKeysThatTheSeriesDoNotShowAreNamedToo(t *testing.T) {
	for name, tc := range map[string]struct {
		day   time.Time
		costs []directory.KeyCost
		want  []server.Key
	}{
		"today": {noon, []directory.KeyCost{{KeyID: "key_1", USD: "3"}, {KeyID: "", USD: "1"}, {KeyID: "key_2", USD: "-2"}}, []server.Key{
			{ID: "key_1", Name: "crawler", Project: "Search <beta>", USD: "3", Share: 0.75}, {ID: "", USD: "1", Share: 0.25},
		}},
		"yesterday": {noon.AddDate(0, 0, -1), []directory.KeyCost{{KeyID: "key_1", USD: "3"}}, nil},
		"no keys":   {noon, []directory.KeyCost{{KeyID: "", USD: "3"}}, nil},
	} {
		s := spenders(t, "acme")
		for _, f := range s.View().Feeds {
			for _, d := range f.Days {
				for i := range d.Rows {
					d.Rows[i].Labels = d.Rows[i].Labels[:min(len(d.Rows[i].Labels), 2)] // Without the key.
				}
			}
		}
		o := acme()
		o.CostDay, o.KeyCosts = tc.day.Truncate(24*time.Hour), tc.costs
		if diff := cmp.Diff(tc.want, start(t, spent(s, o)).status(t, "/api/v1/status")[0].TopKeys); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", name, diff)
		}
	}
}

var (
	bars  = regexp.MustCompile(`<g><title>([^<]*)</title>(.*?)</g>`)
	rects = regexp.MustCompile(`<rect class="([^"]*)"`)
)

func TestTheChartTellsTheBillFromTheEstimateAndTheForecast(t *testing.T) {
	r := start(t, spent(spenders(t, "acme"), acme()))
	page := r.do(t, http.MethodGet, "/").body
	got := make(map[string][]string)
	var order []string
	for _, m := range bars.FindAllStringSubmatch(page, -1) {
		order = append(order, m[1])
		for _, c := range rects.FindAllStringSubmatch(m[2], -1) {
			got[m[1]] = append(got[m[1]], c[1])
		}
	}
	const closed, running = "2026-11-19: $13.00 billed", "2026-11-20: $3.50 billed, $2.00 estimated, not billed yet, "
	if len(order) != 35+1+10 || !strings.HasPrefix(order[0], "2026-10-16: ") || !strings.HasPrefix(order[35], running) || !strings.HasPrefix(order[45], "2026-11-30: $0.00 billed, $13.00 expected") {
		t.Fatalf("the days are %q", order)
	}
	// The credit of proj_b takes nothing from what proj_a has.
	for bar, want := range map[string][]string{
		closed: {"c0", "c1"}, order[35]: {"c0", "c0 estimate", "expected"}, order[45]: {"expected"},
	} {
		if !slices.Equal(got[bar], want) {
			t.Errorf("%s has the pieces %v, want %v", bar, got[bar], want)
		}
	}
	for _, want := range []string{
		`role="img" aria-labelledby="chart-0"`, `id="chart-0">Spend per day`, ">Search &lt;beta&gt;</li>", "estimated, not billed yet</li>", "forecast</li>",
		`<th scope="row">2026-11-20</th><td class="number">$3.50</td><td class="number">$2.00</td>`, "Spend per day in numbers", ">16 Nov<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	days := r.status(t, "/api/v1/status")[0].Days
	if len(days) != len(order) || len(days[35].Parts) != 2 {
		t.Fatalf("the JSON has the days %+v", days)
	}
	if p := days[35].Parts[0]; p.Project != "proj_a" || p.Name != "Search <beta>" || p.BilledUSD != "4" || p.UnbilledUSD != "2" {
		t.Errorf("proj_a has %+v today", p)
	}
}

func TestTheChartIsByTeamWhereThereAreTeams(t *testing.T) {
	o := acme()
	o.Teams, o.Unowned = []directory.Team{{Name: "search", ProjectIDs: []string{"proj_a"}}}, "unallocated"
	r := start(t, spent(spenders(t, "acme"), o))
	page := r.do(t, http.MethodGet, "/").body
	for _, want := range []string{">search</li>", ">unallocated</li>", `<span class="team">search</span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	for _, d := range r.status(t, "/api/v1/status")[0].Days {
		sum := 0.0
		for _, p := range d.Parts {
			if p.Team != "search" && p.Team != "unallocated" || p.Project != "" {
				t.Errorf("%s: %+v", d.Date, p)
			}
			usd, _ := p.BilledUSD.Float64()
			sum += usd
		}
		if billed, _ := d.BilledUSD.Float64(); sum-billed > 1e-9 || billed-sum > 1e-9 {
			t.Errorf("%s: the teams have %v of %v", d.Date, sum, billed)
		}
	}
}

func TestADayOfWhichNobodyCanTellTheProjectsApartIsDrawnToo(t *testing.T) {
	s := spenders(t, "acme")
	view := *s.View()
	bill := *view.Feeds[0]
	bill.Books = slices.Clone(bill.Books)
	refused := *ledger.NewDayBook(bill.Books[30].Start, noon, 0, map[string]ledger.Amounts{"": {Charged: amount(t, "13")}}, nil)
	refused.Split = false
	bill.Books[30] = &refused
	view.Feeds = []*ledger.FeedView{&bill, view.Feeds[1]}
	s.view.Store(&view)
	r := start(t, spent(s, acme()))
	page := r.do(t, http.MethodGet, "/").body
	title := refused.Start.Format(time.DateOnly) + ": $13.00 billed"
	drawn := false
	for _, m := range bars.FindAllStringSubmatch(page, -1) {
		drawn = drawn || m[1] == title && len(rects.FindAllString(m[2], -1)) == 1
	}
	if !drawn || !strings.Contains(page, ">not told apart</li>") {
		t.Errorf("the chart has no bar of one piece for %q", title)
	}
	for _, d := range r.status(t, "/api/v1/status")[0].Days {
		if d.Date == refused.Start.Format(time.DateOnly) && (len(d.Parts) != 0 || d.BilledUSD != "13") {
			t.Errorf("the JSON has %+v", d)
		}
	}
}

func TestThePageSaysWhomTheAPIRefuses(t *testing.T) {
	o := acme()
	o.SpendLimits = []directory.SpendLimit{
		{USD: 5000, Enforcement: directory.Inactive}, {ProjectID: "proj_b", USD: 200, Enforcement: directory.Enforcing}, {ProjectID: "proj_c", USD: 7, Enforcement: directory.Enforcing},
	}
	r := start(t, spent(spenders(t, "acme"), o))
	page := r.do(t, http.MethodGet, "/").body
	for _, want := range []string{"<title>OpenAI refuses requests; 2 endpoints up to date –", `class="verdict failing"`, "refuses requests now</strong> of project Support (proj_b): its spend limit of $200.00", "of project proj_c: its spend limit of $7.00"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	if strings.Contains(page, "$5,000.00") || len(r.status(t, "/api/v1/status")[0].Refused) != 2 {
		t.Error("a limit that is not enforced is told as one that is")
	}
	if at, chart := strings.Index(page, "refuses requests now"), strings.Index(page, "<figure>"); at > chart {
		t.Error("the refusal is below the chart")
	}
}

func TestThePageSaysWhatIsReadWhereNotAllIs(t *testing.T) {
	o := acme()
	o.Only = []string{"proj_a", "proj_new"}
	s := spenders(t, "acme")
	view := *s.View()
	usage := *view.Feeds[1]
	usage.Filters = api.Filters{api.FilterProjects: o.Only, "models": {"gpt-5.2", "gpt-5-mini"}, api.FilterBatch: {"false"}}.Encode()
	view.Feeds = []*ledger.FeedView{view.Feeds[0], &usage}
	s.view.Store(&view)
	r := start(t, spent(s, o))
	page := r.do(t, http.MethodGet, "/").body
	for _, want := range []string{
		"Only these projects are read: Search &lt;beta&gt;, proj_new<",
		"Of completions only this is read: batch false, and models gpt-5-mini or gpt-5.2<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	for _, e := range r.status(t, "/api/v1/status")[0].Endpoints {
		if _, projects := e.Filters[api.FilterProjects]; projects || len(e.Filters) != map[string]int{"completions": 2}[e.Name] {
			t.Errorf("%s has the filters %v", e.Name, e.Filters)
		}
	}
}

var opened = regexp.MustCompile(`<details class="endpoints-of"( open)?>\s*<summary>([^<]*)</summary>(?s:(.*?))</details>`)

func TestOnlyEndpointsInTroubleAreOpen(t *testing.T) {
	page := start(t, described(t)).do(t, http.MethodGet, "/").body
	found := opened.FindAllStringSubmatch(page, -1)
	if len(found) != 2 {
		t.Fatalf("there are %d lists of endpoints", len(found))
	}
	for i, want := range []struct{ open, title, has string }{
		{" open", "1 endpoint failing", ">images<"}, {"", "2 endpoints up to date, 1 not available", ">completions<"},
	} {
		if f := found[i]; f[1] != want.open || f[2] != want.title || !strings.Contains(f[3], want.has) {
			t.Errorf("the list of endpoints %q is%s open: %s", f[2], f[1], f[3])
		}
	}
}

var row = regexp.MustCompile(`<th scope="row" class="name"><a href="([^"]*)">([^<]*)</a></th><td><span class="state [a-z]+">([^<]*)</span></td><td class="number">([^<]*)</td>`)

func TestManyOrganizationsHaveAnIndexAndAPageEach(t *testing.T) {
	const many = 1000
	var names []string
	var of known
	for i := range many {
		o := acme()
		o.Name = fmt.Sprintf("org %d & sons", i)
		names, of = append(names, o.Name), append(of, o)
	}
	of[700].SpendLimits = []directory.SpendLimit{{USD: 5, Enforcement: directory.Enforcing}}
	s := spenders(t, names...)
	statuses := slices.Clone(s.Status())
	statuses[2*500].State = fetcher.StateFailing
	s.set(statuses...)
	// One has spent more than the others.
	view := *s.View()
	view.Feeds = slices.Clone(view.Feeds)
	bill := *view.Feeds[2*300]
	bill.Days = slices.Clone(bill.Days)
	bill.Days[30].Rows = append(slices.Clone(bill.Days[30].Rows), ledger.Row{Labels: labels("project_id", "proj_b"), Measures: []int{0}, Values: []decimal.Fixed{amount(t, "1000")}})
	view.Feeds[2*300] = &bill
	s.view.Store(&view)

	r := start(t, server.Options{Views: s, Statuses: s, Books: spend.New(s), Directory: of})
	began := time.Now()
	page := r.do(t, http.MethodGet, "/").body
	t.Logf("the index of %d organizations takes %s and %d bytes", many, time.Since(began), len(page))
	rows := row.FindAllStringSubmatch(page, -1)
	if len(rows) != many || strings.Contains(page, "<figure") {
		t.Fatalf("the index has %d rows", len(rows))
	}
	for i, want := range [][]string{
		{"?organization=org%20700%20%26%20sons", "org 700 &amp; sons", "OpenAI refuses requests", "$3.50"},
		{"?organization=org%20500%20%26%20sons", "org 500 &amp; sons", "1 of 2 endpoints failing", "$3.50"},
		{"?organization=org%20300%20%26%20sons", "org 300 &amp; sons", "up to date", "$3.50"},
	} {
		if !slices.Equal(rows[i][1:], want) {
			t.Errorf("row %d is %q, want %q", i, rows[i][1:], want)
		}
	}

	began = time.Now()
	one := r.do(t, http.MethodGet, "/"+rows[1][1]).body
	t.Logf("the page of one takes %s", time.Since(began))
	for _, want := range []string{"1 of 2 endpoints failing", ">org 500 &amp; sons</h2>", "<figure>", `<a href="./">All organizations</a>`, `href="api/v1/status?organization=org%20500%20%26%20sons"`} {
		if !strings.Contains(one, want) {
			t.Errorf("the page of one organization does not say %s", want)
		}
	}
	if strings.Contains(one, "org 501") {
		t.Error("the page of one organization tells of another")
	}
	all, single := r.status(t, "/api/v1/status"), r.status(t, "/api/v1/status?organization=org%20500%20%26%20sons")
	if len(all) != many || len(all[500].Days) != 0 || len(single) != 1 || len(single[0].Days) == 0 {
		t.Errorf("the JSON has %d organizations, and %d of one", len(all), len(single))
	}
	for _, path := range []string{"/?organization=nobody", "/api/v1/status?organization=nobody"} {
		if a := r.do(t, http.MethodGet, path); a.code != http.StatusNotFound || !strings.Contains(a.body, "no organization of this name") {
			t.Errorf("%s answers %d: %s", path, a.code, a.body)
		}
	}
}
