package metrics

import "github.com/openai-exporter/openai_exporter/internal/api"

// fixed are the metrics that are not made from the tables of the API, in the order of the reference.
var fixed []Metric

// entry puts a metric into the table and returns its name. The collector gives the metric its value by that name.
func entry(m Metric) string {
	fixed = append(fixed, m)
	return m.Name
}

// Usage: how far it was read.
var (
	ReadThrough = entry(Metric{
		Name: "openai_usage_read_through_timestamp_seconds", Type: Gauge, Section: SectionUsage, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "End of the newest closed bucket that was read, in Unix time." + polled,
		Note: "A bucket is closed when its time is over. OpenAI may still add usage to it.",
	})
)

// Costs: the bill so far. The labels are those of the costs.
var (
	CostToday = entry(billed(Metric{
		Name: "openai_cost_today_usd", Type: Gauge, Section: SectionCosts,
		Help: "Cost of the current UTC day in US dollars." + polled,
		Note: "After midnight UTC it is absent until the new day has costs.",
	}))
	CostMonth = entry(billed(Metric{
		Name: "openai_cost_month_to_date_usd", Type: Gauge, Section: SectionCosts,
		Help: "Cost of the current UTC month in US dollars, the current day included." + polled,
	}))
)

// Estimates and prices: what the estimate is based on, and how good it was.
var (
	EstimateRatio = entry(Metric{
		Name: "openai_estimated_to_billed_ratio", Type: Gauge, Section: SectionEstimate, Labels: []string{LabelOrganization, LabelProjectID},
		Help: "Estimated cost of a project divided by its billed charges, on the newest day whose bill and usage are complete." + polled,
		Note: "It is the newest day that has charges of at least one cent and complete usage, and whose bill was read three days after the end of the day or later, when OpenAI no longer corrects it. Until there is such a day, a bill that was read one day after the end of its day is enough. Absent where less than one cent was charged. Credits are left out. Charges without usage, such as fine-tuning, make the ratio smaller than 1.",
	})
	WholeRatio = entry(Metric{
		Name: "openai_organization_estimated_to_billed_ratio", Type: Gauge, Section: SectionEstimate, Labels: []string{LabelOrganization},
		Help: "Estimated cost of the organization divided by its billed charges, on the newest day whose bill and usage are complete." + polled,
		Note: "Usage and charges without a project are included. Otherwise it is the same as `openai_estimated_to_billed_ratio`.",
	})
	EffectivePrice = entry(Metric{
		Name: "openai_effective_price_usd", Type: Gauge, Section: SectionEstimate, Labels: []string{LabelOrganization, LabelLineItem, LabelUnit, LabelModel, LabelTokenType, LabelModality, LabelServiceTier, LabelContext}, Endpoints: []string{api.Costs}, Fields: []string{"amount", "quantity"},
		Help: "Price in US dollars that the bill charged per unit of the quantity of a line item." + polled,
		Note: "Discounts are included, and free quantities are left out. It is the mean of the newest closed days with this line item: at most three, and none from before the last jump of the price. The labels `model`, `token_type`, `modality`, `service_tier` and `context` are read from the name of the line item.",
	})
	PriceInfo = entry(Metric{
		Name: "openai_exporter_price_info", Type: Gauge, Section: SectionEstimate, Labels: []string{LabelOrganization, LabelEndpoint, LabelModel, LabelSource},
		Help: "A constant 1 for every model in use, with the source of its price.",
		Note: "The source is `bill` (learned from the bill), `file` (`pricing.file`), `builtin` (the built-in price list) or `none`.",
	})
	PriceTimestamp = entry(Metric{
		Name: "openai_exporter_price_timestamp_seconds", Type: Gauge, Section: SectionEstimate, Labels: []string{LabelOrganization, LabelSource},
		Help: "Date of the prices of a source, in Unix time.",
		Note: "`bill`: the end of the newest day that prices were learned from. `file`: when the file was last written. `builtin`: the date of the list.",
	})
	UnparsedItems = entry(Metric{
		Name: "openai_exporter_unparsed_line_items", Type: Gauge, Section: SectionEstimate, Labels: []string{LabelOrganization},
		Help: "Line items of the bill from which no price could be learned.",
		Note: "The exporter does not know their spelling or their unit.",
	})
)

// Budgets and forecast: the period so far and the period as a whole.
var (
	MonthToDate = entry(Metric{
		Name: "openai_organization_month_to_date_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization},
		Help: "Cost of the organization in the current UTC month in US dollars, as billed." + polled,
		Note: "Credits are included. It does not depend on `group_by` or on folding.",
	})
	MonthUnbilled = entry(Metric{
		Name: "openai_organization_unbilled_estimate_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization},
		Help: "Estimated cost of the organization in the current UTC month that is not billed yet, in US dollars." + polled,
		Note: "See `openai_budget_unbilled_estimate_usd`.",
	})
	MonthForecast = entry(Metric{
		Name: "openai_cost_month_forecast_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization},
		Help: "Forecast cost of the organization in the current UTC month in US dollars." + recomputed,
		Note: "What is spent, billed or not, plus what the remaining days are expected to cost. [forecast.md](forecast.md) says how that is computed.",
	})
	BudgetLimit = entry(Metric{
		Name: "openai_budget_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization, LabelBudget, LabelPeriod, LabelTeam},
		Help: "Budget for the period in US dollars, as configured.",
		Note: "The budget of a team has the label `team`, here and on the metrics below, so that alerts have it, too.",
	})
	BudgetSpent = entry(Metric{
		Name: "openai_budget_spent_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization, LabelBudget, LabelPeriod, LabelTeam},
		Help: "Spend of the budget in the current period in US dollars, billed plus estimated." + polled,
		Note: "The bill, plus the estimate for usage that is not billed yet.",
	})
	BudgetBilled = entry(Metric{
		Name: "openai_budget_billed_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization, LabelBudget, LabelPeriod, LabelTeam},
		Help: "Spend of the budget in the current period in US dollars, as billed." + polled,
	})
	BudgetUnbilled = entry(Metric{
		Name: "openai_budget_unbilled_estimate_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization, LabelBudget, LabelPeriod, LabelTeam},
		Help: "Estimated spend of the budget in the current period that is not billed yet, in US dollars." + polled,
		Note: "For each project and day, the part of the estimate that is above the bill. Only the current day counts, and earlier days until their bill was read one day after their end.",
	})
	BudgetForecast = entry(Metric{
		Name: "openai_budget_forecast_usd", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization, LabelBudget, LabelPeriod, LabelTeam},
		Help: "Forecast spend of the budget at the end of the current period in US dollars." + recomputed,
	})
	BudgetExhausted = entry(Metric{
		Name: "openai_budget_exhausted_timestamp_seconds", Type: Gauge, Section: SectionBudgets, Labels: []string{LabelOrganization, LabelBudget, LabelPeriod, LabelTeam},
		Help: "When the budget was spent, or by the forecast will be spent, in Unix time." + recomputed,
		Note: "Absent where that is not within the current period.",
	})
)

// Names: what the look-ups say. Names are labels of these metrics and of no other: one that changes must not split a
// counter in two.
var (
	ProjectInfo = entry(Metric{
		Name: "openai_project_info", Type: Gauge, Section: SectionNames, Labels: []string{LabelOrganization, LabelProjectID, "project_name", "status", "residency", LabelTeam},
		Help: "A constant 1 for every project, with its name, status, residency and team." + polled,
		Note: "Archived projects are included. `residency` is the region where its data are stored and processed, in OpenAI's spelling. `team` is the configured team that pays for the project, and each further label of the team becomes `team_<label>`. With `names.enabled: false` only the projects of teams are exposed.",
	})
	UserInfo = entry(Metric{
		Name: "openai_user_info", Type: Gauge, Section: SectionNames, Labels: []string{LabelOrganization, "user_id", "user_name", "role", "user_email", "is_service_account"},
		Help: "A constant 1 for every user, with the name and the role." + polled,
		Note: "`is_service_account` says whether it is a service account. The label `user_email` needs `names.user_emails`.",
	})
	APIKeyInfo = entry(Metric{
		Name: "openai_api_key_info", Type: Gauge, Section: SectionNames, Labels: []string{LabelOrganization, LabelAPIKeyID, "api_key_name", LabelProjectID, "owner_type", "owner_id", "owner_name"},
		Help: "A constant 1 for every API key, with its name and its owner." + polled,
		Note: "The owner is a user or a service account. A key without `project_id` is an admin key. A deleted key has no such series; its usage remains.",
	})
	APIKeyCreated = entry(Metric{
		Name: "openai_api_key_created_timestamp_seconds", Type: Gauge, Section: SectionNames, Labels: []string{LabelOrganization, LabelAPIKeyID, LabelProjectID},
		Help: "When the API key was created, in Unix time." + polled,
	})
	APIKeyLastUsed = entry(Metric{
		Name: "openai_api_key_last_used_timestamp_seconds", Type: Gauge, Section: SectionNames, Labels: []string{LabelOrganization, LabelAPIKeyID, LabelProjectID},
		Help: "When the API key was last used, in Unix time." + polled,
		Note: "Absent for a key that was never used.",
	})
	APIKeyExpires = entry(Metric{
		Name: "openai_api_key_expires_timestamp_seconds", Type: Gauge, Section: SectionNames, Labels: []string{LabelOrganization, LabelAPIKeyID, LabelProjectID},
		Help: "When the API key expires, in Unix time." + polled,
		Note: "Absent for a key that does not expire. The API says this only for admin keys.",
	})
)

const limitNote = "Only for models that the project has used. Absent where there is no limit."

// Limits: what OpenAI allows.
var (
	SpendLimit = entry(Metric{
		Name: "openai_spend_limit_usd", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID},
		Help: "Monthly spend limit in US dollars of a project or, without project_id, of the organization." + polled,
		Note: "Absent where no limit is set, and for an organization of which only some projects are read.",
	})
	SpendEnforcing = entry(Metric{
		Name: "openai_spend_limit_enforcing", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID},
		Help: "Whether OpenAI refuses requests because a spend limit is reached (1) or not (0)." + polled,
		Note: "Of a project or, without `project_id`, of the whole organization. Absent where no limit is set.",
	})
	RateTokens = entry(Metric{
		Name: "openai_rate_limit_tokens_per_minute", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID, LabelModel},
		Help: "Rate limit of a project for a model in tokens per minute." + polled,
		Note: limitNote,
	})
	RateRequests = entry(Metric{
		Name: "openai_rate_limit_requests_per_minute", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID, LabelModel},
		Help: "Rate limit of a project for a model in requests per minute." + polled,
		Note: limitNote,
	})
	RateDaily = entry(Metric{
		Name: "openai_rate_limit_requests_per_day", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID, LabelModel},
		Help: "Rate limit of a project for a model in requests per day." + polled,
		Note: limitNote,
	})
	RateImages = entry(Metric{
		Name: "openai_rate_limit_images_per_minute", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID, LabelModel},
		Help: "Rate limit of a project for a model in images per minute." + polled,
		Note: limitNote,
	})
	RateAudio = entry(Metric{
		Name: "openai_rate_limit_audio_megabytes_per_minute", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID, LabelModel},
		Help: "Rate limit of a project for a model in megabytes of audio per minute." + polled,
		Note: limitNote,
	})
	RateBatch = entry(Metric{
		Name: "openai_rate_limit_batch_input_tokens_per_day", Type: Gauge, Section: SectionLimits, Labels: []string{LabelOrganization, LabelProjectID, LabelModel},
		Help: "Rate limit of a project for a model in input tokens of batches per day." + polled,
		Note: limitNote,
	})
)

// Endpoints, accuracy, and the exporter itself.
var (
	Up = entry(Metric{
		Name: "openai_up", Type: Gauge, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "Whether the last poll of the endpoint, or the last look-up, succeeded (1) or failed (0)." + polled,
		Note: "Absent before the first poll, and for an endpoint that the organization does not have.",
	})
	Available = entry(Metric{
		Name: "openai_endpoint_available", Type: Gauge, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "Whether the organization has the endpoint (1), or the API has only ever answered 404 (0)." + polled,
		Note: "Absent before the first poll.",
	})
	Polls = entry(Metric{
		Name: "openai_exporter_polls_total", Type: Counter, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint, LabelOutcome},
		Help: "Polls by outcome, success or error.",
		Note: "Counts since the exporter started. `error` is absent before the first error.",
	})
	PollDuration = entry(Metric{
		Name: "openai_exporter_poll_duration_seconds", Type: Histogram, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "Duration of polls in seconds, including all their requests and the write to disk.",
	})
	LastSuccess = entry(Metric{
		Name: "openai_exporter_last_success_timestamp_seconds", Type: Gauge, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "When the endpoint was last polled successfully, in Unix time.",
		Note: "Absent before that.",
	})
	Requests = entry(Metric{
		Name: "openai_exporter_api_requests_total", Type: Counter, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint, LabelCode},
		Help: "Requests to the API by HTTP status, or by the kind of failure: timeout, network or body.",
		Note: "`body` is a response that was cut off or invalid. Counts since the exporter started. Codes other than 200 are absent until they first occur.",
	})
	RequestDuration = entry(Metric{
		Name: "openai_exporter_api_request_duration_seconds", Type: Histogram, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "Duration of requests to the API in seconds, including the response body.",
	})
	ReadBound = entry(Metric{
		Name: "openai_exporter_read_bound_ratio", Type: Gauge, Section: SectionEndpoint, Labels: []string{LabelOrganization, LabelEndpoint, "bound"},
		Help: "Share of a limit of the exporter that the last read used, by limit: body, pages or rows.",
		Note: "`body` is the bytes of the largest page, `pages` is the number of pages, and `rows` is the number of rows in all pages. A read that exceeds one of them fails, and nothing of it counts. Absent until a read has used a tenth.",
	})
	Restated = entry(Metric{
		Name: "openai_exporter_restated_total", Type: Counter, Section: SectionAccuracy, Labels: []string{LabelOrganization, LabelEndpoint, LabelMeasure, LabelDirection},
		Help: "Amounts by which the API changed what it had reported before, in the unit of the measure.",
		Note: "`down` is every decrease, `up` is growth later than 15 minutes after the end of a bucket. Counts since the exporter started. Absent before the first change.",
	})
	Withheld = entry(Metric{
		Name: "openai_exporter_withheld", Type: Gauge, Section: SectionAccuracy, Labels: []string{LabelOrganization, LabelEndpoint, LabelMeasure},
		Help: "Amount by which the counters are ahead of the API, in the unit of the measure.",
		Note: "A counter must not go down. After the API has corrected a number downwards, its counter stands still until new usage has made up for it. Absent before the first such correction.",
	})
	AuditDifference = entry(Metric{
		Name: "openai_exporter_audit_difference_total", Type: Counter, Section: SectionAccuracy, Labels: []string{LabelOrganization, LabelEndpoint, LabelMeasure, LabelDirection},
		Help: "Amounts that only the audit of closed hours found, in the unit of the measure.",
		Note: "The usage counters include them. Counts since the exporter started. Absent before the first.",
	})
	HoursGivenUp = entry(Metric{
		Name: "openai_exporter_hours_given_up_total", Type: Counter, Section: SectionAccuracy, Labels: []string{LabelOrganization, LabelEndpoint},
		Help: "Old hours that are no longer audited because the API refuses them or no longer has them.",
		Note: "Counts since the exporter started. Absent before the first.",
	})
	Audits = entry(Metric{
		Name: "openai_exporter_audits_total", Type: Counter, Section: SectionAccuracy, Labels: []string{LabelOrganization, LabelEndpoint, LabelOutcome},
		Help: "Audits of closed hours by outcome, success or error.",
		Note: "Counts since the exporter started. `error` is absent before the first error.",
	})
	LabelSets = entry(Metric{
		Name: "openai_exporter_label_sets", Type: Gauge, Section: SectionAccuracy, Labels: []string{LabelOrganization},
		Help: "Number of label sets that have series of their own.",
	})
	LabelSetsLimit = entry(Metric{
		Name: "openai_exporter_label_sets_limit", Type: Gauge, Section: SectionAccuracy, Labels: []string{LabelOrganization},
		Help: "Highest number of label sets that may have series of their own.",
		Note: "Further label sets are folded into `other`.",
	})
	Overflow = entry(Metric{
		Name: "openai_exporter_overflow_label_sets", Type: Gauge, Section: SectionAccuracy, Labels: []string{LabelOrganization},
		Help: "Number of label sets that are folded into the series whose dimensions are other.",
		Note: "Sums are still exact.",
	})
	SeriesExposed = entry(Metric{
		Name: "openai_exporter_series", Type: Gauge, Section: SectionAccuracy, Labels: []string{LabelOrganization},
		Help: "Number of usage, cost and estimate series in this exposition.",
	})
	CommitDuration = entry(Metric{
		Name: "openai_exporter_state_commit_duration_seconds", Type: Histogram, Section: SectionExporter,
		Help: "Time it took to write the data of a poll to the state on disk, in seconds.",
	})
	CommitErrors = entry(Metric{
		Name: "openai_exporter_state_commit_errors_total", Type: Counter, Section: SectionExporter,
		Help: "Polls whose data could not be written to the state on disk.",
		Note: "Counts since the exporter started. Data that were not written are not exposed either, and are read again.",
	})
	StateBytes = entry(Metric{
		Name: "openai_exporter_state_bytes", Type: Gauge, Section: SectionExporter,
		Help: "Size of the state on disk in bytes.",
	})
	ShardIndex = entry(Metric{
		Name: "openai_exporter_shard", Type: Gauge, Section: SectionExporter,
		Help: "Number of this replica among the replicas that share the polling, counted from 0.",
	})
	ShardCount = entry(Metric{
		Name: "openai_exporter_shards", Type: Gauge, Section: SectionExporter,
		Help: "Number of replicas that share the polling, as this one is configured.",
		Note: "1 without sharding.",
	})
	ReloadSuccess = entry(Metric{
		Name: "openai_exporter_config_last_reload_successful", Type: Gauge, Section: SectionExporter,
		Help: "Whether the last load of the configuration succeeded (1) or failed (0).",
		Note: "After a failed load, the previous configuration stays in use.",
	})
	ReloadTimestamp = entry(Metric{
		Name: "openai_exporter_config_last_reload_success_timestamp_seconds", Type: Gauge, Section: SectionExporter,
		Help: "When the configuration was last loaded successfully, in Unix time.",
	})
	BuildInfo = entry(Metric{
		Name: "openai_exporter_build_info", Type: Gauge, Section: SectionExporter, Labels: []string{"version", "revision", "branch", "goversion", "goos", "goarch", "tags"},
		// The library's own words, since its collector makes the metric.
		Help: "A metric with a constant '1' value labeled by version, revision, branch, goversion from which openai_exporter was built, and the goos and goarch for the build.",
	})
)
