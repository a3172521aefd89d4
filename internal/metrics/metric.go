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
