//go:build e2e

package main

import (
	"flag"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

var kills = flag.Int("kills", 12, "how often the exporter is killed with SIGKILL")

// TestKillsLoseNothing kills the real binary at random moments, every second or so, which is about as often as it polls:
// while it starts, asks, books, writes and serves. No counter goes down over any of it, and in the end all are exact.
func TestKillsLoseNothing(t *testing.T) {
	const second = 20 * step // of the wall, by the API's clock: that is how many ticks it has
	c := condition{
		name: "kills", about: "SIGKILL at random moments, and late usage", profiles: []string{"late-minutes"},
		live: time.Duration(*kills) * second, kills: *kills, settle: 10 * time.Hour,
	}
	r, err := measure(t.Context(), process.Build(t), c, uint64(time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	if r.kills != *kills || r.scrapes < 2**kills || r.usage.truth == 0 || r.cost.truth == 0 {
		t.Errorf("the run proves nothing: %+v", r)
	}
	t.Logf("%d kills, %d scrapes, %d counters compared after %.0f polls, in %s", r.kills, r.scrapes, r.labelSets, r.polls, r.took)
}
