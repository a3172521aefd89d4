// Package queries writes the PromQL of the rules and dashboards, so that each means the same everywhere: exact, and
// unmoved by how many scrapes or exporters show the same series.
package queries

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/openai-exporter/openai_exporter/internal/metrics"
)

// labels are, per metric, all labels of its own that a series can have.
var labels = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, m := range metrics.Table() {
		all[m.Name] = strings.Join(m.Labels, ", ")
	}
	return all
})

// once is the aggregation over scrapes, jobs and replicas that show the same series of a metric. It names the labels to keep:
// which ones Prometheus adds to a target is different everywhere, and one that is overlooked would double a sum.
func once(aggregation, selector string) string {
	name, _, _ := strings.Cut(selector, "{")
	by, ok := labels()[name]
	if !ok {
		panic("queries: there is no metric " + name)
	}
	return fmt.Sprintf("%s by (%s) ", aggregation, by)
}

// Gauge is the present value of each series.
func Gauge(selector string) string { return once("max", selector) + "(" + selector + ")" }

// Rate is the mean per second within the window.
func Rate(selector, window string) string {
	return fmt.Sprintf("%s(rate(%s[%s]))", once("max", selector), selector, window)
}

// Increase is what each series has grown by within the window, to the last token and cent. Prometheus has asked for it this
// way since 3.16; Portable spells it for others.
func Increase(selector, window string) string { return IncreaseAt(selector, window, "") }

// IncreaseAt is Increase of a window that ends at an offset.
func IncreaseAt(selector, window, offset string) string {
	if offset != "" {
		offset = " offset " + offset
	}
	return fmt.Sprintf("%s(increase(%s[%s] anchored%s))", once("max", selector), selector, window, offset)
}

// anchored finds what IncreaseAt has written, and what documents write in its place: they name the labels to leave out.
var anchored = regexp.MustCompile(`max (by|without) \(([^)]*)\) \((increase|rate)\((\w+)((?:\{[^}]*\})?)\[([^]]+)\] anchored(?: offset ([^)]+))?\)\)`)

// A window of the past ends whole weeks ago, so that its beginning is spelt by one duration after the other.
var weeks, hours = regexp.MustCompile(`^[0-9]+w$`), regexp.MustCompile(`^[0-9]+[dhm]$`)

// Portable spells the increases of an expression for servers that do not know anchored: Prometheus before 3.16, Mimir, Thanos,
// VictoriaMetrics. The provider's counters never fall, so an increase is the difference between the value at the end of the
// window and the one at its beginning, which is at most an hour old there; where a series is younger than the window, it is
// the first one in it. The exporter's own counters begin again with the process: plain increase() is what there is for them,
// and plain rate() for rates.
func Portable(expr string) string {
	return anchored.ReplaceAllStringFunc(expr, func(s string) string {
		m := anchored.FindStringSubmatch(s)
		by, function, selector, window, offset := m[1]+" ("+m[2]+")", m[3], m[4]+m[5], m[6], m[7]
		end, start := "", " offset "+window
		switch {
		case offset == "-"+window:
			end, start = " offset "+offset, ""
		case weeks.MatchString(offset) && hours.MatchString(window):
			end, start = " offset "+offset, " offset "+offset+window
		case offset != "":
			panic("queries: no window of " + window + " that ends at " + offset)
		}
		if function == "rate" || strings.HasPrefix(selector, "openai_exporter_") {
			return fmt.Sprintf("max %s (%s(%s[%s]%s))", by, function, selector, window, end)
		}
		return fmt.Sprintf("(max %[1]s (max_over_time(%[2]s[%[3]s]%[4]s)) - (max %[1]s (last_over_time(%[2]s[1h]%[5]s)) or min %[1]s (min_over_time(%[2]s[%[3]s]%[4]s))))",
			by, selector, window, end, start)
	})
}
