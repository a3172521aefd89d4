package collector_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestOfTheNewestBucketOnlyWhatIsNotZeroIsShown(t *testing.T) {
	completions, stores := find(t, "completions"), find(t, "vector_stores")
	all := make([]int, len(completions.Measures))
	last := values(t, "3", "70")
	for i := range all {
		all[i] = i
		if i >= len(last) {
			last = append(last, amount(t, "0"))
		}
	}
	s := &source{now: noon}
	s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{
		{Organization: "acme", Endpoint: completions, LastBucket: []ledger.Row{{Labels: labels("model=a"), Measures: all, Values: last}}},
		// A level of zero says that nothing is stored, and stays.
		{Organization: "acme", Endpoint: stores, Stock: []ledger.Row{{Labels: labels("project_id=p"), Measures: []int{0}, Values: values(t, "0")}}},
	}})
	want := []string{
		`openai_usage_last_bucket_` + completions.Measures[1].Name + `{endpoint="completions",model="a",organization="acme"} 70`,
		`openai_usage_last_bucket_` + completions.Measures[0].Name + `{endpoint="completions",model="a",organization="acme"} 3`,
		`openai_usage_` + stores.Measures[0].Name + `{endpoint="vector_stores",organization="acme",project_id="p"} 0`,
	}
	if d := cmp.Diff(want, samples(t, newCollector(s), "openai_usage_last_bucket_", "openai_usage_"+stores.Measures[0].Name)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
