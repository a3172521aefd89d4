package grafana

import (
	"fmt"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
)

func budget() *Dashboard {
	const (
		whose   = `{organization=~"$organization"}`
		chosen  = `{organization=~"$organization",budget=~"$budget"}`
		project = `{organization=~"$organization",project_id=~"$project"}`
		usd     = "currencyUSD"
		month   = " Of the running UTC month."
		guess   = " What is not billed yet counts by its estimated price."
		off     = " It is what is spent and what the rest costs if its days are like those before: a few percent off, more where spending comes in bursts."
	)
	// Two exporters that know the same budget make no difference.
	join := func(metric string) string {
		return fmt.Sprintf("max by (organization, budget, period) (%s%s)", metric, chosen)
	}
	share := func(metric string) string {
		return join(metric) + " / on (organization, budget, period) " + join("openai_budget_usd")
	}
	left := func(metric string) string {
		return join("openai_budget_usd") + " - on (organization, budget, period) " + join(metric)
	}
	// Many budgets have each project, so that their sums would say nothing. Organizations have theirs once.
	once := func(expr string) string { return "sum(max by (organization) (" + expr + "))" }
	estimated := func(d string) string {
		return queries.Increase("openai_estimated_cost_usd_total"+project, d)
	}
	// A bar stands where its hour begins, so its query looks ahead.
	hourly := queries.IncreaseAt("openai_estimated_cost_usd_total"+project, "1h", "-1h")
	unpriced := func(unit string) string {
		return fmt.Sprintf(`label_replace(sum by (endpoint, model) (%s), "unit", %q, "", "")`, queries.Increase("openai_exporter_unpriced_"+unit+"_total"+whose, "$__range"), unit)
	}
	var withoutPrice string
	for _, unit := range []string{"tokens", "images", "characters", "audio_seconds", "code_interpreter_sessions", "file_search_calls", "web_search_calls"} {
		if withoutPrice != "" {
			withoutPrice += " or "
		}
		withoutPrice += unpriced(unit)
	}
	percent := []property{{"max", 1.0}, {"min", 0.0}, {"thresholds", thresholdsOf(good, from(0.8, warning), from(1, bad))}, {"custom.cellOptions", map[string]any{"type": "gauge", "mode": "basic"}}}
	return newDashboard(Dashboard{
		UID: "openai-budget", Title: "OpenAI / Budget",
		Description: "What the month has cost so far, billed or not, what it will have cost, and whether that fits the budgets. Days and months are UTC.",
		Time:        timeRange{"now-30d", "now"}, Timezone: "utc", Refresh: "5m",
	}, []variable{
		choice("organization", "Organization", "openai_cost_month_forecast_usd", "organization"),
		choice("budget", "Budget", "openai_budget_usd"+whose, "budget"),
		projects("openai_estimated_cost_usd_total" + whose),
	},
		row{height: 4, panels: []*panel{
			stat("Billed this month", "What the bill has, of all projects."+month, usd, "sum("+queries.Gauge("openai_cost_month_to_date_usd"+whose)+")"),
			stat("Forecast for the month", "What the whole month will have cost, of all projects."+off, usd, once("openai_cost_month_forecast_usd"+whose)),
			stat("Used in the last hour", "By estimated prices, of the chosen projects: the bill knows it some hours later.", usd, "sum("+estimated("1h")+")"),
			stat("Used in the last 24 hours", "By estimated prices, of the chosen projects.", usd, "sum("+estimated("24h")+")"),
			stat("Fullest budget", "The largest share that is spent of a budget."+guess+" Of its running period.", "percentunit", "max("+share("openai_budget_spent_usd")+")").
				limits(good, from(0.8, warning), from(1, bad)),
			stat("Fullest by forecast", "The largest share that will be spent of a budget by the end of its period."+off, "percentunit", "max("+share("openai_budget_forecast_usd")+")").
				limits(good, from(1, warning), from(1.05, bad)),
		}},
		row{height: 7, panels: []*panel{
			table("Budgets", "Every budget of the configuration, the fullest first, in its running period."+guess, "Spent of it",
				column{name: "Organization", label: "organization", width: 130},
				column{name: "Budget", label: "budget"},
				column{name: "Period", label: "period", width: 90},
				column{name: "USD", expr: join("openai_budget_usd"), unit: usd, width: 110},
				column{name: "Spent", expr: join("openai_budget_spent_usd"), unit: usd, width: 110},
				column{name: "Not billed yet", expr: join("openai_budget_unbilled_estimate_usd"), unit: usd, width: 120},
				column{name: "Forecast", expr: join("openai_budget_forecast_usd"), unit: usd, width: 110},
				column{name: "Spent of it", expr: share("openai_budget_spent_usd"), unit: "percentunit", width: 190, more: percent},
				column{name: "Forecast of it", expr: share("openai_budget_forecast_usd"), unit: "percentunit", width: 190, more: percent},
				column{name: "All spent", expr: join("openai_budget_exhausted_timestamp_seconds") + " * 1000", unit: "dateTimeAsIso", width: 170},
			),
		}},
		row{height: 9, panels: []*panel{
			lines("Left of each budget", "What is left, and dashed what will be left when its period ends. It falls to zero where the money does, and starts over with each period."+guess, usd,
				query{"{{budget}}", left("openai_budget_spent_usd")}, query{"{{budget}}, forecast", left("openai_budget_forecast_usd")},
			).signed().numbered().override("byRegexp", "/, forecast$/", property{"custom.lineStyle", map[string]any{"fill": "dash", "dash": []int{8, 6}}}),
			lines("Spent, billed and forecast", "The chosen budgets one by one: what is spent, the part of it that is billed, what the period will have cost, and the budget.", usd,
				query{"{{budget}} spent", join("openai_budget_spent_usd")}, query{"{{budget}} billed", join("openai_budget_billed_usd")},
				query{"{{budget}} forecast", join("openai_budget_forecast_usd")}, query{"{{budget}} budget", join("openai_budget_usd")},
			).signed().numbered().
				override("byRegexp", "/ forecast$/", property{"custom.lineStyle", map[string]any{"fill": "dash", "dash": []int{8, 6}}}).
				override("byRegexp", "/ budget$/", property{"custom.lineWidth", 2}),
		}},
		row{title: "Who spends it now", height: 9, panels: []*panel{
			bars("Estimated spend per hour by project", "One bar per hour, by estimated prices; the last one is still growing. Usage is known some minutes after it happened.", usd, "1h", named("project_id", hourly)).key("sum", "Total"),
			ranking("Last 24 hours by project", "By estimated prices.", usd, 10, named("project_id", estimated("24h"))).wide(6),
			ranking("Last 24 hours by model", "By estimated prices.", usd, 10, named("model", estimated("24h"))).wide(6),
		}},
		row{title: "How good the estimate is", height: 9, panels: []*panel{
			lines("Estimate over bill by project", "On the newest day that both know as a whole. 1 is right; below it the estimate lacks something, above it there is a discount that is not learned yet.", "percentunit",
				query{legend("project_id"), withNames("max by (project_id) (openai_estimated_to_billed_ratio" + project + ")")}),
			table("Usage without a price", "Units within the time range that are estimated at nothing, because no price is known. The bill has them.", "Units",
				column{name: "Endpoint", label: "endpoint", width: 150},
				column{name: "Model", label: "model"},
				column{name: "Unit", label: "unit", width: 120},
				column{name: "Units", expr: withoutPrice, unit: "short", width: 110},
			),
			lines("Models by where their price comes from", "Learned from the bill, from pricing.file, from the list that is built in, or none.", "none",
				query{"{{source}}", "count by (source) (" + queries.Gauge("openai_exporter_price_info"+whose) + ")"},
			).colours("bill", good, "file", neutral, "builtin", "yellow", "none", bad),
		}},
		row{height: 9, panels: []*panel{
			table("What the bill charges", "What a unit of each line item costs by the bill, discounts included, of the last closed days.", "Per million",
				column{name: "Line item", label: "line_item"},
				column{name: "Unit", label: "unit", width: 150},
				column{name: "Per million", expr: "1e6 * max by (line_item, unit) (openai_effective_price_usd" + whose + ")", unit: usd, width: 140},
			),
			lines("Age of the prices", "Of the newest day that prices were learned from, of pricing.file, and of the list that is built in.", "s",
				query{"{{source}}", "max by (source) (time() - openai_exporter_price_timestamp_seconds" + whose + ")"},
			).colours("bill", good, "file", neutral, "builtin", "yellow").wide(8),
			stat("Line items not understood", "Line items of the last closed days from which no price can be learned, because their spelling is not known.", "none",
				once("openai_exporter_unparsed_line_items"+whose)).limits(good, from(1, warning)).wide(4),
		}},
	).marks()
}
