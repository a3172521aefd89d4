package command

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestAPriceFilePricesUsage: what a file of prices says decides the estimate.
func TestAPriceFilePricesUsage(t *testing.T) {
	t.Parallel() // It mostly waits.
	clock := simulator.NewClock(time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC), 0)
	_, baseURL := simulate(t, simulator.Options{Seed: 4, Clock: clock.Now})
	args, file := configure(t, baseURL, goodKey, fast+"\ncounters: {start: today, zero_hold: 0s}\npricing: {learn_from_costs: false, file: prices.json}")
	list := `[{"id": "openai", "models": [{"id": "web search tool calls", "match": {"equals": "web search tool calls"}, "prices": {"web_searches_kcount": 5000}}]}]`
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "prices.json"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serve(t, args...)
	p.ready()
	eventually(t, "the file's price of a search", func() bool {
		calls := p.sum("openai_usage_web_search_calls_total", "endpoint=web_search_calls")
		usd := p.sum("openai_estimated_cost_usd_total", "endpoint=web_search_calls")
		return calls > 0 && math.Abs(usd-5*calls) < 1e-9*usd
	})
	if p.sum("openai_exporter_price_info", "source=file") == 0 {
		t.Error("nothing says that a price is the file's")
	}
}
