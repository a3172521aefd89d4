package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestTheLimitOfLabelSetsIsNamedOnceBeforeItIsReached(t *testing.T) {
	const counters = fast + "\nnames: {enabled: false}\nlimits: {enabled: false}\ncounters: {start: today, zero_hold: 0s, max_label_sets: %d}"
	_, baseURL := simulate(t, simulator.Options{Clock: simulator.NewClock(time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC), 0).Now})
	args, file := configure(t, baseURL, goodKey, fmt.Sprintf(counters, 100000))
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	eventually(t, "all endpoints", func() bool { return p.up() == all })
	p.ready()
	const warning = "The limit of label sets is near"
	if strings.Contains(p.log.String(), warning) {
		t.Errorf("far from the limit the log says\n%s", p.log)
	}
	labelSets := int(p.sum("openai_exporter_label_sets", ""))
	writeConfig(t, file, baseURL, fmt.Sprintf(counters, labelSets*10/9))
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Fatalf("reload answered %d %q", code, body)
	}
	eventually(t, "the warning", func() bool { return strings.Contains(p.log.String(), warning) })
	polls := p.sum("openai_exporter_polls_total", "endpoint=completions")
	eventually(t, "more polls", func() bool { return p.sum("openai_exporter_polls_total", "endpoint=completions") >= polls+2 })
	if n := strings.Count(p.log.String(), warning); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, p.log)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTheMemoryLimitOfTheCgroupIsRespectedUnlessGOMEMLIMITIsSet(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	container := func() (uint64, error) { return 10 << 30, nil }
	for _, tc := range []struct {
		env    string
		cgroup func() (uint64, error)
		want   int64
		said   int
	}{
		{"", container, 9 << 30, 1},
		{"", func() (uint64, error) { return 0, errors.New("no cgroup") }, before, 0},
		{"", func() (uint64, error) { return math.MaxUint64, nil }, before, 0},
		{"123MiB", container, before, 0}, // Go itself has read it.
	} {
		debug.SetMemoryLimit(before)
		t.Setenv("GOMEMLIMIT", tc.env)
		if tc.env == "" {
			if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
				t.Fatal(err)
			}
		}
		var b logBuffer
		limitMemory(level.NewFilter(log.NewLogfmtLogger(&b), level.AllowInfo()), tc.cgroup)
		if got := debug.SetMemoryLimit(-1); got != tc.want || strings.Count(b.String(), "\n") != tc.said {
			t.Errorf("GOMEMLIMIT=%q: the limit is %d, want %d; the log says %q", tc.env, got, tc.want, b.String())
		}
	}
}
