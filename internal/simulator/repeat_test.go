package simulator_test

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// Requests that come in another order meet the same faults: one by one, by what they ask for and when.
func TestFaultsByContentDoNotDependOnTheOrderOfRequests(t *testing.T) {
	faults := simulator.Faults{Throttle: 0.3, ServerError: 0.2}
	const requests = 60
	statuses := func(backwards bool) map[int]int {
		s, clock := at(monday, simulator.Options{ByContent: true, Faults: faults})
		out := map[int]int{}
		for n := range requests {
			if backwards {
				n = requests - 1 - n
			}
			out[n], _, _ = get(t, s, "organization/usage/completions", url.Values{"start_time": {strconv.FormatInt(monday.Unix()-3600*int64(n+1), 10)}})
		}
		clock.Advance(time.Second)
		for n := range requests {
			out[requests+n], _, _ = get(t, s, "organization/usage/completions", url.Values{"start_time": {strconv.FormatInt(monday.Unix()-3600*int64(n+1), 10)}})
		}
		return out
	}
	one, other := statuses(false), statuses(true)
	failed, later := 0, 0
	for n := range requests {
		if one[n] != other[n] {
			t.Errorf("request %d is answered with %d, and with %d in another order", n, one[n], other[n])
		}
		if one[n] != 200 {
			failed++
		}
		if one[n] != one[requests+n] {
			later++
		}
	}
	if failed == 0 || failed == requests || later == 0 {
		t.Errorf("%d of %d requests fail, %d are answered otherwise a second later", failed, requests, later)
	}
}

func TestStreamsAreThinnedAndTheBillWithThem(t *testing.T) {
	s, _ := at(monday, simulator.Options{Streams: map[string]int{"completions": 2, "embeddings": 0}})
	day := monday.Truncate(24 * time.Hour)
	groupBy := []string{"project_id", "user_id", "api_key_id", "model", "batch", "service_tier"}
	if n := len(s.Final("completions", groupBy, day, day.Add(24*time.Hour))); n != 1 && n != 2 {
		t.Errorf("completions have %d label sets, want at most 2", n)
	}
	if n := len(s.Final("embeddings", groupBy, day, day.Add(24*time.Hour))); n != 0 {
		t.Errorf("embeddings have %d label sets, want none", n)
	}
	for _, r := range s.Final(api.Costs, []string{"line_item"}, day, day.Add(24*time.Hour)) {
		if r.Labels["line_item"] == "text-embedding-3-small, input" {
			t.Errorf("the bill has %v, which nobody used", r.Labels)
		}
	}
}

func TestPricesChangeFromADayOn(t *testing.T) {
	day := monday.Truncate(24 * time.Hour)
	s, _ := at(monday.Add(100*time.Hour), simulator.Options{Prices: []simulator.PriceChange{{From: day, Factor: 2000}}})
	price := func(day time.Time) float64 {
		for _, r := range s.Final(api.Costs, []string{"line_item"}, day, day.Add(24*time.Hour)) {
			if r.Labels["line_item"] == "gpt-5.6-sol, output" {
				return r.Values[api.MeasureCost].Float64() / r.Values[api.MeasureCostQuantity].Float64()
			}
		}
		return 0
	}
	before, after := price(day.Add(-24*time.Hour)), price(day)
	if ratio := after / before; ratio < 1.999999 || ratio > 2.000001 {
		t.Errorf("a unit costs %v after %v, want twice as much", after, before)
	}
}
