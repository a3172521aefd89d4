package server

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// A Report is what the status page shows and /api/v1/status answers.
type Report struct {
	Version       string    `json:"version"`
	Started       time.Time `json:"started"`
	Time          time.Time `json:"time"`
	UptimeSeconds int64     `json:"uptime_seconds"`
	Ready         bool      `json:"ready"`
	// WaitingFor are the endpoints, organization/endpoint each, that have not been polled yet.
	WaitingFor []string `json:"waiting_for,omitempty"`
	// Shard is which of several replicas this is; absent where there is one alone.
	Shard         *Shard         `json:"shard,omitempty"`
	Organizations []Organization `json:"organizations"`
	// Config is the effective configuration, without secrets.
	Config string `json:"config,omitempty"`
}

// A Shard is which one of how many replicas this is, and what stays together on one: an organization, or an endpoint.
type Shard struct {
	Index int    `json:"index"`
	Count int    `json:"count"`
	By    string `json:"by"`
}

// An Organization is one section of a report.
type Organization struct {
	Name              string `json:"name"`
	LabelSets         int    `json:"label_sets"`
	LabelSetsLimit    int    `json:"label_sets_limit"`
	OverflowLabelSets int    `json:"overflow_label_sets"`
	// Cost of the running UTC day and month in US dollars; absent until costs were read.
	CostTodayUSD       json.Number `json:"cost_today_usd,omitempty"`
	CostMonthToDateUSD json.Number `json:"cost_month_to_date_usd,omitempty"`
	// What usage of the day and the month is estimated to cost that the bill does not have yet; absent until costs were read.
	CostTodayUnbilledUSD json.Number `json:"cost_today_unbilled_estimate_usd,omitempty"`
	CostMonthUnbilledUSD json.Number `json:"cost_month_unbilled_estimate_usd,omitempty"`
	// CostMonthForecastUSD is what the running UTC month will have cost; absent until costs were read.
	CostMonthForecastUSD json.Number `json:"cost_month_forecast_usd,omitempty"`
	// Budgets are those of the configuration; what is spent of them is absent until costs were read.
	Budgets []Budget `json:"budgets,omitempty"`
	// TopProjects are those with the most cost of the running UTC day, at most five.
	TopProjects []Project `json:"top_projects_today,omitempty"`
	// TopModels and TopKeys are the same; keys are told apart by the look-ups, or where costs.group_by has api_key_id.
	TopModels []Model `json:"top_models_today,omitempty"`
	TopKeys   []Key   `json:"top_keys_today,omitempty"`
	// Days are the last five weeks and the rest of the running UTC month; absent until costs were read, and where many
	// organizations are told at once.
	Days []Day `json:"days,omitempty"`
	// OnlyProjects are the projects that are read, by name, where not all of them are.
	OnlyProjects []string `json:"only_projects,omitempty"`
	// Refused are the spend limits that OpenAI enforces now: it refuses requests.
	Refused []Refusal `json:"refused,omitempty"`
	// Requests is the budget of requests; absent where it is not known.
	Requests *Requests `json:"requests,omitempty"`
	// Trouble is the error that several endpoints have in common, in which case they don't repeat it on the page.
	Trouble   string     `json:"trouble,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
}

// A Budget is what may be spent in a period, and what is.
type Budget struct {
	Name string  `json:"name"`
	USD  float64 `json:"usd"`
	// Period is month, quarter, year or term.
	Period string `json:"period"`
	Spent  *Spent `json:"spent,omitempty"`
}

// Spent is what the running period has cost of a budget, and will have cost.
type Spent struct {
	USD json.Number `json:"usd"`
	// UnbilledUSD is the part that is estimated because the bill does not have it yet.
	UnbilledUSD json.Number `json:"unbilled_estimate_usd"`
	ForecastUSD json.Number `json:"forecast_usd"`
	// Exhausted is when all of it is spent, past or by the forecast; absent where that is not within the period.
	Exhausted *time.Time `json:"exhausted,omitempty"`
	// Share of the budget, 1 where all of it is spent.
	Share float64 `json:"share"`
}

// Requests is an organization's budget of requests, over the last minute.
type Requests struct {
	PerMinute int `json:"per_minute"`
	Used      int `json:"used"`
	Left      int `json:"left"`
	Waiting   int `json:"waiting"`
}

// An Endpoint is one line of a report.
type Endpoint struct {
	Name  string        `json:"endpoint"`
	State fetcher.State `json:"state"`
	// Summary is the state in words.
	Summary     string    `json:"summary"`
	Error       string    `json:"error,omitempty"`
	Failures    int       `json:"failures,omitempty"`
	LastPoll    time.Time `json:"last_poll,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	NextPoll    time.Time `json:"next_poll,omitzero"`
	ReadThrough time.Time `json:"read_through,omitzero"`
	// CountingSince is the time from which on the counters count.
	CountingSince time.Time `json:"counting_since,omitzero"`
	// LagSeconds is how long ago the newest closed bucket that was read ended.
	LagSeconds        int64     `json:"lag_seconds,omitempty"`
	Audited           time.Time `json:"audited,omitzero"`
	GroupBy           []string  `json:"group_by,omitempty"`
	DroppedDimensions []string  `json:"dropped_dimensions,omitempty"`
	// Filters say which usage or costs are read; absent where all are. Those by project are the organization's OnlyProjects.
	Filters   map[string][]string `json:"filters,omitempty"`
	LabelSets int                 `json:"label_sets"`
	// The amounts are by measure, in the measure's own unit; a measure without one is left out.
	Withheld     map[string]json.Number `json:"withheld,omitempty"`
	RestatedUp   map[string]json.Number `json:"restated_up,omitempty"`
	RestatedDown map[string]json.Number `json:"restated_down,omitempty"`
	AuditUp      map[string]json.Number `json:"audit_up,omitempty"`
	AuditDown    map[string]json.Number `json:"audit_down,omitempty"`
}

// idle says whether there is nothing to poll, as opposed to nothing yet.
func (s *Server) idle(statuses []fetcher.Status) bool {
	return len(statuses) == 0 && s.options.Idle != nil && s.options.Idle()
}

// readiness says whether every endpoint was polled, or failed for a reason that its status names, and which are waiting.
// Look-ups keep nobody waiting.
func (s *Server) readiness(statuses []fetcher.Status) (ready bool, waiting []string) {
	if s.idle(statuses) {
		return true, nil
	}
	for i := range statuses {
		if st := &statuses[i]; st.State == fetcher.StateStarting && !st.Optional {
			waiting = append(waiting, st.Organization+"/"+st.Endpoint)
		}
	}
	return len(statuses) > 0 && len(waiting) == 0, waiting
}

// few is up to how many organizations are shown one below the other. More have an index and a page each.
const few = 8

// report puts together what the ledger and the scheduler show at this moment: of one organization, or of all for "".
func (s *Server) report(only string) *Report {
	now := s.options.Now()
	// Where the local clock is wrong, its times are shown as the API's clock would have had them: else a poll of a moment
	// ago was an hour ago, or will be.
	ahead := now.Sub(s.options.Local()).Round(time.Second)
	statuses, started := s.options.Statuses.Status(), s.options.Started.Add(ahead)
	r := &Report{
		Version: s.options.Version, Started: started.UTC(), Time: now.UTC(), UptimeSeconds: int64(now.Sub(started).Seconds()),
		Organizations: []Organization{},
	}
	r.Ready, r.WaitingFor = s.readiness(statuses)
	if sh := s.options.Shard; sh.Sharded() {
		r.Shard = &Shard{Index: sh.Index, Count: sh.Count, By: string(sh.Unit)}
	}
	if s.options.Config != nil {
		r.Config = s.options.Config()
	}
	view := narrowed(s.options.Views.View(), only)
	var allowances map[string]fetcher.Allowance
	if s.options.Allowances != nil {
		allowances = s.options.Allowances.Allowances()
	}
	books, lookups, feeds := s.books(view, now), s.lookups(), feedsOf(view)
	at := make(map[string]int)
	for i := range statuses {
		st := &statuses[i]
		if only != "" && st.Organization != only {
			continue
		}
		if _, met := at[st.Organization]; !met {
			at[st.Organization] = len(r.Organizations)
			n := directoryViewOf(lookups[st.Organization])
			o := organization(view, feeds, st.Organization, now, n)
			if a, ok := allowances[st.Organization]; ok {
				o.Requests = &Requests{PerMinute: a.PerMinute, Used: a.Used, Left: a.Left(), Waiting: a.Waiting}
			}
			if b := books[st.Organization]; b != nil {
				o.account(b, n)
			}
			r.Organizations = append(r.Organizations, o)
		}
		o := &r.Organizations[at[st.Organization]]
		o.Endpoints = append(o.Endpoints, endpoint(feeds[feedKey{st.Organization, st.Endpoint}], st, now, ahead))
	}
	for i := range r.Organizations {
		o := &r.Organizations[i]
		o.Trouble = common(o.Endpoints)
		if b := books[o.Name]; b != nil && len(r.Organizations) <= few {
			o.Days = days(b.Days(), directoryViewOf(lookups[o.Name]))
		}
	}
	return r
}

// books are what the books say of each organization.
func (s *Server) books(view *ledger.View, now time.Time) map[string]*spend.Organization {
	books := make(map[string]*spend.Organization)
	if s.options.Books != nil {
		all := s.options.Books.Report(view, now)
		for i := range all {
			books[all[i].Name] = &all[i]
		}
	}
	return books
}

// lookups is what the look-ups say of each organization.
func (s *Server) lookups() map[string]*directory.Organization {
	lookups := make(map[string]*directory.Organization)
	if s.options.Directory != nil {
		for _, o := range s.options.Directory.Snapshot().Organizations {
			lookups[o.Name] = o
		}
	}
	return lookups
}

// common is the error that most of the endpoints have, if three at least share it: what is wrong with a key or a network
// need not be said twelve times.
func common(endpoints []Endpoint) string {
	const several = 3
	counts := make(map[string]int)
	most := ""
	for i := range endpoints {
		e := &endpoints[i]
		if e.State != fetcher.StateFailing || e.Error == "" {
			continue
		}
		if counts[e.Error]++; counts[e.Error] > counts[most] {
			most = e.Error
		}
	}
	if counts[most] < several {
		return ""
	}
	return most
}

// narrowed is the view of one organization, so that nothing is worked out for the others, or all of it for "".
func narrowed(v *ledger.View, only string) *ledger.View {
	switch {
	case v == nil:
		return &ledger.View{}
	case only == "":
		return v
	}
	out := *v
	out.Organizations, out.Feeds = nil, nil
	for _, o := range v.Organizations {
		if o.Name == only {
			out.Organizations = append(out.Organizations, o)
		}
	}
	for _, f := range v.Feeds {
		if f.Organization == only {
			out.Feeds = append(out.Feeds, f)
		}
	}
	return &out
}

type feedKey struct{ organization, endpoint string }

func feedsOf(v *ledger.View) map[feedKey]*ledger.FeedView {
	out := make(map[feedKey]*ledger.FeedView, len(v.Feeds))
	for _, f := range v.Feeds {
		out[feedKey{f.Organization, f.Endpoint.Name}] = f
	}
	return out
}

func organization(v *ledger.View, feeds map[feedKey]*ledger.FeedView, name string, now time.Time, n directoryView) Organization {
	o := Organization{Name: name, Refused: n.refusals, OnlyProjects: n.only}
	for i := range v.Organizations {
		if w := &v.Organizations[i]; w.Name == name {
			o.LabelSets, o.LabelSetsLimit, o.OverflowLabelSets = w.LabelSets, w.Limit, w.Overflow
		}
	}
	if f := feeds[feedKey{name, api.Costs}]; f != nil && len(f.Days) > 0 {
		today, month := collector.Spend(f, now)
		o.TopKeys = topKeys(n.keysToday(today, now), n)
		o.CostTodayUSD = json.Number(collector.Total(today).String())
		o.CostMonthToDateUSD = json.Number(collector.Total(month).String())
	}
	return o
}

// account adds what the books say.
func (o *Organization) account(b *spend.Organization, n directoryView) {
	if b.TodaySplit {
		o.TopProjects = topProjects(b.Today, n)
	}
	if items, known := b.TodayByItem(); known {
		o.TopModels = topModels(items)
	}
	if b.Billed {
		o.CostTodayUnbilledUSD = json.Number(b.Day.Unbilled.String())
		o.CostMonthUnbilledUSD = json.Number(b.Month.Unbilled.String())
		o.CostMonthForecastUSD = json.Number(b.Month.Forecast.String())
	}
	for _, state := range b.Budgets {
		budget := Budget{Name: state.Name, USD: state.USD, Period: state.Period}
		if state.Known {
			spent := state.Spend.Spent()
			budget.Spent = &Spent{
				USD: json.Number(spent.String()), UnbilledUSD: json.Number(state.Spend.Unbilled.String()), ForecastUSD: json.Number(state.Spend.Forecast.String()),
				Share: spent.Float64() / state.USD,
			}
			if !state.Exhausted.IsZero() {
				at := state.Exhausted.UTC().Truncate(time.Second)
				budget.Spent.Exhausted = &at
			}
		}
		o.Budgets = append(o.Budgets, budget)
	}
}

func endpoint(f *ledger.FeedView, st *fetcher.Status, now time.Time, ahead time.Duration) Endpoint {
	e := Endpoint{
		Name: st.Endpoint, State: st.State, Summary: summary(st), Error: st.Error, Failures: st.Failures,
		LastPoll: moved(st.LastPoll, ahead), LastSuccess: moved(st.LastSuccess, ahead), NextPoll: moved(st.NextPoll, ahead),
	}
	if f == nil {
		return e
	}
	e.CountingSince = f.CountsFrom
	e.ReadThrough, e.Audited, e.GroupBy, e.DroppedDimensions = f.ReadThrough, f.Audited, f.GroupBy, f.Dropped
	e.LabelSets = len(f.Series) + len(f.Stock)
	if filters, err := api.DecodeFilters(f.Filters); err == nil { // They are spelled by ourselves.
		e.Filters = filters.Without(api.FilterProjects)
	}
	if !f.ReadThrough.IsZero() {
		e.LagSeconds = max(0, int64(now.Sub(f.ReadThrough).Seconds()))
	}
	for i := range f.ByMeasure {
		m, name := &f.ByMeasure[i], f.Endpoint.Measures[i].Name
		for _, a := range []struct {
			to     *map[string]json.Number
			amount interface {
				IsZero() bool
				String() string
			}
		}{{&e.Withheld, m.Withheld}, {&e.RestatedUp, m.RestatedUp}, {&e.RestatedDown, m.RestatedDown}, {&e.AuditUp, m.AuditUp}, {&e.AuditDown, m.AuditDown}} {
			if a.amount.IsZero() {
				continue
			}
			if *a.to == nil {
				*a.to = make(map[string]json.Number)
			}
			(*a.to)[name] = json.Number(a.amount.String())
		}
	}
	return e
}

// moved is a time by another clock; what never was stays so.
func moved(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(by)
}

func summary(st *fetcher.Status) string {
	switch st.State {
	case fetcher.StateStarting:
		return "waiting for the first poll"
	case fetcher.StateOK:
		return "up to date"
	case fetcher.StateUnavailable:
		return "not available to this organization"
	case fetcher.StateFailing:
		if st.Failures > 1 {
			return fmt.Sprintf("failing, %d polls in a row", st.Failures)
		}
		return "the last poll failed"
	}
	return string(st.State)
}
