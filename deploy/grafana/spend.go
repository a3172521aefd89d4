package grafana

import "github.com/openai-exporter/openai_exporter/deploy/queries"

func spend() *Dashboard {
	const (
		chosen = `{organization=~"$organization",project_id=~"$project",line_item=~"$line_item"}`
		usd    = "currencyUSD"
		asBill = " As the bill has it: it follows usage by some hours and may be corrected for days."
	)
	today, month := queries.Gauge("openai_cost_today_usd"+chosen), queries.Gauge("openai_cost_month_to_date_usd"+chosen)
	// A bar stands where its hour or day begins, so its query looks ahead.
	per := func(d string) string {
		return queries.IncreaseAt("openai_cost_usd_total"+chosen, d, "-"+d)
	}
	last := func(d string) string { return queries.Increase("openai_cost_usd_total"+chosen, d) }
	total := func(expr string) string { return "sum(" + expr + ")" }
	rows := func(expr string) string { return "sum by (organization, project_id, line_item) (" + expr + ")" }
	namedRows := func(expr string) string { return withNamesOf("(" + expr + ")") }
	return newDashboard(Dashboard{
		UID: "openai-spend", Title: "OpenAI / Spend",
		Description: "What OpenAI bills, by project and line item, from the Costs API. Days and months are UTC.",
		Time:        timeRange{"now-7d", "now"}, Timezone: "utc", Refresh: "5m",
	}, []variable{
		choice("organization", "Organization", "openai_cost_month_to_date_usd", "organization"),
		projects(`openai_cost_usd_total{organization=~"$organization"}`),
		choice("line_item", "Line item", `openai_cost_usd_total{organization=~"$organization",project_id=~"$project"}`, "line_item"),
	},
		row{height: 4, panels: []*panel{
			stat("Today", "Since 00:00 UTC."+asBill, usd, total(today)),
			stat("Month to date", "Since the first of the month, 00:00 UTC."+asBill, usd, total(month)),
			stat("Last 24 hours", "What came onto the bill within 24 hours, late items and corrections upwards of days before included.", usd, total(last("24h"))),
			stat("In the time range", "What came onto the bill within the time range.", usd, total(last("$__range"))),
			stat("Withheld", "How far the counters are ahead of the bill after corrections downwards, all projects together. They stand still until new spend has paid it back; today and month to date are not affected.",
				usd, total(queries.Gauge(`openai_exporter_withheld{organization=~"$organization",endpoint="costs",measure="cost_usd"}`))+" or vector(0)"),
			stat("Refused now", "How many spend limits OpenAI enforces now, whatever project is chosen: it refuses requests of their projects, or of all. The alert OpenAISpendLimitEnforcing names them.",
				"none", "sum("+queries.Gauge(`openai_spend_limit_enforcing{organization=~"$organization"}`)+")").limits(good, from(1, bad)),
			stat("Bill last read", "How long ago the Costs API was last read with success. It is polled every 15 minutes unless configured otherwise.",
				"s", `max(time() - openai_exporter_last_success_timestamp_seconds{organization=~"$organization",endpoint="costs"})`).
				limits(good, from(3600, warning), from(7200, bad)),
		}},
		row{height: 9, panels: []*panel{
			bars("Spend per day by project", "One bar per UTC day, when it came onto the bill; the last one is still growing.", usd, "1d", named("project_id", per("1d"))).signed().key("sum", "Total"),
			bars("Spend per hour by project", "One bar per hour, when it came onto the bill; the last one is still growing. The bill arrives in lumps.", usd, "1h", named("project_id", per("1h"))).signed().key("sum", "Total"),
		}},
		row{title: "By team", height: 9, panels: []*panel{
			ranking("Today by team", "Since 00:00 UTC, by the team that pays for the project now. What belongs to no team is unallocated, so the sum is the bill."+asBill, usd, 10, byTeam(owners, today)).wide(6),
			ranking("Month to date by team", "Since the first of the month, 00:00 UTC, by the team that pays for the project now."+asBill, usd, 10, byTeam(owners, month)).wide(6),
			bars("Spend per day by team", "One bar per UTC day, when it came onto the bill, by the team that paid for the project at the day's end; the last one is still growing.", usd, "1d", byTeam(ownersOfDay, per("1d"))).signed().key("sum", "Total"),
		}},
		row{title: "By project and line item", height: 9, panels: []*panel{
			ranking("Today by project", "Since 00:00 UTC."+asBill, usd, 10, named("project_id", today)),
			ranking("Month to date by project", "Since the first of the month, 00:00 UTC."+asBill, usd, 10, named("project_id", month)),
			ranking("Month to date by line item", "The ten largest line items: model and kind of usage, as the bill spells them."+asBill, usd, 10, named("line_item", month)),
		}},
		row{height: 10, panels: []*panel{
			bars("Spend per day by line item", "One bar per UTC day, when it came onto the bill; the last one is still growing.", usd, "1d", named("line_item", per("1d"))).signed().key("sum", "Total"),
			stacked("Month to date as it builds up", "It falls to the first day's spend when a month begins."+asBill, usd, named("project_id", month)).signed().key("lastNotNull", "Last *"),
		}},
		row{title: "The bill in detail", height: 11, panels: []*panel{
			table("Projects and line items", "What each project spent on what, the most of this month first. The project's id leads to its usage.", "Month to date",
				column{name: "Organization", label: "organization", width: 130},
				column{name: "Project", label: "project_name"},
				column{name: "Project id", label: "project_id", width: 150, more: []property{{"links", []any{map[string]any{
					"title": "Usage of this project", "url": "/d/openai-usage?${__url_time_range}&${datasource:queryparam}&${organization:queryparam}&var-project=${__value.raw}",
				}}}}},
				column{name: "Line item", label: "line_item"},
				column{name: "Today", expr: namedRows(rows(today)), unit: usd, width: 110},
				column{name: "Month to date", expr: namedRows(rows(month) + " or 0 * " + rows(last("$__range"))), unit: usd, width: 130},
				column{name: "In the time range", expr: namedRows(rows(last("$__range"))), unit: usd, width: 150},
			).wide(15),
			table("Quantities billed", "How much of each line item was billed within the time range, in the bill's own unit, by all projects together.", "Quantity",
				column{name: "Line item", label: "line_item"},
				column{name: "Unit", label: "unit", width: 150},
				column{name: "Quantity", expr: "sum by (line_item, unit) (" + queries.Increase(`openai_cost_quantity_total{organization=~"$organization",line_item=~"$line_item"}`, "$__range") + ") > 0", unit: "short", width: 130},
			),
		}},
	).marks()
}
