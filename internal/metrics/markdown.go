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
	{name: LabelMeasure, help: "what is counted, by its word in the names of metrics, such as `requests`, `input_tokens`, `cost_usd`"},
	{name: LabelDirection, help: "`up` or `down`"},
	{name: LabelOutcome, help: "`success` or `error`"},
	{name: LabelCode, help: "the HTTP status, or `timeout`, `network` or `body` (a response that was cut off or invalid)"},
	{name: LabelSource, help: "where a price comes from: `bill`, `file`, `builtin` or `none`"},
	{name: LabelTokenType, help: "what a line item is for: `input`, `cached_input`, `cache_write` or `output`; absent where the line item does not say"},
	{name: LabelModality, help: "`text`, `audio` or `image`; absent where the line item does not say"},
	{name: LabelContext, help: "`long` for long context; absent where the line item does not say"},
	{name: LabelBudget, help: "the budget's name in the configuration"},
	{name: LabelPeriod, help: "the period of the budget: a UTC `month`, `quarter` or `year`, or a fixed `term`"},
	{name: "project_name", help: "the project's name"},
	{name: "status", help: "`active` or `archived`"},
	{name: "residency", help: "the region where the project's data are stored and processed, in OpenAI's spelling, such as `GLOBAL` or `EU_STORAGE`"},
	{name: "team", help: "the team in the configuration that pays for the project or has the budget, or `unallocated`"},
	{name: "user_name", help: "the user's name"},
	{name: "role", help: "the user's role in the organization: `owner` or `reader`"},
	{name: "is_service_account", help: "`true` or `false`"},
	{name: "user_email", help: "the user's e-mail address, only with `names.user_emails`"},
	{name: "api_key_name", help: "the API key's name"},
	{name: "owner_type", help: "`user` or `service_account`"},
	{name: "owner_id", help: "the id of the user or the service account that the API key belongs to"},
	{name: "owner_name", help: "the name of that user or service account"},
	{name: "bound", help: "the limit of a read: `body`, `pages` or `rows`"},
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

` + "`openai_…`" + ` is the provider's data, ` + "`openai_exporter_…`" + ` is about the exporter itself. The provider's data is polled: a scrape
shows what the last successful poll read. A failed poll changes nothing but the metrics that report the failure.
`

var sections = []struct {
	section Section
	text    string
	age     string // how old polled values may be: said once here, and in short in each HELP
}{
	{SectionUsage, "Counting starts when the exporter first runs with its state directory, or at `counters.start`. Counters continue after a restart and " +
		"never go down. A new series is exposed as 0 for `counters.zero_hold` first, so that `increase()` sees its first value.\n\n" +
		"Every label set has requests, `input_tokens`, `output_tokens`, `input_cached_tokens` and the units other than tokens, as far as its endpoint has them. " +
		"Each other token counter appears, at 0, when its label set first has such tokens. Most label sets never have any. " +
		"The token counters overlap: `input_tokens` and `output_tokens` are totals, and the others are parts of them. Never add a total and its parts.\n\n" +
		"`group_by` decides which dimensions (`project_id`, `model`, …) become labels. Where the API leaves a dimension empty, the label is absent. " +
		"Label sets above `counters.max_label_sets` are folded into one series per endpoint, whose dimensions all have the value `other`.", "Up to one interval old (default 1m, hourly endpoints 15m). OpenAI completes a minute for 5 to 15 minutes, and restates it for hours."},
	{SectionCosts, "What OpenAI bills, in whole UTC days, credits included. The bill comes later than the usage, and it is what you pay.", "Up to one interval old (default 15m). OpenAI restates a day for up to three days."},
	{SectionEstimate, "What usage is estimated to cost before it is billed. The exporter prices each row of usage when it reads it, by the first of these that has a price: " +
		"the bill of the last closed days, `pricing.file`, the built-in price list. Prices from the bill include discounts, and a free quantity where its share is the same " +
		"every day ([pricing.md](pricing.md#what-the-bill-teaches)). To read a row again changes nothing. A row that OpenAI restates is priced again. New prices do not change earlier " +
		"estimates. Each service tier has its own price, even where `group_by` does not show it. No metric of this section adds the bill and the estimate. " +
		"The cost of storage in vector stores is in none of these counters, but in `openai_organization_unbilled_estimate_usd` and `openai_budget_unbilled_estimate_usd`. `openai_exporter_unpriced_*_total` " +
		"continue after a restart, as the estimate does.", "Up to one interval old (default 1m, hourly endpoints 15m). OpenAI completes a minute for 5 to 15 minutes, and restates it for hours."},
	{SectionBudgets, "What a UTC month or the period of a budget has cost so far, and what it will have cost by its end. These metrics add the bill and the estimate of what is not billed yet. " +
		"Both parts are metrics, too. [forecast.md](forecast.md) explains the method and states its error.", "Up to one interval old: the bill 15m by default, the estimate 1m. Forecasts are recomputed with every poll and every hour."},
	{SectionNames, "The names that belong to ids. Usage and costs have ids only, so that no series ends when a name changes. Join names by id, as in " +
		"`sum by (organization, project_id) (openai_cost_month_to_date_usd) * on (organization, project_id) group_left (project_name) " +
		"openai_project_info`. The look-ups need the permission `api.management.read`. Without it these metrics are absent, and usage and costs are " +
		"not affected.", "Up to one interval old (default 10m), longer where there are hundreds of projects. They keep their last values while look-ups fail, and after a restart."},
	{SectionLimits, "What OpenAI allows. Divide by a limit to see how much of it is used, as in `sum by (organization, project_id) " +
		"(openai_cost_month_to_date_usd) / on (organization, project_id) openai_spend_limit_usd{project_id!=\"\"}`. The API lists hundreds of models for every " +
		"project, so only the rate limits of models that the project has used are exposed. They need `project_id` and `model` in `group_by`. " +
		"Where usage names a model with its snapshot date and the API lists the limit only under the name without the date, the limit has the name without the date. The look-ups need the " +
		"permission `api.management.read`.", "Up to one interval old (default 10m), longer where there are hundreds of projects. They keep their last values while look-ups fail."},
	{SectionEndpoint, "Whether and how fast each endpoint is polled, and each look-up made. Costs are the endpoint `costs`.", ""},
	{SectionAccuracy, "How numbers changed after they were first read, and how many label sets there are.", ""},
	{SectionExporter, "Its state, its configuration, its build.", ""},
}

const labelText = "A label without a value is absent. Ids are those of the API."

const libraryText = `
## From libraries

` + "`go_*`" + ` and ` + "`process_*`" + ` describe the Go runtime and the process, ` + "`promhttp_*`" + ` the scrapes.

Counters carry their start timestamp in protobuf and in OpenMetrics 2.0.
`
