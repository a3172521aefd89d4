//go:build e2e

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// A purse is an exporter before an organization whose bill has charges, credits and a free quota, whose completions are
// served in five tiers that we know and one that nobody knows, and whose bill fails when it is told to.
type purse struct {
	options  simulator.Options
	clock    *simulator.Clock
	refuses  atomic.Bool
	exporter string
	research string
	quarter  float64   // the most that was spent of the quarter
	bill     time.Time // when the bill was read last, while it fails
}

// warp takes the place of a tier in all that the API says.
var warp = strings.NewReplacer(`"service_tier":"flex"`, `"service_tier":"warp"`, `"flex | `, `"warp | `)

func (p *purse) ServeHTTP(w http.ResponseWriter, r *http.Request, sim http.Handler) {
	answer := httptest.NewRecorder()
	if p.refuses.Load() && strings.HasSuffix(r.URL.Path, "/costs") {
		http.Error(w, `{"error":{"message":"The bill can't be read.","type":"server_error"}}`, http.StatusInternalServerError)
		return
	}
	sim.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(answer.Code)
	_, _ = warp.WriteString(w, answer.Body.String()) // A client that has gone is no concern here.
}

// costs are the charges of each project and UTC day from then to now: what the bill says by now, and what it will say of
// usage that has a price. Credits have no project.
func (p *purse) costs(from time.Time) (billed, priced map[string]float64, credited float64) {
	now := p.clock.Now()
	read := now
	if p.refuses.Load() {
		read = p.bill
	}
	o := p.options
	o.End = now
	sim := simulator.New(o)
	billed, priced = map[string]float64{}, map[string]float64{}
	for day := from; day.Before(now); day = day.AddDate(0, 0, 1) {
		groups := []string{"project_id", "line_item"}
		for _, r := range sim.Truth("costs", groups, day, day.Add(time.Hour), read) {
			if usd := r.Values["cost_usd"].Float64(); usd < 0 {
				credited -= usd
			} else {
				billed[day.Format(time.DateOnly)+" "+r.Labels["project_id"]] += usd
			}
		}
		for _, r := range sim.Final("costs", groups, day, day.Add(time.Hour)) {
			if usd := r.Values["cost_usd"].Float64(); usd > 0 && !strings.HasPrefix(r.Labels["line_item"], "flex | ") {
				priced[day.Format(time.DateOnly)+" "+r.Labels["project_id"]] += usd
			}
		}
	}
	return billed, priced, credited
}

// spent is what a budget has to show: of each project and day the charges, or what usage has cost where that is more.
func (p *purse) spent(from time.Time, project string) float64 {
	billed, priced, credited := p.costs(from)
	sum := 0.0
	for k := range union(billed, priced) {
		if strings.HasSuffix(k, " "+project) || project == "" {
			sum += max(billed[k], priced[k])
		}
	}
	if project == "" {
		sum -= credited
	}
	return sum
}

func (p *purse) scrape(t *testing.T) (map[string]*dto.MetricFamily, error) {
	body, err := process.Get(t.Context(), p.exporter+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(body))
}

// gauge is the value of the only series of a metric, or of its only one of a budget.
func gauge(families map[string]*dto.MetricFamily, name, budget string) float64 {
	for _, m := range families[name].GetMetric() {
		if labelsOf(m)["budget"] == budget {
			return m.GetGauge().GetValue()
		}
	}
	return math.NaN()
}

func near(what string, got, want, share float64) error {
	if off := got/want - 1; !(math.Abs(off) <= share) {
		return fmt.Errorf("%s is %.4f, want %.4f: off by %+.3f %%", what, got, want, 100*off)
	}
	return nil
}

// settle waits until every budget says what is spent by now.
func (p *purse) settle(t *testing.T, when string) {
	t.Helper()
	now := p.clock.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	cost, researched := p.cost(month, ""), p.cost(month, p.research)
	whole, research, quarter := p.spent(month, ""), p.spent(month, p.research), p.spent(october, "")
	process.Eventually(t, 3*time.Minute, fmt.Sprintf("%s %.2f of the month and %.2f of the quarter are spent", when, whole, quarter), func() error {
		families, err := p.scrape(t)
		if err != nil {
			return err
		}
		spent := gauge(families, "openai_budget_spent_usd", "quarter")
		// Each day has a credit of 1.25, and may settle below its estimate.
		if spent < 0.995*p.quarter-5 {
			t.Errorf("%s: spent fell from %.2f to %.2f", when, p.quarter, spent)
		}
		p.quarter = max(p.quarter, spent)
		// What is still to come is known from twelve days at most, two of which are a weekend.
		foreseen := func(name, budget string, cost, spent float64) error {
			return near(name, gauge(families, name, budget), cost, (0.01*spent+0.06*(cost-spent))/cost)
		}
		return errors.Join(
			foreseen("openai_budget_forecast_usd", "month", cost, whole),
			foreseen("openai_budget_forecast_usd", "research", researched, research),
			foreseen("openai_cost_month_forecast_usd", "", cost, whole),
			near("the quarter", spent, quarter, 0.01),
			near("the month", gauge(families, "openai_budget_spent_usd", "month"), whole, 0.01),
			near("research", gauge(families, "openai_budget_spent_usd", "research"), research, 0.01),
			near("billed and unbilled", gauge(families, "openai_organization_month_to_date_usd", "")+gauge(families, "openai_organization_unbilled_estimate_usd", ""), whole, 0.01))
	})
}

// cost is what a month will have cost, less what has been credited by now. The simulator knows the future.
func (p *purse) cost(month time.Time, project string) (sum float64) {
	_, _, credited := p.costs(month)
	for _, r := range simulator.New(p.options).Final("costs", []string{"project_id", "line_item"}, month, month.AddDate(0, 1, 0)) {
		if usd := r.Values["cost_usd"].Float64(); usd > 0 && (project == "" || r.Labels["project_id"] == project) {
			sum += usd
		}
	}
	if project == "" {
		sum -= credited
	}
	return sum
}

// ratio compares what the exporter says about its estimates of closed days: it can lack no more than the unknown tier.
func (p *purse) ratio(t *testing.T, day time.Time) {
	t.Helper()
	billed, priced, _ := p.costs(day)
	var charged, known float64
	for k, usd := range billed {
		if strings.HasPrefix(k, day.Format(time.DateOnly)) {
			charged += usd
			known += priced[k]
		}
	}
	if known > 0.99*charged {
		t.Fatalf("only %.2f of %.2f are without a price, which proves little", charged-known, charged)
	}
	process.Eventually(t, 3*time.Minute, "the estimate lacks the tier that nobody knows, and nothing else", func() error {
		families, err := p.scrape(t)
		if err != nil {
			return err
		}
		return near("the ratio", gauge(families, "openai_organization_estimated_to_billed_ratio", ""), known/charged, 0.01)
	})
}

// TestMoneyIsRightOverMidnightsOutagesAndFolds: the API's clock stands still but for the steps.
func TestMoneyIsRightOverMidnightsOutagesAndFolds(t *testing.T) {
	p := &purse{clock: simulator.NewClock(time.Date(2026, 10, 28, 21, 0, 0, 0, time.UTC), 1e-9)}
	p.options = simulator.Options{
		Seed: 5, Clock: p.clock.Now, AdminKey: adminKey, MixedTiers: true, Credits: true,
		Begin: time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC), Lateness: simulator.Lateness{Costs: 6 * time.Hour},
	}
	sim := simulator.New(p.options)
	p.research = sim.Projects()[2].ID
	handler := sim.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.ServeHTTP(w, r, handler) }))
	defer server.Close()

	dir, address, binary := t.TempDir(), process.FreeAddress(t), process.Build(t)
	p.exporter = "http://" + address
	process.WriteFile(t, filepath.Join(dir, "key"), adminKey+"\n")
	process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations: [{name: acme, api_key_file: key, base_url: %q, requests_per_minute: 6000}]
usage: {interval: 1s, audit: {interval: 5s, window: 72h}}
costs: {interval: 1s}
limits: {enabled: false}
counters: {zero_hold: 0s, max_label_sets: 60}
budgets:
  - {name: month, monthly_usd: 100000}
  - {name: research, project_ids: [%s], monthly_usd: 10000}
  - {name: quarter, quarterly_usd: 300000}
  - {name: mistyped, project_ids: [proj_mistyped], monthly_usd: 10}
`, server.URL+"/v1", p.research))
	args := []string{"--config.file=" + filepath.Join(dir, "exporter.yml"), "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address}
	program := process.Start(t, binary, args...)

	p.settle(t, "at the beginning")
	p.clock.Advance(2*time.Hour + 50*time.Minute)
	p.settle(t, "ten minutes before midnight")
	p.clock.Advance(20 * time.Minute)
	p.settle(t, "ten minutes after midnight")
	for range 4 {
		p.clock.Advance(6 * time.Hour)
		p.settle(t, "six hours on")
	}

	// The bill fails on Friday morning and comes back on Monday. The month turns in between.
	p.clock.Advance(6 * time.Hour)
	p.settle(t, "before the outage")
	p.ratio(t, time.Date(2026, 10, 26, 0, 0, 0, 0, time.UTC)) // The newest day whose bill is not corrected any more.
	p.bill = p.clock.Now()
	p.refuses.Store(true)
	for range 6 {
		p.clock.Advance(12 * time.Hour)
		p.settle(t, "while the bill fails")
	}
	program.End(t, syscall.SIGKILL)
	for _, once := range []string{"service_tier=warp", "Unknown line items", "project_id=proj_mistyped"} {
		if n := strings.Count(program.Output(), once); n != 1 {
			t.Errorf("the log says %q %d times, want once", once, n)
		}
	}
	p.refuses.Store(false)
	process.Start(t, binary, args...)
	p.settle(t, "after the outage and a crash")
	p.clock.Advance(30 * time.Hour)
	p.settle(t, "a day later")
	p.unknown(t)
}

// unknown expects that what nobody knows is counted, and that label sets were folded.
func (p *purse) unknown(t *testing.T) {
	t.Helper()
	families, err := p.scrape(t)
	if err != nil {
		t.Fatal(err)
	}
	unpriced := 0.0
	for _, m := range families["openai_exporter_unpriced_tokens_total"].GetMetric() {
		unpriced += m.GetCounter().GetValue()
	}
	if unpriced == 0 {
		t.Error("no tokens of the unknown tier are counted as unpriced")
	}
	for _, name := range []string{"openai_exporter_unparsed_line_items", "openai_exporter_overflow_label_sets"} {
		if !(gauge(families, name, "") > 0) {
			t.Errorf("%s is %v", name, gauge(families, name, ""))
		}
	}
}
