//go:build e2e

// Package e2e_test runs what users run: the real binary, polling a simulated API over HTTP, scraped by a real Prometheus
// that has our rules and sends its alerts to a real Alertmanager. `make e2e` builds those two and runs it.
package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

const root = "../.."

// The keys are long and odd, so that they are found wherever they might leak.
const (
	adminKey   = "sk-admin-e2e-4b1d0c5e9f-valid"
	revokedKey = "sk-admin-e2e-77aa31f0d2-revoked"
)

// TestPrometheusRecordsTheTruthAndAlertsArrive begins at fixed times of the API's clock, so that it is the same test at any
// hour: the turn of a month comes while the exporter runs, and midnight while it is down.
func TestPrometheusRecordsTheTruthAndAlertsArrive(t *testing.T) {
	binary := process.Build(t)
	for name, begin := range map[string]time.Time{
		"a month turns while it runs":   time.Date(2026, 10, 31, 23, 45, 0, 0, time.UTC),
		"a day turns while it does not": time.Date(2026, 11, 18, 22, 20, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // It mostly waits.
			recordsTheTruth(t, binary, begin)
		})
	}
}

func recordsTheTruth(t *testing.T, binary string, begin time.Time) {
	simulator := "http://" + process.FreeAddress(t)
	process.Start(t, binary, "simulate", "--start="+begin.Format(time.RFC3339),
		"--listen-address="+strings.TrimPrefix(simulator, "http://"), "--admin-key="+adminKey)
	process.Eventually(t, 3*time.Minute, "the simulator answers", func() error {
		_, err := process.Get(t.Context(), simulator+"/_simulator/now")
		return err
	})
	control := func(path string) {
		t.Helper()
		if _, err := process.Post(t.Context(), simulator+"/_simulator/"+path); err != nil {
			t.Fatal(err)
		}
	}
	// Nearly a third of all requests go wrong until the books are closed.
	control("faults?profile=faulty")

	// Counting from yesterday gives the counters something to be wrong about from the first poll on.
	from := begin.Add(-26 * time.Hour).Truncate(time.Hour)
	dir := t.TempDir()
	config := filepath.Join(dir, "openai_exporter.yml")
	good := fmt.Sprintf(`
organizations:
  - name: acme
    api_key_file: %s
    base_url: %s/v1
    requests_per_minute: 6000
usage:
  interval: 1s
  lookback: 10m
  audit: {interval: 5s, window: 6h}
  endpoints:
    vector_stores: {bucket_width: 1h, interval: 5s}
    code_interpreter_sessions: {bucket_width: 1h, interval: 2s}
costs: {interval: 2s}
names: {enabled: false}
limits: {enabled: false}
counters: {start: %q, zero_hold: 2s}
`, filepath.Join(dir, "key"), simulator, from.Format(time.RFC3339))
	process.WriteFile(t, config, good)
	process.WriteFile(t, filepath.Join(dir, "key"), adminKey+"\n")

	target := process.FreeAddress(t)
	exporter := "http://" + target
	args := []string{
		"--config.file=" + config, "--storage.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + target, "--web.enable-lifecycle", "--log.level=debug",
	}
	first := process.Start(t, binary, args...)
	ready := func() error {
		_, err := process.Get(t.Context(), exporter+"/-/ready")
		return err
	}
	process.Eventually(t, 3*time.Minute, "the exporter is ready", ready)

	m := startMonitor(t, target)
	up := func() error {
		v, err := m.value(t, `up{job="openai"}`)
		if err == nil && v != 1 {
			err = errors.New("up is 0")
		}
		return err
	}
	process.Eventually(t, 3*time.Minute, "Prometheus scrapes the exporter", up)
	process.Eventually(t, 3*time.Minute, "every rule works on what is scraped", func() error { return m.rulesWork(t) })

	// A typo in the configuration.
	process.WriteFile(t, config, strings.Replace(good, "lookback:", "lookbak:", 1))
	if _, err := process.Post(t.Context(), exporter+"/-/reload"); err == nil || !strings.Contains(err.Error(), "lookbak") {
		t.Fatalf("reload of a configuration with a typo gave %v, want an error that names it", err)
	}
	alert := func(name, status string) {
		t.Helper()
		process.Eventually(t, 3*time.Minute, name+" arrives as "+status, func() error { return m.webhook.is(name, status) })
	}
	alert("OpenAIExporterReloadFailed", "firing")
	process.WriteFile(t, config, good)
	if _, err := process.Post(t.Context(), exporter+"/-/reload"); err != nil {
		t.Fatal(err)
	}
	alert("OpenAIExporterReloadFailed", "resolved")

	// Half an hour of the API's time, in which a month may turn.
	control("advance?by=30m")

	// A key that somebody revoked, and then a good one: nobody restarts anything.
	process.WriteFile(t, filepath.Join(dir, "key"), revokedKey+"\n")
	alert("OpenAIKeyRejected", "firing")
	process.WriteFile(t, filepath.Join(dir, "key"), adminKey+"\n")
	alert("OpenAIKeyRejected", "resolved")

	// A crash in the middle of whatever it was doing, and two hours of the API's time until somebody notices.
	before, err := truth(t, simulator, from)
	if err != nil {
		t.Fatal(err)
	}
	first.End(t, syscall.SIGKILL)
	control("advance?by=2h")
	alert("OpenAIExporterDown", "firing")
	second := process.Start(t, binary, args...)
	process.Eventually(t, 3*time.Minute, "the exporter is ready after a crash", ready)
	alert("OpenAIExporterDown", "resolved")

	// The books are closed: no more traffic, no more faults.
	control("faults?profile=instant")
	control("end?at=now")
	want, err := truth(t, simulator, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openai_usage_requests_total", "openai_usage_input_tokens_total", "openai_cost_usd_total"} {
		if b, w := before.sum(name), want.sum(name); b <= 0 || w <= b {
			t.Fatalf("the truth of %s went from %v to %v: nothing was there to be missed", name, b, w)
		}
	}
	process.Eventually(t, 3*time.Minute, "the exporter shows the truth", func() error {
		got, err := exposed(t, exporter)
		if err != nil {
			return err
		}
		return equal(want, got)
	})
	daysAdvanced(t, simulator, exporter, begin)
	for _, p := range []prometheus{m.prometheus, m.zeros} {
		process.Eventually(t, 3*time.Minute, "Prometheus has recorded the truth", func() error {
			got, err := p.recorded(t)
			if err != nil {
				return err
			}
			return equal(want, got)
		})
		neverDown(t, p)
	}
	for alert, receiver := range map[string]string{"OpenAIExporterReloadFailed": "ticket", "OpenAIKeyRejected": "page", "OpenAIExporterDown": "page"} {
		if got := m.webhook.reached(alert); !slices.Equal(got, []string{receiver}) {
			t.Errorf("%s reached %v, want %s", alert, got, receiver)
		}
	}
	lint(t, exporter)

	if code := second.End(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code after SIGTERM is %d, want 0", code)
	}
	for _, p := range []*process.Program{first, second} {
		for _, k := range []string{adminKey, revokedKey} {
			if strings.Contains(p.Output(), k) {
				t.Errorf("the log holds the key %s", k)
			}
		}
	}
}

// daysAdvanced holds the cost of today and of this month to the bill since the last midnight and the last turn of a month, of
// which there was one since the test began.
func daysAdvanced(t *testing.T, simulator, exporter string, begin time.Time) {
	t.Helper()
	now, err := apiNow(t, simulator)
	if err != nil {
		t.Fatal(err)
	}
	now = now.UTC()
	today := now.Truncate(24 * time.Hour)
	if !begin.Before(today) {
		t.Fatalf("from %s to %s there is no midnight", begin, now)
	}
	for name, since := range map[string]time.Time{
		"openai_cost_today_usd":         today,
		"openai_cost_month_to_date_usd": time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC),
	} {
		is, err := truth(t, simulator, since)
		if err != nil {
			t.Fatal(err)
		}
		want := is.sum("openai_cost_usd_total")
		process.Eventually(t, 3*time.Minute, name+" is the bill", func() error {
			families, err := scraped(t, exporter)
			if err != nil {
				return err
			}
			got := 0.0
			for _, m := range families[name].GetMetric() {
				got += m.GetGauge().GetValue()
			}
			if math.Abs(got-want) > 1e-9*max(1, want) {
				return fmt.Errorf("%s is %v, the bill since %s is %v", name, got, since, want)
			}
			return nil
		})
	}
}

// neverDown looks at every sample that Prometheus has of the counters: over the crash, too, none may be smaller than the
// one before.
func neverDown(t *testing.T, p prometheus) {
	t.Helper()
	series := 0
	for _, name := range counters() {
		samples, err := p.query(t, name+"[15m]")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			series++
			before := 0.0
			for _, x := range s.Values {
				v, err := x.number()
				if err != nil {
					t.Fatal(err)
				}
				if v < before {
					t.Errorf("%s went down from %v to %v", key(name, s.Metric), before, v)
				}
				before = v
			}
		}
	}
	if series == 0 {
		t.Error("Prometheus has no counters")
	}
}

// lint holds the scrape against the conventions that Prometheus' own tool knows.
func lint(t *testing.T, exporter string) {
	t.Helper()
	body, err := process.Get(t.Context(), exporter+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(process.Tool(t, "PROMTOOL", "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(body)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("promtool check metrics: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		// Given up hours are things that are counted, as buckets are, and no measure of time. Megabytes of audio are the
		// unit in which the API sets that limit.
		if name, _, _ := strings.Cut(line, " "); name == "openai_exporter_hours_given_up_total" || name == "openai_rate_limit_audio_megabytes_per_minute" {
			continue
		}
		t.Errorf("promtool check metrics: %s", line)
	}
	for _, k := range []string{adminKey, revokedKey} {
		if bytes.Contains(body, []byte(k)) {
			t.Errorf("the metrics hold the key %s", k)
		}
	}
}

// flagName is a flag of ours as documents and units write it.
var flagName = regexp.MustCompile(`--(?:config|storage|web|log)\.[a-z.-]+[a-z]|--demo\b|--version\b`)

func TestFlagsThatDocumentsNameExist(t *testing.T) {
	binary := process.Build(t)
	p := process.Start(t, binary, "--help-long")
	p.Wait(t)
	help := p.Output()
	for _, f := range []string{"README.md", "SECURITY.md", "docs/operations.md", "docs/configuration.md", "Dockerfile", "deploy/systemd/openai_exporter.service"} {
		for _, name := range flagName.FindAllString(read(t, f), -1) {
			if !strings.Contains(strings.ReplaceAll(help, "--[no-]", "--"), name) {
				t.Errorf("%s names the flag %s, which the help does not know:\n%s", f, name, help)
			}
		}
	}
}
