package grafana

import (
	"fmt"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
)

func health() *Dashboard {
	const (
		process = `job=~"$job"`
		chosen  = process + `,organization=~"$organization"`
		opm     = "opm"
		rpm     = "reqpm"
		native  = " Quantiles need scrape_native_histograms."
	)
	minutely := func(metric, selector string) string {
		return "60 * " + queries.Rate(metric+"{"+selector+"}", "$__rate_interval")
	}
	ranged := func(metric, selector string) string {
		return queries.Increase(metric+"{"+selector+"}", "$__range")
	}
	sum := func(labels, expr string) string { return fmt.Sprintf("sum by (%s) (%s)", labels, expr) }
	worst := func(labels, expr string) string { return fmt.Sprintf("max by (%s) (%s)", labels, expr) }
	// Durations are native histograms. A Prometheus that does not scrape those has their sum and count, so the mean.
	observed := func(labels, metric, selector string) string {
		if labels == "" {
			return fmt.Sprintf("sum (rate(%s{%s}[$__rate_interval]))", metric, selector)
		}
		return fmt.Sprintf("sum by (%s) (rate(%s{%s}[$__rate_interval]))", labels, metric, selector)
	}
	// Where nothing was observed there is no number, and a graph that begins with none has no axis and draws nothing at all.
	quantile := func(q, labels, metric, selector string) string {
		return fmt.Sprintf("histogram_quantile(%s, %s) >= 0", q, observed(labels, metric, selector))
	}
	mean := func(labels, metric, selector string) string {
		return fmt.Sprintf("histogram_avg(%s) >= 0 or %s / %s >= 0", observed(labels, metric, selector), observed(labels, metric+"_sum", selector), observed(labels, metric+"_count", selector))
	}
	quantiles := func(metric, selector string) []query {
		return []query{
			{"mean", mean("", metric, selector)},
			{"median", quantile("0.5", "", metric, selector)},
			{"95 %", quantile("0.95", "", metric, selector)},
			{"99 %", quantile("0.99", "", metric, selector)},
		}
	}
	const age = "time() - openai_usage_read_through_timestamp_seconds{" + chosen
	const endpoints, measures = "organization, endpoint", "organization, endpoint, measure"
	// What the API changed afterwards is published in the unit of the measure, so a graph shows one measure.
	changes := func(title, description, unit, measure string) *panel {
		s := func(direction string) string {
			return fmt.Sprintf(`%s,measure=%q,direction=%q`, chosen, measure, direction)
		}
		in := func(metric, direction string) string {
			return "sum(" + queries.Increase(metric+"{"+s(direction)+"}", "$__rate_interval") + ")"
		}
		withheld := query{"withheld", "sum(" + queries.Gauge(fmt.Sprintf("openai_exporter_withheld{%s,measure=%q}", chosen, measure)) + ")"}
		all := []query{{"restated up", in("openai_exporter_restated_total", "up")}, {"restated down", in("openai_exporter_restated_total", "down")}, withheld}
		description += " Restated is every change per step, withheld what stands."
		if measure != "cost_usd" { // Polls read all days of the bill that are still open.
			description += " Found by audit is the part that the polls had missed."
			all = append(all, query{"found by audit", "sum(" + queries.Increase(fmt.Sprintf("openai_exporter_audit_difference_total{%s,measure=%q}", chosen, measure), "$__rate_interval") + ")"})
		}
		return lines(title, description, unit, all...).
			colours("restated up", "blue", "restated down", "purple", "found by audit", "green", "withheld", warning).every("5m")
	}
	return newDashboard(Dashboard{
		UID: "openai-exporter", Title: "OpenAI / Exporter health",
		Description: "Whether the numbers of the other dashboards can be trusted: polling, freshness, corrections by the API, limits, state and process of openai_exporter.",
		Time:        timeRange{"now-6h", "now"}, Timezone: "browser", Refresh: "30s",
	}, []variable{
		labelValues("job", "Job", "openai_exporter_build_info", "job"),
		choice("organization", "Organization", `openai_exporter_series{job=~"$job"}`, "organization"),
	},
		row{height: 4, panels: []*panel{
			stat("Scraped", "Whether Prometheus can scrape every exporter of the chosen jobs.", "none", fmt.Sprintf("min(up{%s})", process)).words("DOWN", "UP"),
			stat("Endpoints failing", "Endpoints whose last poll failed. Their counters stand still and catch up later. Look-ups of names and limits, which need a permission of their own, are left out.", "none",
				fmt.Sprintf(`sum(1 - min by (organization, endpoint) (openai_up{%s,endpoint!~"projects|users|api_keys|rate_limits|spend_limits"}))`, chosen)).limits(good, from(1, bad)),
			stat("Polls succeeded", "Share of the last hour's polls, all endpoints together.", "percentunit",
				"sum("+queries.Increase("openai_exporter_polls_total{"+chosen+`,outcome="success"}`, "1h")+") / (sum("+queries.Increase("openai_exporter_polls_total{"+chosen+"}", "1h")+") > 0)").
				between(0, 1).limits(bad, from(0.9, warning), from(0.99, good)),
			stat("Usage behind", "How long ago the newest bucket ended that was read, of the endpoint that is furthest behind. Vector stores and code interpreter sessions, which are read in hours, are left out.", "s",
				"max("+age+`,endpoint!~"vector_stores|code_interpreter_sessions"})`).limits(good, from(900, warning), from(1800, bad)),
			stat("Label sets used", "Share of counters.max_label_sets, of the fullest organization. Past it, new label sets are counted under other.", "percentunit",
				fmt.Sprintf("max(openai_exporter_label_sets{%s} / openai_exporter_label_sets_limit{%s})", chosen, chosen)).
				between(0, 1).limits(good, from(0.7, warning), from(0.9, bad)),
			stat("Commit errors", "Polls of the last hour that could not be written to disk. They are not shown either, and are read again.", "none",
				"sum("+queries.Increase("openai_exporter_state_commit_errors_total{"+process+"}", "1h")+")").limits(good, from(0.01, bad)),
			stat("Configuration", "Whether the last load of the configuration succeeded. If not, the one before goes on.", "none",
				fmt.Sprintf("min(openai_exporter_config_last_reload_successful{%s})", process)).words("OLD", "LOADED"),
			version(process),
		}},
		row{title: "Polling", height: 13, panels: []*panel{
			table("Endpoints", "How each endpoint is doing. Newest bucket: how long ago the newest bucket ended that was read. Failures are of the time range. An endpoint that the organization does not have has no state.", "Failed polls",
				column{name: "Organization", label: "organization", width: 120},
				column{name: "Endpoint", label: "endpoint", width: 215},
				column{name: "State", expr: worst(endpoints, "openai_up{"+chosen+"}"), width: 100, more: state("FAILING", "OK")},
				column{name: "Available", expr: worst(endpoints, "openai_endpoint_available{"+chosen+"}"), width: 100, more: state("NO", "YES")},
				column{name: "Last success", expr: worst(endpoints, "time() - openai_exporter_last_success_timestamp_seconds{"+chosen+"}"), unit: "s", width: 120},
				column{name: "Newest bucket", expr: worst(endpoints, age+"}"), unit: "s", width: 125},
				column{name: "Failed polls", expr: sum(endpoints, ranged("openai_exporter_polls_total", chosen+`,outcome="error"`)) + " or 0 * " + sum(endpoints, ranged("openai_exporter_polls_total", chosen+`,outcome="success"`)), unit: "short", more: []property{{"decimals", 0}}},
			).wide(15),
			lines("Age of the newest bucket", "How long ago the newest bucket ended that was read. A line that rises for longer than the polling interval is an endpoint that does not get on.", "s",
				query{"{{endpoint}}", worst("endpoint", age+"}")}).magnitudes().byEndpoint(),
		}},
		row{height: 8, panels: []*panel{
			stacked("Polls by outcome", "Polls per minute.", opm, query{"{{outcome}}", sum("outcome", minutely("openai_exporter_polls_total", chosen))}).
				colours("success", good, "error", bad).every("1m"),
			codes(stacked("Requests by code", "Requests to the API per minute, by HTTP status, or by timeout, network, or body for a torn or invalid answer.", rpm,
				query{"{{code}}", sum("code", minutely("openai_exporter_api_requests_total", chosen))})).every("1m"),
			stacked("Failed requests by endpoint", "Requests per minute that were not answered with 200. Most are repeated within the poll and cost nothing but time.", rpm,
				query{"{{endpoint}}", sum("endpoint", minutely("openai_exporter_api_requests_total", chosen+`,code!="200"`))}).byEndpoint().every("1m"),
		}},
		row{height: 8, panels: []*panel{
			lines("Request duration", "How long requests to the API took, the answer's body included."+native, "s", quantiles("openai_exporter_api_request_duration_seconds", chosen)...).
				colours("mean", "green", "median", neutral, "95 %", "purple", "99 %", warning).every("1m"),
			lines("Poll duration by endpoint, 95 %", "How long polls took, all requests, waiting and the booking included; their mean where Prometheus does not scrape native histograms.", "s",
				query{"{{endpoint}}", quantile("0.95", "endpoint", "openai_exporter_poll_duration_seconds", chosen) + " or " + mean("endpoint", "openai_exporter_poll_duration_seconds", chosen)}).byEndpoint().every("1m"),
			stacked("Audits by outcome", "Audits of closed hours per minute, which find what came too late for the polls.", opm, query{"{{outcome}}", sum("outcome", minutely("openai_exporter_audits_total", chosen))}).
				colours("success", good, "error", bad).every("5m"),
		}},
		row{title: "Accuracy: what the API changed afterwards", height: 8, panels: []*panel{
			changes("Spend", "Corrections of the bill.", "currencyUSD", "cost_usd"),
			changes("Input tokens", "Corrections of input tokens.", "short", "input_tokens"),
		}},
		row{height: 9, panels: []*panel{
			table("Changes within the time range", "Amounts in the unit of the measure. Restated: every change of what had been read. Audit: the part of it that only the audit found. Withheld: how far counters are ahead of the API, now.", "Endpoint",
				column{name: "Endpoint", label: "endpoint", width: 230},
				column{name: "Measure", label: "measure"},
				column{name: "Restated up", expr: sum("endpoint, measure", ranged("openai_exporter_restated_total", chosen+`,direction="up"`)) + " > 0", unit: "short", width: 190},
				column{name: "Restated down", expr: sum("endpoint, measure", ranged("openai_exporter_restated_total", chosen+`,direction="down"`)) + " > 0", unit: "short", width: 190},
				column{name: "Audit up", expr: sum("endpoint, measure", ranged("openai_exporter_audit_difference_total", chosen+`,direction="up"`)) + " > 0", unit: "short", width: 190},
				column{name: "Audit down", expr: sum("endpoint, measure", ranged("openai_exporter_audit_difference_total", chosen+`,direction="down"`)) + " > 0", unit: "short", width: 190},
				column{name: "Withheld", expr: sum("endpoint, measure", queries.Gauge("openai_exporter_withheld{"+chosen+"}")) + " > 0", unit: "short", width: 190},
			),
		}},
		row{title: "Capacity and state", height: 7, panels: []*panel{
			lines("Label sets", "Label sets that have series of their own, those that are counted under other, and the limit.", "short",
				query{"own series", "sum(" + queries.Gauge("openai_exporter_label_sets{"+chosen+"}") + ")"},
				query{"counted under other", "sum(" + queries.Gauge("openai_exporter_overflow_label_sets{"+chosen+"}") + ")"},
				query{"limit", "sum(" + queries.Gauge("openai_exporter_label_sets_limit{"+chosen+"}") + ")"},
			).colours("own series", neutral, "counted under other", bad, "limit", warning).
				override("byName", "limit", property{"custom.lineStyle", map[string]any{"dash": []int{8, 8}, "fill": "dash"}}, property{"custom.fillOpacity", 0}).magnitudes(),
			lines("Series", "Usage and cost series in an exposition.", "short", query{"{{organization}}", sum("organization", queries.Gauge("openai_exporter_series{"+chosen+"}"))}).numbered(),
			lines("Commit duration", "How long it took to write a poll to the state on disk."+native, "s", quantiles("openai_exporter_state_commit_duration_seconds", process)...).
				colours("mean", "green", "median", neutral, "95 %", "purple", "99 %", warning).every("1m"),
			lines("State on disk", "Size of the state on disk.", "bytes", query{"{{instance}}", worst("instance", "openai_exporter_state_bytes{"+process+"}")}).numbered(),
		}},
		row{title: "Process", height: 7, panels: []*panel{
			lines("Memory", "What the operating system gave the process, and what of it the Go heap uses.", "bytes",
				query{"{{instance}} resident", "process_resident_memory_bytes{" + process + "}"}, query{"{{instance}} heap", "go_memstats_heap_inuse_bytes{" + process + "}"}).numbered(),
			lines("CPU", "Share of one core.", "percentunit", query{"{{instance}}", "rate(process_cpu_seconds_total{" + process + "}[$__rate_interval])"}).numbered(),
			lines("Scrape duration", "How long a scrape by Prometheus took.", "s", query{"{{instance}}", "scrape_duration_seconds{" + process + "}"}).numbered(),
			lines("Since the last load of the configuration", "How long the running configuration has been in force. A fall to zero is a reload or a restart.", "s",
				query{"{{instance}}", "time() - openai_exporter_config_last_reload_success_timestamp_seconds{" + process + "}"}).numbered(),
		}},
	)
}

// version shows the name of the series instead of its value.
func version(process string) *panel {
	p := stat("Version", "Version of the exporter, as built.", "none", fmt.Sprintf(`label_replace(count by (version) (openai_exporter_build_info{%s}), "version", "development", "version", "")`, process))
	p.Targets[0].Legend = "{{version}}"
	p.Options["textMode"] = "name"
	return p
}

// state shows a cell as a word on its colour.
func state(zero, one string) []property {
	return []property{{"mappings", wordsFor(zero, one)}, {"custom.cellOptions", map[string]any{"type": "color-text"}}}
}

// codes colours answers by their class.
func codes(p *panel) *panel {
	for _, c := range []struct{ pattern, colour string }{
		{"/^2/", good}, {"/^429$/", "yellow"}, {"/^4(?!29)/", warning}, {"/^5/", bad}, {"/^timeout$/", "purple"}, {"/^network$/", "dark-purple"}, {"/^body$/", "light-purple"},
	} {
		p.override("byRegexp", c.pattern, property{"color", map[string]any{"mode": "fixed", "fixedColor": c.colour}})
	}
	return p
}
