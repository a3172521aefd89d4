package metrics

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// WriteMarkdown writes the metrics reference.
func WriteMarkdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString(preface)
	table := Table()
	for _, s := range sections {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", s.section, s.text)
		if s.age != "" {
			fmt.Fprintf(b, "\n**How old.** %s\n", s.age)
		}
		provider := s.section == SectionUsage || s.section == SectionCosts
		if provider {
			b.WriteString("\n| metric | type | labels | from | endpoints | meaning |\n|---|---|---|---|---|---|\n")
		} else {
			b.WriteString("\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
		}
		for _, m := range table {
			if m.Section != s.section {
				continue
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |", m.Name, m.Type, codes(m.Labels))
			if provider {
				fmt.Fprintf(b, " %s | %s |", codes(m.Fields), strings.Join(m.Endpoints, ", "))
			}
			fmt.Fprintf(b, " %s |\n", cell(meaning(&m)))
		}
	}
	fmt.Fprintf(b, "\n## Labels\n\n%s\n\n| label | holds | endpoints |\n|---|---|---|\n", labelText)
	for _, l := range dimensionLabels() {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", l.name, cell(l.help), strings.Join(l.endpoints, ", "))
	}
	for _, l := range ownLabels {
		fmt.Fprintf(b, "| `%s` | %s | |\n", l.name, cell(l.help))
	}
	b.WriteString(libraryText)
	return b.Flush()
}

type label struct {
	name, help string
	endpoints  []string
}

// meaning is what the reference says of a metric. That values are polled is said once for each section.
func meaning(m *Metric) string {
	help := strings.TrimSuffix(strings.TrimSuffix(m.Help, polled), recomputed)
	if m.Note == "" {
		return help
	}
	return help + " " + m.Note
}

// dimensionLabels are the labels that the API's dimensions make, in the order in which the table of endpoints names them.
func dimensionLabels() []*label {
	var out []*label
	byName := make(map[string]*label)
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		for _, ds := range [][]api.Dimension{e.Dimensions, e.Attributes} {
			for _, d := range ds {
				l := byName[d.Label]
				if l == nil {
					l = &label{name: d.Label, help: d.Help}
					byName[d.Label] = l
					out = append(out, l)
				}
				l.endpoints = append(l.endpoints, e.Name)
			}
		}
	}
	return out
}

var ownLabels = []label{
	{name: LabelOrganization, help: "the organization's name in the configuration"},
	{name: LabelEndpoint, help: "the API's own name of the endpoint, `costs`, or the look-up: `projects`, `users`, `api_keys`, `rate_limits`, `spend_limits`"},
	{name: LabelMeasure, help: "what an amount counts: the word in the metric's name, such as `requests`, `input_tokens`, `cost_usd`"},
	{name: LabelDirection, help: "`up` or `down`"},
	{name: LabelOutcome, help: "`success` or `error`"},
	{name: LabelCode, help: "the HTTP status, or `timeout`, `network`, `body` (torn or invalid)"},
	{name: LabelSource, help: "where a price comes from: `bill`, `file`, `builtin` or `none`"},
	{name: LabelTokenType, help: "what a line item is for: `input`, `cached_input`, `cache_write` or `output`; absent where it does not say"},
	{name: LabelModality, help: "`text`, `audio` or `image`, where a line item says it"},
	{name: LabelContext, help: "`long` for long context, where a line item says it"},
	{name: LabelBudget, help: "the budget's name in the configuration"},
	{name: LabelPeriod, help: "what the budget is for: a UTC `month`, `quarter` or `year`, or a `term`"},
	{name: "project_name", help: "the project's name"},
	{name: "status", help: "`active` or `archived`"},
	{name: "user_name", help: "the user's name"},
	{name: "role", help: "the user's role in the organization: `owner` or `reader`"},
	{name: "user_email", help: "the user's e-mail address, only with `names.user_emails`"},
	{name: "api_key_name", help: "the API key's name"},
	{name: "owner_type", help: "`user` or `service_account`"},
	{name: "owner_id", help: "the id of the user or the service account that the API key belongs to"},
}

func codes(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "` `") + "`"
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

const preface = `<!-- Generated from the table of metrics in internal/metrics; do not edit. go test ./internal/metrics -update writes it again. -->
# Metrics

` + "`openai_`" + ` is the provider's data, ` + "`openai_exporter_`" + ` is about the exporter. The provider's data is polled: a scrape
shows what the last successful poll said. A failed poll changes nothing but its own failure metrics.
`

var sections = []struct {
	section Section
	text    string
	age     string // how old polled values may be: said once here, and in short in each HELP
}{
	{SectionUsage, "Counters count from when the exporter first started on its state directory, or from `counters.start`. They go on over restarts and " +
		"never go down. A new series is exposed as 0 for `counters.zero_hold` first, so that `increase()` sees its first value. Requests, `input_tokens`, `output_tokens`, `input_cached_tokens` and the units " +
		"other than tokens are there for every label set. Each other token field begins when the label set first has some, with 0 as a new series does. " +
		"Until then it is absent, since most label sets never have any. The token " +
		"counters overlap: `input_tokens` is the whole, and the others are parts of it. Never add them up.\n\n" +
		"The dimensions (`project_id`, `model`, …) are there as far as `group_by` asks for them. A dimension that a row leaves empty is an absent label. " +
		"What exceeds `counters.max_label_sets` is folded into one series per endpoint whose dimensions read `other`.", "Up to one interval old (default 1m, hourly endpoints 15m). OpenAI completes a minute for 5 to 15 minutes, and restates it for hours."},
	{SectionCosts, "What OpenAI bills, in whole UTC days, credits included. The bill comes late, and it is what you pay.", "Up to one interval old (default 15m). OpenAI restates a day for up to three days."},
	{SectionEstimate, "What usage is estimated to cost before the bill says so. A row of usage is priced when it is read: with what the bill charged for " +
		"the same on the last closed days, discounts included, and less what is free in the same share day after day; else with `pricing.file`; else with the list in this program. Reading it " +
		"again changes nothing, a restatement prices it again, and new prices do not rewrite what was estimated before. Each tier has its own price, whatever `group_by` shows. Estimate and bill " +
		"are never mixed in one of these metrics. Storage of vector stores is a level and in none of these counters; what is unbilled has it. `openai_exporter_unpriced_*_total` " +
		"go on over restarts, as the estimate does.", "Up to one interval old (default 1m, hourly endpoints 15m). OpenAI completes a minute for 5 to 15 minutes, and restates it for hours."},
	{SectionBudgets, "The month so far and its end, by UTC. Bill and estimate come together here, and the two parts stand beside the sum; " +
		"[forecast.md](forecast.md) explains the method and states its error.", "Up to one interval old: as the bill (default 15m) and the estimate (default 1m). Forecasts are recomputed with every poll and every hour."},
	{SectionNames, "What the ids mean. Names never stand on counters, so that a new name splits none: join them by id, as in " +
		"`sum by (organization, project_id) (openai_cost_month_to_date_usd) * on (organization, project_id) group_left (project_name) " +
		"openai_project_info`. The look-ups need the permission `api.management.read`; without it these metrics are absent and all " +
		"others are not affected.", "Up to one interval old (default 10m), longer where there are hundreds of projects. They stay while look-ups fail, and over restarts."},
	{SectionLimits, "What OpenAI allows; division by it gives how much of it is used, as in `sum by (organization, project_id) " +
		"(openai_cost_month_to_date_usd) / on (organization, project_id) openai_spend_limit_usd{project_id!=\"\"}`. The API lists hundreds of models for every " +
		"project, so rate limits are exposed for those that the project's usage names: they need `project_id` and `model` in `group_by`. A " +
		"model that usage names with its snapshot date and the limits without it has the limit under the name without. The look-ups need the " +
		"permission `api.management.read`.", "Up to one interval old (default 10m), longer where there are hundreds of projects. They stay while look-ups fail."},
	{SectionEndpoint, "How the polling of each endpoint and each look-up goes; costs are the endpoint `costs`.", ""},
	{SectionAccuracy, "What happened to numbers after they were first read, and how full the exporter is.", ""},
	{SectionExporter, "Its state, its configuration, its build.", ""},
}

const labelText = "A label that has no value is absent. Ids are the API's own."

const libraryText = `
## From libraries

` + "`go_*`" + ` and ` + "`process_*`" + ` describe the Go runtime and the process, ` + "`promhttp_*`" + ` the scrapes.

Counters carry their start timestamp in protobuf and in OpenMetrics 2.0.
`
