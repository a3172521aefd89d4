package pricing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// served is usage of a model in a tier.
func served(m, batch, tier string) pricing.Labels {
	return pricing.Labels{Model: m, Batch: batch, ServiceTier: tier, TierKnown: true}
}

func TestEachTierIsPricedAndLearnedApart(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-9, input", "tokens", "10", "1000000"),
		charge(t, now, "fast | gpt-9, input", "tokens", "20", "1000000"),
		charge(t, now, "ultrafast | gpt-9, input", "tokens", "60", "1000000"),
		charge(t, now, "batch | gpt-9, input", "tokens", "4", "1000000"),
		charge(t, now, "scale | gpt-9, input", "tokens", "1000", "1000000"),
	})
	if got := l.Unparsed(); len(got) > 0 {
		t.Errorf("not understood: %q", got)
	}
	p := pricing.New(pricing.Options{Learned: l, At: now})
	in := used{"input_tokens": million}
	for _, s := range []sale{
		{"completions", served("gpt-9", "false", ""), in, "10", 0, ""},
		{"completions", served("gpt-9", "false", "default"), in, "10", 0, ""},
		{"completions", served("gpt-9", "false", "auto"), in, "10", 0, ""},
		{"completions", served("gpt-9", "false", "standard"), in, "10", 0, ""},
		{"completions", served("gpt-9", "false", "fast"), in, "20", 0, ""},
		{"completions", served("gpt-9", "false", "priority"), in, "20", 0, ""},
		{"completions", served("gpt-9", "false", "ultrafast"), in, "60", 0, ""},
		{"completions", served("gpt-9", "true", "default"), in, "4", 0, ""},
		{"completions", served("gpt-9", "true", ""), in, "4", 0, ""},
		{"completions", served("gpt-9", "false", "flex"), in, "5", 0, ""},
		{"completions", served("gpt-9", "false", "batch"), in, "4", 0, ""},
		// What is paid in advance, and what nobody knows, has no price.
		{"completions", served("gpt-9", "false", "scale"), in, "0", million, ""},
		{"completions", served("gpt-9", "false", "turbo"), in, "0", million, ""},
		{"completions", served("gpt-9", "false", "Default"), in, "0", million, ""},
		{"completions", served("gpt-9", "true", "turbo"), in, "0", million, ""},
		{"completions", pricing.Labels{Model: "gpt-9", ServiceTier: "turbo"}, in, "0", million, ""},
		// The blend is that of the four tiers that have a price.
		{"completions", pricing.Labels{Model: "gpt-9"}, in, "23.5", 0, ""},
	} {
		s.check(t, p)
	}
}

func TestTheListPricesTheTiersOfUsage(t *testing.T) {
	p := pricing.New(pricing.Options{File: parseList(t, models(`{"id": "gpt-9", "match": {"equals": "gpt-9"}, "prices": {"input_mtok": 10}}`)), At: now})
	for tier, want := range map[string]string{"default": "10", "flex": "5", "batch": "5", "priority": "20", "fast": "20", "ultrafast": "60"} {
		sale{"completions", served("gpt-9", "false", tier), used{"input_tokens": million}, want, 0, ""}.check(t, p)
	}
	for _, tier := range []string{"scale", "turbo", "unknown"} {
		sale{"completions", served("gpt-9", "false", tier), used{"input_tokens": million}, "0", million, ""}.check(t, p)
	}
}

func TestAPrefixThatIsNotKnownTeachesNothingAndIsCounted(t *testing.T) {
	charges := []pricing.Charge{charge(t, now, "gpt-9, input", "tokens", "10", "1000000")}
	unknown := []string{"eu | gpt-9, input", "gpt-9 text audio, input", "regional | gpt-9, input", "text, input", "turbo | gpt-9, input", "ultrafast, output"}
	for _, item := range unknown {
		charges = append(charges, charge(t, now, item, "tokens", "1000", "1000000"))
	}
	l := pricing.Learn(charges)
	if diff := cmp.Diff(unknown, l.Unparsed()); diff != "" {
		t.Errorf("not understood (-want +got):\n%s", diff)
	}
	p := pricing.New(pricing.Options{Learned: l, At: now})
	sale{"completions", model("gpt-9"), used{"input_tokens": million}, "10", 0, ""}.check(t, p)
	sale{"completions", pricing.Labels{Model: "gpt-9"}, used{"input_tokens": million}, "10", 0, ""}.check(t, p)
	sale{"completions", model("text"), used{"input_tokens": 7}, "0", 7, ""}.check(t, p)
}
