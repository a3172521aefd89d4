package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestWhatWasReadIsHandedOutInOrder: who gives the first label sets series of their own must not depend on the order in
// which the API happens to answer.
func TestWhatWasReadIsHandedOutInOrder(t *testing.T) {
	older, newer := noon.Truncate(time.Hour), noon.Truncate(time.Hour).Add(time.Minute)
	want := []string{older.String() + " a/m2", older.String() + " b/m1", older.String() + " b/m2", newer.String() + " a/m1", newer.String() + " b/m1"}
	for _, buckets := range [][]time.Time{{older, newer}, {newer, older}} {
		r := ledger.NewRead(embeddings, fine, ledger.Window{})
		rows := map[time.Time][]labels{older: {{"b", "m2"}, {"a", "m2"}, {"b", "m1"}}, newer: {{"a", "m1"}, {"b", "m1"}}}
		for _, start := range buckets {
			r.Bucket(start)
			if buckets[0].Equal(newer) {
				slices.Reverse(rows[start])
			}
			for _, l := range rows[start] {
				r.Row([]string{l.project, l.model}, []decimal.Fixed{decimal.FromInt(1), decimal.FromInt(3)})
			}
		}
		var got []string
		if err := r.Each(func(start time.Time, row ledger.Row, _ []ledger.Label) {
			l := labelsOf(row.Labels)
			got = append(got, start.String()+" "+l.project+"/"+l.model)
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("of buckets %v (-want +got):\n%s", buckets, diff)
		}
	}
}
