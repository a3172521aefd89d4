package pricing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func TestTwoListsAreComparedModelByModel(t *testing.T) {
	before := parseList(t, models(
		`{"id": "same", "match": {"equals": "same"}, "prices": {"input_mtok": 1}}`,
		`{"id": "cheaper", "match": {"or": [{"equals": "cheaper"}, {"equals": "alias"}]}, "prices": {"input_mtok": 1, "output_mtok": 2}}`,
		`{"id": "gone", "match": {"equals": "gone"}, "prices": {"input_audio_hours": 0.36}}`,
	))
	after := parseList(t, models(
		`{"id": "same", "match": {"equals": "same"}, "prices": {"input_mtok": 1.0}}`,
		`{"id": "cheaper", "match": {"or": [{"equals": "cheaper"}, {"equals": "alias"}]}, "prices": [
			{"prices": {"input_mtok": 1, "output_mtok": 2}},
			{"constraint": {"start_date": "2026-11-01"}, "prices": {"input_mtok": 0.2, "output_mtok": 2, "priority_factor": 2.5}},
			{"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 0.1, "output_mtok": 2}}]}`,
		`{"id": "new", "match": {"equals": "new"}, "prices": {"output_mtok": 7}}`,
		`{"id": "nothing", "match": {"equals": "nothing"}, "prices": {}}`,
	))
	want := []string{
		"alias: input_mtok 1 → 0.2, priority_factor 2.5 (new)",
		"cheaper: input_mtok 1 → 0.2, priority_factor 2.5 (new)",
		"gone: input_audio_hours 0.36 (gone)",
		"new: output_mtok 7 (new)",
	}
	if diff := cmp.Diff(want, pricing.Compare(before, after, now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := pricing.Compare(after, after, now); len(got) > 0 {
		t.Errorf("a list differs from itself: %q", got)
	}
	if diff := cmp.Diff([]string{"nothing"}, after.Unpriced(now)); diff != "" {
		t.Errorf("without a price (-want +got):\n%s", diff)
	}
}
