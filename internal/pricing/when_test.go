package pricing_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func TestPricesThatChangeWithTimeDoSoWithoutBeingMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // The clock begins at 2000-01-01T00:00:00Z.
		p := pricing.New(pricing.Options{File: parseList(t, models(
			`{"id": "dated", "match": {"equals": "dated"}, "prices": [
				{"prices": {"input_mtok": 1}},
				{"constraint": {"start_date": "2000-01-03"}, "prices": {"input_mtok": 2, "priority_factor": 3}},
				{"constraint": {"start_date": "2000-02-01"}, "prices": {"input_mtok": 4}}]}`,
			`{"id": "daily", "match": {"equals": "daily"}, "prices": [
				{"prices": {"input_mtok": 10}},
				{"constraint": {"start_time": "16:30:00Z", "end_time": "20:30:00Z"}, "prices": {"input_mtok": 5}}]}`,
		))})
		for _, c := range []struct {
			at                     string
			dated, priority, daily string
		}{
			{"2000-01-01T00:00:00Z", "1", "2", "10"},
			{"2000-01-01T16:29:59Z", "1", "2", "10"},
			{"2000-01-01T16:30:00Z", "1", "2", "5"},
			{"2000-01-01T20:29:59Z", "1", "2", "5"},
			{"2000-01-01T20:30:00Z", "1", "2", "10"},
			{"2000-01-02T23:59:59Z", "1", "2", "10"},
			{"2000-01-03T00:00:00Z", "2", "6", "10"},
			{"2000-01-03T17:00:00Z", "2", "6", "5"},
			{"2000-02-01T00:00:00Z", "4", "8", "10"},
			{"2001-02-01T17:00:00Z", "4", "8", "5"},
		} {
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Until(at))
			in := used{"input_tokens": million}
			sale{"completions", model("dated"), in, c.dated, 0, ""}.check(t, p)
			sale{"completions", served("dated", "false", "priority"), in, c.priority, 0, ""}.check(t, p)
			sale{"completions", model("daily"), in, c.daily, 0, ""}.check(t, p)
		}
	})
}

// TestUsageIsPricedByItsOwnTime prices usage that is read days later, as a catch-up and an audit do.
func TestUsageIsPricedByItsOwnTime(t *testing.T) {
	list := parseList(t, models(
		`{"id": "daily", "match": {"equals": "daily"}, "prices": [
			{"prices": {"input_mtok": 10}},
			{"constraint": {"start_date": "2026-11-20"}, "prices": {"input_mtok": 8}},
			{"constraint": {"start_time": "16:30:00Z", "end_time": "20:30:00Z"}, "prices": {"input_mtok": 5}}]}`,
		`{"id": "nightly", "match": {"equals": "nightly"}, "prices": [
			{"prices": {"input_mtok": 10}},
			{"constraint": {"start_time": "22:00:00Z", "end_time": "06:00:00Z"}, "prices": {"input_mtok": 1}}]}`,
	))
	p := pricing.New(pricing.Options{File: list, At: now})
	for range 2 { // The second time from what is remembered.
		for _, c := range []struct{ at, daily, nightly string }{
			{"2026-11-19T16:29:00Z", "10", "10"},
			{"2026-11-19T16:30:00Z", "5", "10"},
			{"2026-11-19T20:30:00Z", "10", "10"},
			{"2026-11-19T22:00:00Z", "10", "1"},
			{"2026-11-19T23:59:00Z", "10", "1"},
			{"2026-11-20T00:00:00Z", "8", "1"},
			{"2026-11-20T05:59:00Z", "8", "1"},
			{"2026-11-20T06:00:00Z", "8", "10"},
			{"2026-11-24T17:00:00Z", "5", "10"},
			{"2019-01-01T12:00:00Z", "10", "10"},
		} {
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			in := used{"input_tokens": million}
			sale{"completions", pricing.Labels{Model: "daily", At: at}, in, c.daily, 0, ""}.check(t, p)
			sale{"completions", pricing.Labels{Model: "nightly", At: at}, in, c.nightly, 0, ""}.check(t, p)
		}
		for day := range 60 { // More moments than are remembered.
			at := now.AddDate(0, 0, -day).Truncate(24 * time.Hour).Add(17 * time.Hour)
			sale{"completions", pricing.Labels{Model: "daily", At: at}, used{"input_tokens": million}, "5", 0, ""}.check(t, p)
		}
	}
}
