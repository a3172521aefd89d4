//go:build browser && pictures

package browser_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// A week is lived through hour by hour, its last hours finer, and scraped once in each step.
const (
	hours = 159
	leaks = 148 // From this hour on a key goes past the gateways.
	fine  = 12 * time.Hour
	often = 10 * time.Minute
)

// A week is what a Prometheus would have scraped in it.
type week struct {
	api, target string
	projects    []string // whose traffic gateways see
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
	w.control(t, "leak") // Nothing goes past the gateways yet.
	more := strings.Replace(pictured, "usage: {interval: 1s}", `usage:
  interval: 1s
  endpoints:
    completions: {group_by: [project_id, model, user_id, api_key_id]}
    vector_stores: {interval: 1s}
    code_interpreter_sessions: {interval: 1s}`, 1)
	w.target = serveWith(t, binary, more, account{"acme", api, key})
	becomes(t, w.target, `<title>\d+ endpoints up to date`)
	w.find(t, "(openai_project_info){")
	w.scrape(t)
	for hour := range hours {
		if hour == leaks {
			w.control(t, "leak?key="+w.find(t, `openai_api_key_info\{api_key_id="([^"]+)"[^}]*project_id="`+w.find(t, `project_id="([^"]+)",project_name="Search"`)))
		}
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
	w.control(t, "advance?by="+by.String())
	w.now = w.now.Add(by)
	read, before := float64(w.now.Truncate(time.Minute).Unix()), w.metric(t, costsPolled)
	process.Eventually(t, 3*time.Minute, w.now.Format(time.DateTime), func() error {
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

// control tells the simulated API what to do.
func (w *week) control(t *testing.T, path string) {
	t.Helper()
	if _, err := process.Post(t.Context(), w.api+"/_simulator/"+path); err != nil {
		t.Fatal(err)
	}
}

// find waits until something is exposed.
func (w *week) find(t *testing.T, pattern string) (found string) {
	t.Helper()
	of := regexp.MustCompile(pattern)
	process.Eventually(t, 3*time.Minute, pattern, func() error {
		text, err := process.Get(t.Context(), w.target+"metrics")
		if m := of.FindSubmatch(text); m != nil {
			found = string(m[1])
			return err
		}
		return cmp.Or(err, errors.New("it is not exposed"))
	})
	return found
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
	const target = `job="openai",instance="openai-exporter:10095"`
	w.write("up", target, "1")
	w.samples(t, target, text)
	if w.projects == nil {
		for _, m := range project.FindAllSubmatch(text, -1) {
			w.projects = append(w.projects, string(m[1]))
		}
	}
	for _, id := range w.projects {
		seen, err := process.Get(t.Context(), w.api+"/_simulator/gateway?project_id="+id)
		if err != nil {
			t.Fatal(err)
		}
		w.samples(t, fmt.Sprintf(`job="gateway",instance="gateway:4000",organization="acme",project_id=%q`, id), seen)
	}
}

// project is one that is exposed.
var project = regexp.MustCompile(`(?m)^openai_project_info\{[^}]*project_id="([^"]+)"`)

// samples writes down those of a target.
func (w *week) samples(t *testing.T, target string, text []byte) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		if m := sample.FindStringSubmatch(line); m != nil {
			if m[1] == "openai_exporter_last_success_timestamp_seconds" { // By the exporter's clock, which is not the API's here.
				m[3] = strconv.FormatInt(w.now.Unix(), 10)
			}
			labels := target
			if m[2] != "" {
				labels += "," + m[2]
			}
			w.write(m[1], labels, m[3])
		} else if !strings.HasPrefix(line, "#") {
			t.Fatalf("no sample: %q", line)
		}
	}
}

func (w *week) write(name, labels, value string) {
	fmt.Fprintf(&w.scraped, "%s{%s} %s %d\n", name, labels, value, w.now.Unix())
}

// reconciliation are the rules that say what no gateway has seen. Each stands on others, so many deep.
const (
	reconciliation = "deploy/prometheus/reconcile/openai-reconcile.yml"
	deep           = 6
)

// prometheus serves what was scraped, and what the rules of reconciliation make of it.
func (w *week) prometheus(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	file, scraped := filepath.Join(dir, "week.om"), filepath.Join(dir, "scraped")
	process.WriteFile(t, file, w.scraped.String()+"# EOF\n")
	blocks := func(from string, more ...string) {
		t.Helper()
		arguments := append([]string{"tsdb", "create-blocks-from", from}, more...)
		if out, err := exec.CommandContext(t.Context(), process.Tool(t, "PROMTOOL", "promtool"), arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, process.Tail(string(out), 2000))
		}
	}
	passes := 0
	// Each Prometheus has data of its own, because it merges blocks that overlap while it runs.
	serve := func(of ...string) (*process.Program, string) {
		t.Helper()
		passes++
		at := filepath.Join(dir, fmt.Sprint("prometheus", passes))
		for _, from := range of {
			if err := os.CopyFS(filepath.Join(at, "data"), os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		}
		return startPrometheus(t, at, "scrape_configs: []\n", "--storage.tsdb.retention.time=100y", "--query.lookback-delta=61m")
	}
	blocks("openmetrics", "--max-block-duration=400h", file, scraped)
	// evaluate makes blocks of what the rules say of others. The Prometheus that is asked must not meet them before they are
	// whole, nor what an earlier pass has made of rules that had only a part of what they stand on.
	evaluate := func(from, to time.Time, of ...string) (out string) {
		t.Helper()
		p, url := serve(of...)
		out = filepath.Join(dir, fmt.Sprint("rules", passes))
		blocks("rules", "--url="+url, "--start="+from.Format(time.RFC3339), "--end="+to.Format(time.RFC3339), "--eval-interval=20m", "--output-dir="+out, filepath.Join(root, reconciliation))
		p.End(t, syscall.SIGTERM)
		return out
	}
	// The midnights of the week for what is compared day by day, the day that is drawn for what stands on that.
	drawn := w.now.Add(-24 * time.Hour)
	of := []string{scraped, evaluate(w.now.Add(-hours*time.Hour), drawn.Add(-time.Second), scraped)}
	last := evaluate(drawn, w.now, of...)
	for range deep - 1 {
		last = evaluate(drawn, w.now, append(of, last)...)
	}
	_, url = serve(append(of, last)...)
	return url
}
