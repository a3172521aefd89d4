package collector

import (
	"slices"
	"strings"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A Type is a Prometheus metric type, as the exposition formats spell it.
type Type string

// The types in use.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// A Section is a chapter of the metrics reference.
type Section string

// The sections, in the order of the reference.
const (
	SectionUsage    Section = "Usage"
	SectionCosts    Section = "Costs"
	SectionEstimate Section = "Estimates and prices"
	SectionBudgets  Section = "Budgets and forecast"
	SectionNames    Section = "Names"
	SectionLimits   Section = "Limits"
	SectionEndpoint Section = "Endpoints"
	SectionAccuracy Section = "Accuracy"
	SectionExporter Section = "The exporter itself"
)

// A Metric is one line of the table that exposition, HELP texts and the reference derive from.
type Metric struct {
	Name    string
	Type    Type
	Help    string
	Section Section
	// Unit is what it counts in where the name ends in that, as OpenMetrics wants it.
	Unit string
	// Labels are all that a series of it can have. Those of usage and costs depend on the grouping that is configured.
	Labels []string
	// Endpoints and Fields say where in the API the number comes from; empty for what the exporter says of itself.
	Endpoints, Fields []string
}

// Names that code refers to.
const (
	readThrough     = "openai_usage_read_through_timestamp_seconds"
	costToday       = "openai_cost_today_usd"
	costMonth       = "openai_cost_month_to_date_usd"
	projectInfo     = "openai_project_info"
	userInfo        = "openai_user_info"
	apiKeyInfo      = "openai_api_key_info"
	apiKeyLastUsed  = "openai_api_key_last_used_timestamp_seconds"
	apiKeyExpires   = "openai_api_key_expires_timestamp_seconds"
	spendLimit      = "openai_spend_limit_usd"
	spendEnforcing  = "openai_spend_limit_enforcing"
	rateTokens      = "openai_rate_limit_tokens_per_minute"
	rateRequests    = "openai_rate_limit_requests_per_minute"
	rateDaily       = "openai_rate_limit_requests_per_day"
	rateImages      = "openai_rate_limit_images_per_minute"
	rateAudio       = "openai_rate_limit_audio_megabytes_per_minute"
	rateBatch       = "openai_rate_limit_batch_input_tokens_per_day"
	effectivePrice  = "openai_effective_price_usd"
	estimateRatio   = "openai_estimated_to_billed_ratio"
	priceInfo       = "openai_exporter_price_info"
	priceTimestamp  = "openai_exporter_price_timestamp_seconds"
	unparsedItems   = "openai_exporter_unparsed_line_items"
	wholeRatio      = "openai_organization_estimated_to_billed_ratio"
	monthToDate     = "openai_organization_month_to_date_usd"
	monthUnbilled   = "openai_organization_unbilled_estimate_usd"
	monthForecast   = "openai_cost_month_forecast_usd"
	budgetLimit     = "openai_budget_usd"
	budgetSpent     = "openai_budget_spent_usd"
	budgetBilled    = "openai_budget_billed_usd"
	budgetUnbilled  = "openai_budget_unbilled_estimate_usd"
	budgetForecast  = "openai_budget_forecast_usd"
	budgetExhausted = "openai_budget_exhausted_timestamp_seconds"
	up              = "openai_up"
	available       = "openai_endpoint_available"
	polls           = "openai_exporter_polls_total"
	pollDuration    = "openai_exporter_poll_duration_seconds"
	lastSuccess     = "openai_exporter_last_success_timestamp_seconds"
	requests        = "openai_exporter_api_requests_total"
	requestDuration = "openai_exporter_api_request_duration_seconds"
	restated        = "openai_exporter_restated_total"
	withheld        = "openai_exporter_withheld"
	auditDifference = "openai_exporter_audit_difference_total"
	audits          = "openai_exporter_audits_total"
	hoursGivenUp    = "openai_exporter_hours_given_up_total"
	labelSets       = "openai_exporter_label_sets"
	labelSetsLimit  = "openai_exporter_label_sets_limit"
	overflow        = "openai_exporter_overflow_label_sets"
	seriesExposed   = "openai_exporter_series"
	commitDuration  = "openai_exporter_state_commit_duration_seconds"
	commitErrors    = "openai_exporter_state_commit_errors_total"
	stateBytes      = "openai_exporter_state_bytes"
	readBound       = "openai_exporter_read_bound_ratio"
	shardIndex      = "openai_exporter_shard"
	shardCount      = "openai_exporter_shards"
	reloadSuccess   = "openai_exporter_config_last_reload_successful"
	reloadTimestamp = "openai_exporter_config_last_reload_success_timestamp_seconds"
	buildInfo       = "openai_exporter_build_info"
)

// The labels that every series of an organization, or of one of its endpoints, has.
const (
	organization = "organization"
	endpoint     = "endpoint"
	measure      = "measure"
	direction    = "direction"
	outcome      = "outcome"
	code         = "code"
	projectID    = "project_id"
	apiKeyID     = "api_key_id"
	model        = "model"
	lineItem     = "line_item"
	unit         = "unit"
	source       = "source"
	budgetName   = "budget"
	team         = "team"
	period       = "period"
	tokenType    = "token_type"
	modality     = "modality"
	serviceTier  = "service_tier"
	context      = "context"
)

// A polled value says in HELP that it is polled and how old it may be, because nothing else in an exposition does.
const (
	polledUsage  = " Polled: up to one interval old (default 1m, hourly endpoints 15m), and OpenAI itself completes a minute for 5 to 15 minutes and restates it for hours."
	polledStock  = " Polled: up to one interval old (default 15m) behind OpenAI's newest bucket."
	polledNames  = " Polled: up to one interval old (default 10m), longer where there are hundreds of projects, and kept while look-ups fail and over restarts."
	polledLimits = " Polled: up to one interval old (default 10m), longer where there are hundreds of projects, and kept while look-ups fail."
	pricedUsage  = " A row is priced when it is read, with what the bill charged on the last closed days, else with a price list." + polledUsage
	forecasts    = " Polled: made anew with every poll and every hour, an interval of which is up to 15m; docs/forecast.md states the error."
	polledCosts  = " Polled: up to one interval old (default 15m), and OpenAI restates a day for up to three days."
)

// counterName is the name of the counter of a measure, "" for a level, which has none.
func counterName(e *api.Endpoint, m *api.Measure) string {
	switch {
	case e.Stock:
		return ""
	case e.IsCosts():
		return "openai_" + m.Name + "_total"
	}
	return "openai_usage_" + m.Name + "_total"
}

// derivedName is the name of the counter of a derived measure.
func derivedName(m *api.Measure) string {
	if m.Name == api.MeasureEstimate {
		return "openai_" + m.Name + "_total"
	}
	return "openai_exporter_" + m.Name + "_total"
}

// stockName is the name of the gauge of a level.
func stockName(m *api.Measure) string { return "openai_usage_" + m.Name }

// lastBucketName is the name of the gauge that shows the newest closed bucket alone.
func lastBucketName(m *api.Measure) string { return "openai_usage_last_bucket_" + m.Name }

// Table returns every metric of ours: what the endpoints' measures make, then the fixed ones.
func Table() []Metric {
	var usage, last, costs, estimates []Metric
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		for j := range e.Derived {
			m := &e.Derived[j]
			estimates = merge(estimates, e, m, Metric{
				Name: derivedName(m), Type: Counter, Section: SectionEstimate, Help: m.Help + "." + pricedUsage,
			})
		}
		for j := range e.Measures {
			m := &e.Measures[j]
			switch {
			case e.IsCosts():
				costs = merge(costs, e, m, Metric{
					Name: counterName(e, m), Type: Counter, Section: SectionCosts, Help: m.Help + ", as the Costs API reports it." + polledCosts,
				})
			case e.Stock:
				usage = merge(usage, e, m, Metric{
					Name: stockName(m), Type: Gauge, Section: SectionUsage, Help: m.Help + "." + polledStock,
				})
			default:
				usage = merge(usage, e, m, Metric{
					Name: counterName(e, m), Type: Counter, Section: SectionUsage, Help: m.Help + "." + polledUsage,
				})
				last = merge(last, e, m, Metric{
					Name: lastBucketName(m), Type: Gauge, Section: SectionUsage, Help: "In the newest closed bucket alone: " + lower(m.Help) + ". Absent where it is zero." + polledUsage,
				})
			}
		}
	}
	bill := costs[slices.IndexFunc(costs, func(m Metric) bool { return m.Name == "openai_"+api.MeasureCost+"_total" })]
	all := slices.Concat(usage, last, []Metric{
		{
			Name: readThrough, Type: Gauge, Section: SectionUsage, Labels: []string{organization, endpoint},
			Help: "End of the newest closed bucket that was read, in Unix time; the bucket may still grow. Polled: it moves once per interval (default 1m).",
		},
	}, costs, []Metric{
		{
			Name: costToday, Type: Gauge, Section: SectionCosts, Labels: bill.Labels, Endpoints: bill.Endpoints, Fields: bill.Fields,
			Help: "Cost of the running UTC day in US dollars, gone when the day turns until the first cost of the new one." + polledCosts,
		},
		{
			Name: costMonth, Type: Gauge, Section: SectionCosts, Labels: bill.Labels, Endpoints: bill.Endpoints, Fields: bill.Fields,
			Help: "Cost of the running UTC month in US dollars, the running day included." + polledCosts,
		},
	}, estimates, priceMetrics, budgetMetrics, nameMetrics, limitMetrics, exporterMetrics)
	for i := range all {
		all[i].Unit = unitOf(all[i].Name)
	}
	return all
}

// units are the words at the end of a name that say what is counted.
var units = []string{"usd", "seconds", "bytes", "ratio", "tokens", "characters", "images"}

func unitOf(name string) string {
	name = strings.TrimSuffix(name, "_total")
	if i := slices.IndexFunc(units, func(u string) bool { return strings.HasSuffix(name, "_"+u) }); i >= 0 {
		return units[i]
	}
	return ""
}

// merge adds a metric to those that stand, or the endpoint to the metric that stands already: several endpoints share a
// measure, and their series are one family told apart by the endpoint label.
func merge(ms []Metric, e *api.Endpoint, m *api.Measure, metric Metric) []Metric {
	at := slices.IndexFunc(ms, func(o Metric) bool { return o.Name == metric.Name })
	if at < 0 {
		metric.Labels = []string{organization}
		if !e.IsCosts() {
			metric.Labels = append(metric.Labels, endpoint)
		}
		ms = append(ms, metric)
		at = len(ms) - 1
	}
	o := &ms[at]
	o.Endpoints = append(o.Endpoints, e.Name)
	for _, f := range m.Fields {
		if !slices.Contains(o.Fields, f) {
			o.Fields = append(o.Fields, f)
		}
	}
	for _, l := range measureLabels(e, m) {
		if !slices.Contains(o.Labels, l) {
			o.Labels = append(o.Labels, l)
		}
	}
	return ms
}

// measureLabels are the labels that a measure's series can have beside the organization and the endpoint.
func measureLabels(e *api.Endpoint, m *api.Measure) []string {
	var labels []string
	if m.By == nil {
		for _, d := range e.Dimensions {
			labels = append(labels, d.Label)
		}
		return labels
	}
	for _, name := range m.By {
		if d, ok := e.Dimension(name); ok {
			labels = append(labels, d.Label)
		}
	}
	return labels
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// priceMetrics are what the estimate stands on, and how good it was.
var priceMetrics = []Metric{
	{
		Name: estimateRatio, Type: Gauge, Section: SectionEstimate, Labels: []string{organization, projectID},
		Help: "Estimated cost of a project over what it was charged, on the newest closed UTC day whose bill was read a day after its end or later and whose usage is known whole; absent below one cent. Credits are no part of it. What the bill has and usage has not, such as storage, makes it smaller than 1." + polledCosts,
	},
	{
		Name: wholeRatio, Type: Gauge, Section: SectionEstimate, Labels: []string{organization},
		Help: "Estimated cost over charges like openai_estimated_to_billed_ratio, of the whole organization, what belongs to no project included." + polledCosts,
	},
	{
		Name: effectivePrice, Type: Gauge, Section: SectionEstimate, Labels: []string{organization, lineItem, unit, model, tokenType, modality, serviceTier, context}, Endpoints: []string{api.Costs}, Fields: []string{"amount", "quantity"},
		Help: "What the bill charged per unit of its quantity in US dollars, discounts included and free quantities left out, over the newest closed days, three at most, that have the line item, since its price last jumped. What the line item says stands in labels of its own." + polledCosts,
	},
	{
		Name: priceInfo, Type: Gauge, Section: SectionEstimate, Labels: []string{organization, endpoint, model, source},
		Help: "A constant 1 for every model in use, with where its price comes from: bill (learned from it), file (pricing.file), builtin (the list in this program) or none.",
	},
	{
		Name: priceTimestamp, Type: Gauge, Section: SectionEstimate, Labels: []string{organization, source},
		Help: "How old the prices of a source are, in Unix time: bill, the end of the newest day learned from; file, when it was last written; builtin, the date of the list.",
	},
	{
		Name: unparsedItems, Type: Gauge, Section: SectionEstimate, Labels: []string{organization},
		Help: "Line items of the bill from which no price could be learned because their spelling or their unit is not known.",
	},
}

// budgetMetrics are the period so far and the period as a whole.
var budgetMetrics = []Metric{
	{
		Name: monthToDate, Type: Gauge, Section: SectionBudgets, Labels: []string{organization},
		Help: "What the organization's running UTC month has cost in US dollars according to the bill, credits included, whatever is shown of it." + polledCosts,
	},
	{
		Name: monthUnbilled, Type: Gauge, Section: SectionBudgets, Labels: []string{organization},
		Help: "What the organization has used in the running UTC month at its estimated price in US dollars and the bill does not have yet: see openai_budget_unbilled_estimate_usd." + polledUsage,
	},
	{
		Name: monthForecast, Type: Gauge, Section: SectionBudgets, Labels: []string{organization},
		Help: "What the organization's running UTC month will have cost in US dollars when it ends: what is spent, billed or not, and for the rest the recent days by their weekday." + forecasts,
	},
	{
		Name: budgetLimit, Type: Gauge, Section: SectionBudgets, Labels: []string{organization, budgetName, period},
		Help: "What may be spent in the period in US dollars, as configured.",
	},
	{
		Name: budgetSpent, Type: Gauge, Section: SectionBudgets, Labels: []string{organization, budgetName, period},
		Help: "What the running period has cost of the budget in US dollars: the bill, and the estimate for usage that the bill does not have yet." + polledCosts,
	},
	{
		Name: budgetBilled, Type: Gauge, Section: SectionBudgets, Labels: []string{organization, budgetName, period},
		Help: "The part of what is spent of the budget that the bill has, in US dollars." + polledCosts,
	},
	{
		Name: budgetUnbilled, Type: Gauge, Section: SectionBudgets, Labels: []string{organization, budgetName, period},
		Help: "The part of what is spent of the budget that is estimated because the bill does not have it yet, in US dollars: by project and day the excess of the estimate, of the running day and of those whose bill was not read a day after their end." + polledUsage,
	},
	{
		Name: budgetForecast, Type: Gauge, Section: SectionBudgets, Labels: []string{organization, budgetName, period},
		Help: "What will have been spent of the budget in US dollars when the running period ends." + forecasts,
	},
	{
		Name: budgetExhausted, Type: Gauge, Section: SectionBudgets, Labels: []string{organization, budgetName, period},
		Help: "When all of the budget is spent, in Unix time, past or by the forecast; absent where that is not within the running period." + forecasts,
	},
}

// nameMetrics are what the look-ups say. Names stand here and on no other metric: one that changes must not split a
// counter in two.
var nameMetrics = []Metric{
	{
		Name: projectInfo, Type: Gauge, Section: SectionNames, Labels: []string{organization, projectID, "project_name", "status", "residency", team},
		Help: "A constant 1 for every project, archived ones included, with its name, where its data are kept and processed, as OpenAI spells it, and the team that pays for it, with the team's labels as team_<label>, as configured; with names.enabled: false the teams' projects alone." + polledNames,
	},
	{
		Name: userInfo, Type: Gauge, Section: SectionNames, Labels: []string{organization, "user_id", "user_name", "role", "user_email", "is_service_account"},
		Help: "A constant 1 for every user, with the name, whether it is a service account and, if names.user_emails asks for it, the e-mail address." + polledNames,
	},
	{
		Name: apiKeyInfo, Type: Gauge, Section: SectionNames, Labels: []string{organization, apiKeyID, "api_key_name", projectID, "owner_type", "owner_id", "owner_name"},
		Help: "A constant 1 for every API key, with its name and its owner, a user or a service account; one without project_id is an admin key. A key that was deleted has none, while its usage remains." + polledNames,
	},
	{
		Name: apiKeyLastUsed, Type: Gauge, Section: SectionNames, Labels: []string{organization, apiKeyID, projectID},
		Help: "When the API key was last used, in Unix time; absent for one that never was." + polledNames,
	},
	{
		Name: apiKeyExpires, Type: Gauge, Section: SectionNames, Labels: []string{organization, apiKeyID, projectID},
		Help: "When the API key expires, in Unix time; absent for one that does not. The API says so of admin keys alone." + polledNames,
	},
}

// limitMetrics are what OpenAI allows.
var limitMetrics = []Metric{
	{
		Name: spendLimit, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID},
		Help: "What may be spent in a month in US dollars: by the project, or without project_id by the whole organization; absent where no limit is set, and of an organization of which only some projects are read." + polledLimits,
	},
	{
		Name: spendEnforcing, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID},
		Help: "Whether OpenAI refuses requests now because a spend limit is reached (1) or not (0): requests of the project, or without project_id of the whole organization; absent where no limit is set." + polledLimits,
	},
	{
		Name: rateTokens, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID, model},
		Help: "Tokens per minute that a project may use of a model, for models that its usage was counted for; absent where there is no limit." + polledLimits,
	},
	{
		Name: rateRequests, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID, model},
		Help: "Requests per minute that a project may make to a model, for models that its usage was counted for; absent where there is no limit." + polledLimits,
	},
	{
		Name: rateDaily, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID, model},
		Help: "Requests per day that a project may make to a model, for models that its usage was counted for; absent where there is no limit." + polledLimits,
	},
	{
		Name: rateImages, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID, model},
		Help: "Images per minute that a project may make with a model, for models that its usage was counted for; absent where there is no limit." + polledLimits,
	},
	{
		Name: rateAudio, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID, model},
		Help: "Megabytes of audio per minute that a project may send to a model, for models that its usage was counted for; absent where there is no limit." + polledLimits,
	},
	{
		Name: rateBatch, Type: Gauge, Section: SectionLimits, Labels: []string{organization, projectID, model},
		Help: "Input tokens per day that a project may use of a model in batches, for models that its usage was counted for; absent where there is no limit." + polledLimits,
	},
}

// exporterMetrics are the metrics that no measure of the API makes.
var exporterMetrics = []Metric{
	{
		Name: up, Type: Gauge, Section: SectionEndpoint, Labels: []string{organization, endpoint},
		Help: "Whether the last poll of the endpoint, or the last look-up, succeeded (1) or failed (0). Polled, so as old as the endpoint's interval; absent before the first poll and for an endpoint that the organization does not have.",
	},
	{
		Name: available, Type: Gauge, Section: SectionEndpoint, Labels: []string{organization, endpoint},
		Help: "Whether the organization has the endpoint: 0 where the API has only ever answered 404. Polled, so as old as the endpoint's interval; absent before the first poll.",
	},
	{
		Name: polls, Type: Counter, Section: SectionEndpoint, Labels: []string{organization, endpoint, outcome},
		Help: "Polls by outcome, success or error, since the exporter started; error is absent before the first.",
	},
	{
		Name: pollDuration, Type: Histogram, Section: SectionEndpoint, Labels: []string{organization, endpoint},
		Help: "How long polls took, all requests and the booking included.",
	},
	{
		Name: lastSuccess, Type: Gauge, Section: SectionEndpoint, Labels: []string{organization, endpoint},
		Help: "When the endpoint was last polled with success, in Unix time; absent before.",
	},
	{
		Name: requests, Type: Counter, Section: SectionEndpoint, Labels: []string{organization, endpoint, code},
		Help: "Requests sent to the API by HTTP status, or by timeout, network, or body for a torn or invalid answer, since the exporter started; a code but 200 is absent before the first.",
	},
	{
		Name: requestDuration, Type: Histogram, Section: SectionEndpoint, Labels: []string{organization, endpoint},
		Help: "How long requests to the API took, the answer's body included.",
	},
	{
		Name: readBound, Type: Gauge, Section: SectionEndpoint, Labels: []string{organization, endpoint, "bound"},
		Help: "Share that the last read used of what a read may bring: body, the bytes of its largest page; pages; rows, of all its pages. A read that needs more than 1 of any fails whole. Absent until a read has used a tenth.",
	},
	{
		Name: restated, Type: Counter, Section: SectionAccuracy, Labels: []string{organization, endpoint, measure, direction},
		Help: "Amounts by which the API restated what it had reported, in the measure's own unit, since the exporter started: down for every decrease, up for growth later than 15 minutes after the end of a bucket. Absent before the first.",
	},
	{
		Name: withheld, Type: Gauge, Section: SectionAccuracy, Labels: []string{organization, endpoint, measure},
		Help: "Amount by which the counters are ahead of the API after restatements downwards, in the measure's own unit; they stand still until growth has paid it back. Absent before the first.",
	},
	{
		Name: auditDifference, Type: Counter, Section: SectionAccuracy, Labels: []string{organization, endpoint, measure, direction},
		Help: "Amounts that only the audit of closed hours found and booked, in the measure's own unit, since the exporter started. Absent before the first.",
	},
	{
		Name: hoursGivenUp, Type: Counter, Section: SectionAccuracy, Labels: []string{organization, endpoint},
		Help: "Old hours that the API refuses or no longer has and that are not audited any more, since the exporter started. Absent before the first.",
	},
	{
		Name: audits, Type: Counter, Section: SectionAccuracy, Labels: []string{organization, endpoint, outcome},
		Help: "Audits of closed hours by outcome, success or error, since the exporter started; error is absent before the first.",
	},
	{
		Name: labelSets, Type: Gauge, Section: SectionAccuracy, Labels: []string{organization},
		Help: "Label sets that have series of their own.",
	},
	{
		Name: labelSetsLimit, Type: Gauge, Section: SectionAccuracy, Labels: []string{organization},
		Help: "How many label sets may have series of their own; more are folded into other.",
	},
	{
		Name: overflow, Type: Gauge, Section: SectionAccuracy, Labels: []string{organization},
		Help: "Label sets folded into the series whose dimensions read other; sums stay exact.",
	},
	{
		Name: seriesExposed, Type: Gauge, Section: SectionAccuracy, Labels: []string{organization},
		Help: "Usage, cost and estimate series in this exposition.",
	},
	{
		Name: commitDuration, Type: Histogram, Section: SectionExporter,
		Help: "How long it took to write a poll to the state on disk.",
	},
	{
		Name: commitErrors, Type: Counter, Section: SectionExporter,
		Help: "Polls that could not be written to the state on disk, since the exporter started. What was not written is not exposed either, and is read again.",
	},
	{
		Name: stateBytes, Type: Gauge, Section: SectionExporter,
		Help: "Size of the state on disk.",
	},
	{
		Name: shardIndex, Type: Gauge, Section: SectionExporter,
		Help: "Which of the replicas that share the work this is, counted from 0.",
	},
	{
		Name: shardCount, Type: Gauge, Section: SectionExporter,
		Help: "How many replicas share the work, by what this one was told; 1 without sharding.",
	},
	{
		Name: reloadSuccess, Type: Gauge, Section: SectionExporter,
		Help: "Whether the last load of the configuration succeeded (1) or the one before goes on (0).",
	},
	{
		Name: reloadTimestamp, Type: Gauge, Section: SectionExporter,
		Help: "When the configuration was last loaded with success, in Unix time.",
	},
	{
		Name: buildInfo, Type: Gauge, Section: SectionExporter, Labels: []string{"version", "revision", "branch", "goversion", "goos", "goarch", "tags"},
		// The library's own words, since its collector makes the metric.
		Help: "A metric with a constant '1' value labeled by version, revision, branch, goversion from which openai_exporter was built, and the goos and goarch for the build.",
	},
}
