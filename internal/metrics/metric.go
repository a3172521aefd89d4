// Package metrics is the one table of the metrics: exposition, HELP texts, backfills, queries and the reference derive
// from it.
package metrics

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
	// Note is what the reference says beside.
	Note string
	// Unit is what it counts in where the name ends in that, as OpenMetrics wants it.
	Unit string
	// Labels are all that a series of it can have. Those of usage and costs depend on the grouping that is configured.
	Labels []string
	// Endpoints and Fields say where in the API the number comes from; empty for what the exporter says of itself.
	Endpoints, Fields []string
}

// Names that code refers to.
const (
	ReadThrough     = "openai_usage_read_through_timestamp_seconds"
	CostToday       = "openai_cost_today_usd"
	CostMonth       = "openai_cost_month_to_date_usd"
	ProjectInfo     = "openai_project_info"
	UserInfo        = "openai_user_info"
	APIKeyInfo      = "openai_api_key_info"
	APIKeyCreated   = "openai_api_key_created_timestamp_seconds"
	APIKeyLastUsed  = "openai_api_key_last_used_timestamp_seconds"
	APIKeyExpires   = "openai_api_key_expires_timestamp_seconds"
	SpendLimit      = "openai_spend_limit_usd"
	SpendEnforcing  = "openai_spend_limit_enforcing"
	RateTokens      = "openai_rate_limit_tokens_per_minute"
	RateRequests    = "openai_rate_limit_requests_per_minute"
	RateDaily       = "openai_rate_limit_requests_per_day"
	RateImages      = "openai_rate_limit_images_per_minute"
	RateAudio       = "openai_rate_limit_audio_megabytes_per_minute"
	RateBatch       = "openai_rate_limit_batch_input_tokens_per_day"
	EffectivePrice  = "openai_effective_price_usd"
	EstimateRatio   = "openai_estimated_to_billed_ratio"
	PriceInfo       = "openai_exporter_price_info"
	PriceTimestamp  = "openai_exporter_price_timestamp_seconds"
	UnparsedItems   = "openai_exporter_unparsed_line_items"
	WholeRatio      = "openai_organization_estimated_to_billed_ratio"
	MonthToDate     = "openai_organization_month_to_date_usd"
	MonthUnbilled   = "openai_organization_unbilled_estimate_usd"
	MonthForecast   = "openai_cost_month_forecast_usd"
	BudgetLimit     = "openai_budget_usd"
	BudgetSpent     = "openai_budget_spent_usd"
	BudgetBilled    = "openai_budget_billed_usd"
	BudgetUnbilled  = "openai_budget_unbilled_estimate_usd"
	BudgetForecast  = "openai_budget_forecast_usd"
	BudgetExhausted = "openai_budget_exhausted_timestamp_seconds"
	Up              = "openai_up"
	Available       = "openai_endpoint_available"
	Polls           = "openai_exporter_polls_total"
	PollDuration    = "openai_exporter_poll_duration_seconds"
	LastSuccess     = "openai_exporter_last_success_timestamp_seconds"
	Requests        = "openai_exporter_api_requests_total"
	RequestDuration = "openai_exporter_api_request_duration_seconds"
	Restated        = "openai_exporter_restated_total"
	Withheld        = "openai_exporter_withheld"
	AuditDifference = "openai_exporter_audit_difference_total"
	Audits          = "openai_exporter_audits_total"
	HoursGivenUp    = "openai_exporter_hours_given_up_total"
	LabelSets       = "openai_exporter_label_sets"
	LabelSetsLimit  = "openai_exporter_label_sets_limit"
	Overflow        = "openai_exporter_overflow_label_sets"
	SeriesExposed   = "openai_exporter_series"
	CommitDuration  = "openai_exporter_state_commit_duration_seconds"
	CommitErrors    = "openai_exporter_state_commit_errors_total"
	StateBytes      = "openai_exporter_state_bytes"
	ReadBound       = "openai_exporter_read_bound_ratio"
	ShardIndex      = "openai_exporter_shard"
	ShardCount      = "openai_exporter_shards"
	ReloadSuccess   = "openai_exporter_config_last_reload_successful"
	ReloadTimestamp = "openai_exporter_config_last_reload_success_timestamp_seconds"
	BuildInfo       = "openai_exporter_build_info"
)

// The labels that every series of an organization, or of one of its endpoints, has.
const (
	LabelOrganization = "organization"
	LabelEndpoint     = "endpoint"
	LabelMeasure      = "measure"
	LabelDirection    = "direction"
	LabelOutcome      = "outcome"
	LabelCode         = "code"
	LabelProjectID    = "project_id"
	LabelAPIKeyID     = "api_key_id"
	LabelModel        = "model"
	LabelLineItem     = "line_item"
	LabelUnit         = "unit"
	LabelSource       = "source"
	LabelBudget       = "budget"
	LabelTeam         = "team"
	LabelPeriod       = "period"
	LabelTokenType    = "token_type"
	LabelModality     = "modality"
	LabelServiceTier  = "service_tier"
	LabelContext      = "context"
)
