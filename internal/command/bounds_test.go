package command

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestTheLimitOfLabelSetsIsNamedOnceBeforeItIsReached(t *testing.T) {
	t.Parallel() // It mostly waits.
	const counters = fast + "\nnames: {enabled: false}\nlimits: {enabled: false}\ncounters: {start: today, zero_hold: 0s, max_label_sets: %d}"
	_, baseURL := simulate(t, simulator.Options{Clock: simulator.NewClock(time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC), 0).Now})
	args, file := configure(t, baseURL, goodKey, fmt.Sprintf(counters, 100000))
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	eventually(t, "all endpoints", func() bool { return p.up() == all })
	p.ready()
	const warning = "The number of label sets is close to its limit"
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
