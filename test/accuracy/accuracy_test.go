//go:build e2e

package main

import (
	"testing"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// TestCountersEqualTheAPIAfterEverythingAtOnce is the promise of the README, on the real binary: late data,
// restatements, a third of the answers faulty, SIGKILLs and a downtime, and in the end every counter equals what the
// API says, to the last token and to a billionth of a dollar.
func TestCountersEqualTheAPIAfterEverythingAtOnce(t *testing.T) {
	r, err := measure(t.Context(), process.Build(t), hostile, 7)
	if err != nil {
		t.Fatal(err)
	}
	if r.labelSets == 0 || r.usage.truth == 0 || r.cost.truth == 0 || r.faults < 100 {
		t.Errorf("the run proves nothing: %+v", r)
	}
	t.Logf("%d counters compared after %.0f polls and %.0f faulty answers, in %s", r.labelSets, r.polls, r.faults, r.took)
}
