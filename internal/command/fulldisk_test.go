// The real binary does the work here. The race detector would see the simulator alone.

//go:build !race

package command

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestAFullDiskStopsTheBooksButNotTheService runs the real binary under a limit on the size of its files, which is met
// in the middle of its work as the end of a disk is.
func TestAFullDiskStopsTheBooksButNotTheService(t *testing.T) {
	t.Parallel() // It mostly waits.
	clock := simulator.NewClock(time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC), 300)
	s, baseURL := simulate(t, simulator.Options{Seed: 5, Clock: clock.Now, LabelSets: 3000})
	args, _ := configure(t, baseURL, goodKey, fast+"\ncounters: {zero_hold: 0s}")
	binary := build(t)
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}

	p := execute(t, shell, append([]string{"-c", `ulimit -f 1024; exec "$0" "$@"`, binary}, args...)...)
	p.ready()
	eventually(t, "the disk to be full", func() bool { return p.sum(commitErrors, "") > 0 })
	before := p.counters()
	if len(before) < 100 {
		t.Fatalf("only %d counters", len(before))
	}
	full := p.sum(commitErrors, "")
	eventually(t, "more polls that can't be booked", func() bool { return p.sum(commitErrors, "") > full+3 })
	after := p.counters()
	for k, n := range before {
		if after[k] < n {
			t.Errorf("%s fell from %v to %v", k, n, after[k])
		}
	}
	if _, status := p.get("/api/v1/status"); !strings.Contains(status, "free space on its disk") {
		t.Errorf("the status does not say what to do:\n%s", status)
	}
	if code, _ := p.get("/-/healthy"); code != http.StatusOK {
		t.Errorf("health answers %d", code)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log)
	}

	// With room again it goes on from what was committed, and nothing is missing.
	s.SetEnd(clock.Now().Truncate(time.Minute))
	p = execute(t, binary, args...)
	p.ready()
	for k, n := range p.counters() {
		if n < before[k] {
			t.Errorf("after the restart %s fell from %v to %v", k, before[k], n)
		}
	}
	if p.sum(commitErrors, "") != 0 {
		t.Error("commits still fail")
	}
}
