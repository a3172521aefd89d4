package collector_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

var update = flag.Bool("update", false, "rewrite the golden files and the metrics reference")

// source stands at the ledger's and the scheduler's end: it shows what a test puts in.
type source struct {
	view     atomic.Pointer[ledger.View]
	names    atomic.Pointer[directory.Snapshot]
	statuses []fetcher.Status
	now      time.Time
}

func (s *source) View() *ledger.View       { return s.view.Load() }
func (s *source) Status() []fetcher.Status { return s.statuses }

func (s *source) Snapshot() *directory.Snapshot {
	if n := s.names.Load(); n != nil {
		return n
	}
	return &directory.Snapshot{}
}

func newCollector(s *source) *collector.Collector {
	books := spend.New(s)
	books.Configure(spend.Settings{Learn: true, Budgets: []spend.Budget{
		{Name: "all", Organization: "acme", USD: 500, Period: budget.Monthly},
		{Name: "b", Organization: "acme", Team: "search", ProjectIDs: []string{"proj_b", "proj_c"}, USD: 50, Period: budget.Monthly},
		{Name: "older than the bill", Organization: "acme", USD: 9000, Period: budget.Yearly},
	}})
	return collector.New(collector.Options{
		Views: s, Statuses: s, Directory: s, Books: books,
		StateBytes: func() int64 { return 65536 },
		Now:        func() time.Time { return s.now },
	})
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func amount(t testing.TB, s string) decimal.Fixed {
	t.Helper()
	f, err := decimal.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func find(t testing.TB, name string) *api.Endpoint {
	t.Helper()
	e, ok := api.Find(name)
	if !ok {
		t.Fatalf("no endpoint %q", name)
	}
	return e
}

// labels reads "a=1 b=2".
func labels(s string) []ledger.Label {
	var out []ledger.Label
	for _, f := range strings.Fields(s) {
		name, value, _ := strings.Cut(f, "=")
		out = append(out, ledger.Label{Name: name, Value: strings.ReplaceAll(value, "+", " ")})
	}
	return out
}

func values(t testing.TB, vs ...string) []decimal.Fixed {
	t.Helper()
	var out []decimal.Fixed
	for _, v := range vs {
		out = append(out, amount(t, v))
	}
	return out
}

func billRow(t *testing.T, ls, usd string) ledger.Row {
	t.Helper()
	return ledger.Row{Labels: labels(ls), Measures: []int{0}, Values: values(t, usd)}
}

func usageBook(t *testing.T, day time.Time, hours int, usd map[string]string) *ledger.DayBook {
	t.Helper()
	projects := map[string]ledger.Amounts{}
	for project, v := range usd {
		projects[project] = ledger.Amounts{Estimated: amount(t, v)}
	}
	return ledger.NewDayBook(day, time.Time{}, hours, projects, nil)
}

// billBook is a day of the bill of one project and line item.
func billBook(t *testing.T, day time.Time, usd, credited, quantity string) *ledger.DayBook {
	t.Helper()
	projects := map[string]ledger.Amounts{"proj_a": {Charged: amount(t, usd), Credited: amount(t, credited)}}
	sales := map[ledger.Item]ledger.Sale{{LineItem: "gpt-5,input"}: {USD: amount(t, usd)}}
	if quantity != "" {
		sales = map[ledger.Item]ledger.Sale{{LineItem: "gpt-5, input", Unit: "tokens"}: {USD: amount(t, usd), Quantity: amount(t, quantity)}}
	}
	return ledger.NewDayBook(day, noon, 0, projects, sales)
}

// organizationView is a small organization with something in every corner of the table.
func organizationView(t *testing.T) *ledger.View {
	t.Helper()
	completions, transcriptions, stores, costs := find(t, "completions"), find(t, "audio_transcriptions"), find(t, "vector_stores"), find(t, api.Costs)
	born, midnight := noon.Add(-48*time.Hour), noon.Truncate(24*time.Hour)
	byMeasure := make([]ledger.MeasureView, len(completions.Measures))
	byMeasure[1] = ledger.MeasureView{Withheld: amount(t, "12"), RestatedUp: amount(t, "300"), RestatedDown: amount(t, "40"), AuditUp: amount(t, "5")}
	every := make([]int, len(completions.Measures))
	counts := make([]decimal.Fixed, len(every))
	for i := range every {
		every[i], counts[i] = i, decimal.FromInt(int64(1000*(i+1)))
	}
	return &ledger.View{
		Generation:    7,
		Organizations: []ledger.OrganizationView{{Name: "acme", LabelSets: 6, Limit: 20000, Overflow: 1}},
		Feeds: []*ledger.FeedView{
			{
				Organization: "acme", Endpoint: completions, GroupBy: []string{"project_id", "model"},
				BegunAt: born, ReadThrough: noon.Add(-time.Minute), Audited: noon.Add(-3 * time.Hour),
				Series: []*ledger.Series{
					{Labels: labels("project_id=proj_b model=gpt-5"), Measures: every, Values: counts, Born: born},
					{Labels: labels("project_id=proj_a model=gpt-5"), Measures: []int{0, 1}, Values: values(t, "3", "27444"), Born: born},
					{Labels: labels("model=gpt-5"), Measures: []int{0}, Values: values(t, "0"), Born: noon},
				},
				LastBucket:   []ledger.Row{{Labels: labels("project_id=proj_b model=gpt-5"), Measures: every, Values: counts}},
				ByMeasure:    byMeasure,
				ReadAt:       noon,
				HoursGivenUp: 2,
				Derived: []*ledger.Series{
					{Labels: labels("project_id=proj_a model=gpt-5"), Measures: []int{api.DerivedCost}, Values: values(t, "1.75"), Born: born},
					{Labels: labels("model=gpt-x"), Measures: []int{api.DerivedUnpriced}, Values: values(t, "900"), Born: born},
				},
				DerivedWithheld: values(t, "0.25", "0"),
				Books: []*ledger.DayBook{
					usageBook(t, midnight.AddDate(0, 0, -2), 24, map[string]string{"proj_a": "4.5"}),
					usageBook(t, midnight.AddDate(0, 0, -1), 24, map[string]string{"proj_a": "3"}),
					usageBook(t, midnight, 12, map[string]string{"proj_a": "1.75", "proj_b": "10"}),
				},
			},
			{
				Organization: "acme", Endpoint: transcriptions, ReadThrough: noon.Add(-time.Minute),
				Series: []*ledger.Series{
					{Labels: labels("model=whisper-1"), Measures: []int{0, 1}, Values: values(t, "4", "90.5"), Born: born},
					{Labels: labels("project_id=other model=other"), Measures: []int{0, 1}, Values: values(t, "1", "2"), Born: born},
				},
				LastBucket: []ledger.Row{{Labels: labels("model=whisper-1"), Measures: []int{0, 1}, Values: values(t, "1", "30.25")}},
				ByMeasure:  make([]ledger.MeasureView, len(transcriptions.Measures)),
			},
			{
				Organization: "acme", Endpoint: stores, ReadThrough: noon,
				Stock:     []ledger.Row{{Labels: labels("project_id=proj_a"), Measures: []int{0}, Values: values(t, "1048576")}},
				ByMeasure: make([]ledger.MeasureView, len(stores.Measures)),
			},
			{
				Organization: "acme", Endpoint: costs, ReadThrough: noon.Truncate(24 * time.Hour),
				Series: []*ledger.Series{
					{Labels: labels("project_id=proj_a line_item=gpt-5,input"), Measures: []int{0}, Values: values(t, "12.5"), Born: born},
					{Labels: labels("line_item=gpt-5,input unit=tokens"), Measures: []int{1}, Values: values(t, "1000"), Born: born},
				},
				Days: []ledger.Day{
					{Start: noon.AddDate(0, -1, 0).Truncate(24 * time.Hour), Rows: []ledger.Row{billRow(t, "project_id=proj_a line_item=gpt-5,input", "1000")}},
					{Start: midnight.AddDate(0, 0, -2), Rows: []ledger.Row{
						billRow(t, "project_id=proj_a line_item=gpt-5,+input", "5"),
						{Labels: labels("line_item=gpt-5,+input unit=tokens"), Measures: []int{1}, Values: values(t, "4000000")},
					}},
					{Start: midnight.AddDate(0, 0, -1), Rows: []ledger.Row{
						billRow(t, "project_id=proj_a line_item=gpt-5,input", "2.25"),
						billRow(t, "project_id=proj_a line_item=credit", "-0.25"),
					}},
					{Start: noon.Truncate(24 * time.Hour), Rows: []ledger.Row{
						billRow(t, "project_id=proj_a line_item=gpt-5,input", "0.5"),
						{Labels: labels("line_item=gpt-5,input unit=tokens"), Measures: []int{1}, Values: values(t, "77")},
					}},
				},
				Books: []*ledger.DayBook{
					billBook(t, noon.AddDate(0, -1, 0).Truncate(24*time.Hour), "1000", "0", ""),
					billBook(t, midnight.AddDate(0, 0, -2), "5", "0", "4000000"),
					billBook(t, midnight.AddDate(0, 0, -1), "2.25", "0.25", ""),
					billBook(t, midnight, "0.5", "0", "77"),
				},
				ByMeasure: make([]ledger.MeasureView, len(costs.Measures)),
				ReadAt:    noon,
			},
		},
	}
}

// namesOfOrganization are of every kind, with everything that can be missing.
func namesOfOrganization() *directory.Snapshot {
	return &directory.Snapshot{Organizations: []*directory.Organization{
		{
			Name: "acme", Listed: true,
			Projects: []directory.Project{
				{ID: "proj_a", Name: `Search "beta"`, Status: "active", Residency: "EU_STORAGE_PROCESSING"},
				{ID: "proj_b", Name: "Prototype", Status: "archived"},
				{ID: "proj_c"},
			},
			Users: []directory.User{
				{ID: "user-1", Name: "Aiko Tanaka", Role: "owner", ServiceAccount: "false"},
				{ID: "user-2", Email: "ben@example.com", Role: "reader"},
			},
			Keys: []directory.Key{
				{ID: "key_1", Name: "production", ProjectID: "proj_a", OwnerType: "service_account", OwnerID: "user-9", OwnerName: "search-beta", Created: noon.Add(-24 * time.Hour).Unix(), LastUsed: noon.Unix()},
				{ID: "key_2", ProjectID: "proj_b"},
				{ID: "key_3", Name: "exporter", OwnerType: "user", OwnerID: "user-1", Expires: noon.Unix() + 86400},
			},
			SpendLimits: []directory.SpendLimit{{USD: 25_000, Enforcement: directory.Inactive}, {ProjectID: "proj_a", USD: 400.5, Enforcement: directory.Enforcing}, {ProjectID: "proj_c", USD: 10}},
			RateLimits: []directory.RateLimit{
				{ProjectID: "proj_a", Model: "gpt-5", TokensPerMinute: 4_000_000, RequestsPerMinute: 10_000, RequestsPerDay: 500_000, ImagesPerMinute: 50, AudioMegabytesPerMinute: 20, BatchInputTokensPerDay: 5_000_000_000},
				{ProjectID: "proj_a", Model: "nobody-uses-it", TokensPerMinute: 1, RequestsPerMinute: 1},
				{ProjectID: "proj_b", Model: "gpt-5", RequestsPerMinute: 500},
			},
		},
		{Name: "umbrella"},
	}}
}

// pollingOrganization is a source whose collector has seen a poll of each kind.
func pollingOrganization(t *testing.T) (*source, *collector.Collector) {
	t.Helper()
	s := &source{now: noon, statuses: []fetcher.Status{
		{Organization: "acme", Endpoint: "completions", State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon},
		{Organization: "acme", Endpoint: "audio_transcriptions", State: fetcher.StateFailing, LastPoll: noon, LastSuccess: noon.Add(-time.Hour), Error: "HTTP 500", Failures: 3},
		{Organization: "acme", Endpoint: "decisions", State: fetcher.StateUnavailable, LastPoll: noon, Error: "HTTP 404"},
		{Organization: "acme", Endpoint: "vector_stores", State: fetcher.StateStarting},
		{Organization: "acme", Endpoint: "costs", State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon},
		{Organization: "acme", Endpoint: "projects", State: fetcher.StateOK, LastPoll: noon, LastSuccess: noon, Optional: true},
	}}
	s.view.Store(organizationView(t))
	s.names.Store(namesOfOrganization())
	c := newCollector(s)
	c.Request("acme", "completions", "200", 300*time.Millisecond)
	c.Poll("acme", "completions", 400*time.Millisecond, nil)
	c.Audit("acme", "completions", nil)
	c.Bound("acme", "completions", fetcher.Bounds[0], 0.25)
	c.Bound("acme", "completions", fetcher.Bounds[1], 0.05)
	c.Request("acme", "audio_transcriptions", "500", 2*time.Second)
	c.Poll("acme", "audio_transcriptions", 3*time.Second, errors.New("HTTP 500"))
	c.Request("acme", "decisions", "404", 100*time.Millisecond)
	c.Commit(2*time.Millisecond, nil)
	c.Commit(3*time.Second, errors.New("no space left on device"))
	return s, c
}

func gather(t *testing.T, c *collector.Collector) []*dto.MetricFamily {
	t.Helper()
	fs, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// text is the exposition of the metrics whose names start with one of the prefixes.
func text(t *testing.T, c *collector.Collector, prefixes ...string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(ask(t, c.Handler(), "/metrics", acceptable["text"], "identity")) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// samples is text without HELP and TYPE.
func samples(t *testing.T, c *collector.Collector, prefixes ...string) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(text(t, c, prefixes...)) {
		if !strings.HasPrefix(l, "#") {
			out = append(out, strings.TrimSpace(l))
		}
	}
	return out
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is not current, -update rewrites it (-file +now):\n%s", path, d)
	}
}

func TestExpositionIsTheGoldenOne(t *testing.T) {
	_, c := pollingOrganization(t)
	var b strings.Builder
	for l := range strings.Lines(text(t, c, "openai_")) {
		if !strings.Contains(l, "openai_exporter_build_info") { // It names the toolchain.
			b.WriteString(l)
		}
	}
	golden(t, "testdata/exposition.txt", []byte(b.String()))
}

func TestExpositionIsLintClean(t *testing.T) {
	_, c := pollingOrganization(t)
	c.Handler()
	problems, err := promlint.NewWithMetricFamilies(gather(t, c)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		// The one counts hours as things, as it would buckets. The other is a limit in the unit in which the API sets it.
		if strings.HasPrefix(p.Text, "use base unit") && slices.Contains([]string{"openai_exporter_hours_given_up_total", "openai_rate_limit_audio_megabytes_per_minute"}, p.Metric) {
			continue
		}
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	// There is nothing to merge, but merging checks names, types, labels, UTF-8, suffixes and repeated series.
	checked, err := prometheus.Gatherers{c}.Gather()
	if err != nil {
		t.Error(err)
	}
	if len(checked) != len(gather(t, c)) {
		t.Errorf("%d families after the check, want %d", len(checked), len(gather(t, c)))
	}
}
