package simulator_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestTheSettledBillMatchesUsageExactly(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate})
	day := monday.Add(-20 * 24 * time.Hour).Truncate(24 * time.Hour)
	quantity := func(kinds ...string) decimal.Fixed {
		var sum decimal.Fixed
		for _, r := range s.Truth(api.Costs, []string{"line_item"}, day, day.Add(24*time.Hour), monday) {
			item := strings.TrimSuffix(r.Labels["line_item"], ", long context")
			if i := strings.LastIndex(item, ", "); i >= 0 && strings.Contains(item, "gpt-5.6-") && slices.Contains(kinds, item[i+2:]) {
				sum = sum.Add(r.Values[api.MeasureCostQuantity])
			}
		}
		return sum
	}
	used := func(measure string) decimal.Fixed {
		var sum decimal.Fixed
		for _, r := range s.Truth("completions", []string{"model"}, day, day.Add(24*time.Hour), monday) {
			if strings.HasPrefix(r.Labels["model"], "gpt-5.6-") {
				sum = sum.Add(r.Values[measure])
			}
		}
		return sum
	}
	for measure, kinds := range map[string][]string{
		"input_tokens":             {"input", "cached input", "cache writes"},
		"input_cached_tokens":      {"cached input"},
		"input_cache_write_tokens": {"cache writes"},
		"output_tokens":            {"output"},
	} {
		if q, u := quantity(kinds...), used(measure); q != u || q.IsZero() {
			t.Errorf("%s: billed %s, used %s", measure, q, u)
		}
	}
}

func TestTheBillLagsAndIsRestatedForThreeDays(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate})
	day := monday.Truncate(24 * time.Hour)
	end := day.Add(24 * time.Hour)
	groupBy := []string{"project_id", "line_item"}
	bill := func(asOf time.Time) map[string]decimal.Fixed {
		return totalOf(s.Truth(api.Costs, groupBy, day, end, asOf))
	}
	if early := bill(day.Add(time.Minute)); len(early) != 0 {
		t.Errorf("the day has a bill after a minute: %v", early)
	}
	var up, down int
	final := totalOf(s.Final(api.Costs, groupBy, day, end))
	before := bill(end.Add(2 * time.Hour))
	for k, v := range before {
		switch v.Cmp(final[k]) {
		case -1:
			up++
		case 1:
			down++
		}
	}
	if up == 0 || down == 0 {
		t.Errorf("%d rows restated upwards and %d downwards, want some of both", up, down)
	}
	if diff := cmp.Diff(final, bill(end.Add(74*time.Hour)), exact); diff != "" {
		t.Errorf("the bill is not final after three days and its lag:\n%s", diff)
	}
}

func TestTheInstantBillFollowsUsageAtOnce(t *testing.T) {
	s, clock := at(monday, simulator.Options{})
	day := monday.Truncate(24 * time.Hour)
	last := decimal.Fixed{}
	for range 5 {
		var sum decimal.Fixed
		for _, r := range s.Truth(api.Costs, nil, day, day.Add(24*time.Hour), clock.Now()) {
			sum = sum.Add(r.Values[api.MeasureCost])
		}
		if sum.Cmp(last) <= 0 {
			t.Errorf("at %s the running day stands at %s, before at %s", clock.Now(), sum, last)
		}
		last = sum
		clock.Advance(10 * time.Minute)
	}
}

// spelling is how line items are spelled: a prefix, a model, a modality, a kind, or a bare product.
var spelling = regexp.MustCompile(`^((priority|flex|batch) \| )?((gpt|o1|text)-[a-z0-9.-]+( (text|audio|image))?, )?(input|cached input|cache writes|output)(_tokens)?(, long context)?$|^(whisper|tts hd|Image models|(web|file) search tool calls|code interpreter sessions|assistants api \| file search)$`)

func TestLineItemsAreSpelledAsBillsSpellThem(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	units, free, items := map[any]bool{}, 0, map[string]bool{}
	for _, b := range ask(t, s, api.Costs, query("start_time", seconds(monday.Add(-48*time.Hour)), "group_by", "line_item", "group_by", "project_id")).Data {
		for _, r := range b.Results {
			item, _ := r["line_item"].(string)
			if !spelling.MatchString(item) {
				t.Errorf("line item %q", item)
			}
			items[item] = true
			units[r["quantity_unit"]] = true
			amount, _ := r["amount"].(map[string]any)
			if amount["currency"] != "usd" {
				t.Errorf("amount %v", amount)
			}
			if q, _ := r["quantity"].(json.Number).Int64(); amount["value"] == json.Number("0") && q > 0 {
				free++
			}
		}
	}
	for _, want := range []any{nil, "tokens", "duration_seconds", "gibibyte_hours", "images", "characters", "others"} {
		if !units[want] {
			t.Errorf("the unit %v does not occur", want)
		}
	}
	for _, want := range []string{"gpt-5.6-terra, cached input, long context", "priority | gpt-5.4-mini-2026-03-17, input", "gpt-image-1 image, output", "gpt-audio-mini-2025-12-15 audio, input", "gpt-4o-2024-08-06, input", "input_tokens"} {
		if !items[want] {
			t.Errorf("the line item %q does not occur", want)
		}
	}
	if free == 0 {
		t.Error("there is no free traffic")
	}
}

func TestQuantitiesComeOnlyWithLineItems(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	for _, b := range ask(t, s, api.Costs, query("start_time", seconds(monday.Add(-24*time.Hour)), "group_by", "project_id")).Data {
		for _, r := range b.Results {
			if r["quantity"] != nil || r["quantity_unit"] != nil || r["line_item"] != nil {
				t.Errorf("row %v", r)
			}
		}
	}
}

func TestStringAmountsHave39DecimalsOrAreAnOddZero(t *testing.T) {
	s, _ := at(monday, simulator.Options{StringAmounts: true, Credits: true})
	spelled := regexp.MustCompile(`^-?\d+\.\d{39}$`)
	var zero, long, negative int
	for _, b := range ask(t, s, api.Costs, query("start_time", seconds(monday.Add(-5*24*time.Hour)), "group_by", "line_item")).Data {
		for _, r := range b.Results {
			amount, _ := r["amount"].(map[string]any)
			v, ok := amount["value"].(string)
			switch {
			case !ok:
				t.Fatalf("amount %v", amount)
			case v == "0E-6176":
				zero++
			case !spelled.MatchString(v):
				t.Errorf("amount %q", v)
			case v[0] == '-':
				negative++
			case !strings.HasSuffix(v, "000000000000"):
				long++
			}
			if q, ok := r["quantity"].(json.Number); ok && !strings.ContainsAny(q.String(), ".e") {
				t.Errorf("quantity %s", q)
			}
		}
	}
	if zero == 0 || long == 0 || negative == 0 {
		t.Errorf("%d zeros, %d with digits to the end, %d credits: want some of each", zero, long, negative)
	}
}

func TestNumberAmountsHaveSpellingsOfEverySize(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	_, _, body := get(t, s, find(t, api.Costs).Path, query("start_time", seconds(monday.Add(-30*24*time.Hour)), "limit", "180", "group_by", "line_item", "group_by", "api_key_id"))
	if !regexp.MustCompile(`"value":\d(\.\d+)?e-0\d,`).Match(body) {
		t.Error("no amount has an exponent")
	}
	if !regexp.MustCompile(`"value":\d+\.\d{6,},`).Match(body) {
		t.Error("no amount is a plain decimal")
	}
}
