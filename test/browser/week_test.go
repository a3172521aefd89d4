//go:build browser && pictures

package browser_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// A week is lived through hour by hour, its last hours finer, and scraped once in each step.
const (
	hours = 159
	fine  = 12 * time.Hour
	often = 10 * time.Minute
)

// A week is what a Prometheus would have scraped in it.
type week struct {
	api, target string
	now         time.Time
	scraped     bytes.Buffer // OpenMetrics with timestamps
}

// liveThroughWeek moves the clock of a simulated API, which stands still otherwise.
func liveThroughWeek(t *testing.T, binary string) *week {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	process.WriteFile(t, key, adminKey+"\n")
	_, api := simulate(t, binary, "--lateness=hours", "--speed=1e-9", "--start=2026-11-11T00:20:00Z")
	w := &week{api: "http://" + api, now: time.Date(2026, 11, 11, 0, 20, 0, 0, time.UTC)}
	more := strings.Replace(pictured, "usage: {interval: 1s}", `usage:
  interval: 1s
  endpoints:
    completions: {group_by: [project_id, model, user_id, api_key_id]}
    vector_stores: {interval: 1s}
    code_interpreter_sessions: {interval: 1s}`, 1)
	w.target = serveWith(t, binary, more, account{"acme", api, key})
	becomes(t, w.target, `<title>\d+ endpoints up to date`)
	w.scrape(t)
	for range hours {
		w.step(t, time.Hour)
	}
	for range int(fine / often) {
		w.step(t, often)
	}
	return w
}

// step moves the clock and scrapes once all that can have changed was read.
func (w *week) step(t *testing.T, by time.Duration) {
	t.Helper()
	if _, err := process.Post(t.Context(), w.api+"/_simulator/advance?by="+by.String()); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(by)
	read, before := float64(w.now.Truncate(time.Minute).Unix()), w.metric(t, costsPolled)
	process.Eventually(t, time.Minute, w.now.Format(time.DateTime), func() error {
		if through := w.metric(t, readThrough); through < read {
			return fmt.Errorf("usage is read through %.0f, not %.0f", through, read)
		}
		if polled := w.metric(t, costsPolled); polled < before+2 {
			return errors.New("costs have not been polled since")
		}
		return nil
	})
	w.scrape(t)
}

var (
	readThrough = regexp.MustCompile(`(?m)^openai_usage_read_through_timestamp_seconds\{[^}]*endpoint="completions"[^}]*\} (\S+)$`)
	costsPolled = regexp.MustCompile(`(?m)^openai_exporter_polls_total\{[^}]*endpoint="costs"[^}]*outcome="success"[^}]*\} (\S+)$`)
)

func (w *week) metric(t *testing.T, of *regexp.Regexp) float64 {
	t.Helper()
	text, err := process.Get(t.Context(), w.target+"metrics")
	if err != nil {
		t.Fatal(err)
	}
	m := of.FindSubmatch(text)
	if m == nil {
		return 0
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var sample = regexp.MustCompile(`^([a-z_0-9]+)(?:\{(.*)\})? (\S+)\n$`)

// scrape writes down what is exposed, as of the API's time, with the labels that Prometheus adds.
func (w *week) scrape(t *testing.T) {
	t.Helper()
	text, err := process.Get(t.Context(), w.target+"metrics")
	if err != nil {
		t.Fatal(err)
	}
	w.write("up", "", "1")
	for line := range strings.Lines(string(text)) {
		if m := sample.FindStringSubmatch(line); m != nil {
			if m[1] == "openai_exporter_last_success_timestamp_seconds" { // By the exporter's clock, which is not the API's here.
				m[3] = strconv.FormatInt(w.now.Unix(), 10)
			}
			w.write(m[1], m[2], m[3])
		} else if !strings.HasPrefix(line, "#") {
			t.Fatalf("no sample: %q", line)
		}
	}
}

func (w *week) write(name, labels, value string) {
	if labels != "" {
		labels = "," + labels
	}
	fmt.Fprintf(&w.scraped, "%s{job=\"openai\",instance=\"openai-exporter:10095\"%s} %s %d\n", name, labels, value, w.now.Unix())
}

// prometheus serves what was scraped.
func (w *week) prometheus(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	file, data := filepath.Join(dir, "week.om"), filepath.Join(dir, "data")
	process.WriteFile(t, file, w.scraped.String()+"# EOF\n")
	if out, err := exec.CommandContext(t.Context(), process.Tool(t, "PROMTOOL", "promtool"), "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=400h", file, data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, process.Tail(string(out), 2000))
	}
	return record(t, dir, "scrape_configs: []\n", "--storage.tsdb.retention.time=100y", "--query.lookback-delta=61m")
}
