//go:build !race

package backfill_test

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestPagesStaySmallWhereBucketsAreLarge(t *testing.T) {
	const labelSets = 400
	w := newWorld(t, simulator.Options{Seed: 5, LabelSets: labelSets})
	longest := time.Duration(0)
	o := only(w.options(t, now.Add(-12*24*time.Hour), now.Add(-2*24*time.Hour)), "completions")
	o.Organizations[0].Source = observed{w.client, func(q fetcher.Query) { longest = max(longest, q.Window.To.Sub(q.Window.From)) }}
	run(t, o)
	// Every label set has 17 measures and is in every hour; a page is to hold some 100,000 numbers.
	if most := 24 * time.Hour; longest > most {
		t.Errorf("a page was %s long, with %d label sets it should be %s at most", longest, labelSets, most)
	}
}
