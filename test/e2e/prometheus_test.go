//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// A monitor is a Prometheus and an Alertmanager, configured by the files that we hand to users.
type monitor struct {
	prometheus
	// zeros is a second Prometheus on the same exporter, which reads when counters began and records their zero. It has no
	// rules.
	zeros        prometheus
	alertmanager string // base URL
	webhook      *webhook
}

// A prometheus is the base URL of one.
type prometheus string

// startMonitor starts them. What is changed in the users' files is what a test can't wait for or can't know: addresses,
// paths and durations.
func startMonitor(t *testing.T, target string) *monitor {
	t.Helper()
	m := &monitor{
		alertmanager: "http://" + process.FreeAddress(t),
		webhook:      startWebhook(t),
	}
	dir := t.TempDir()
	startAlertmanager(t, m, dir)

	for _, path := range globbed(t, "deploy/prometheus/rules/*.yml") {
		text := read(t, "deploy/prometheus/rules", filepath.Base(path))
		text = regexp.MustCompile(`(?m)^( +for): \S+`).ReplaceAllString(text, "$1: 2s")
		text = regexp.MustCompile(`(?m)^    interval: \S+`).ReplaceAllLiteralString(text, "    interval: 1s")
		process.WriteFile(t, filepath.Join(dir, filepath.Base(path)), text)
	}
	config := read(t, "prometheus.yml.example")
	config = replace(t, config, `scrape_interval: 30s`, "scrape_interval: 1s")
	config = replace(t, config, `scrape_timeout: 10s`, "scrape_timeout: 1s")
	config = replace(t, config, `evaluation_interval: 30s`, `evaluation_interval: 1s`)
	config = replace(t, config, `deploy/prometheus/rules/\*\.yml`, filepath.Join(dir, "openai-*.yml"))
	config = replace(t, config, `127\.0\.0\.1:9093`, strings.TrimPrefix(m.alertmanager, "http://"))
	config = replace(t, config, `127\.0\.0\.1:10095`, target)
	m.prometheus = startPrometheus(t, "prometheus", filepath.Join(dir, "prometheus"), config)
	silent := replace(t, config, `(?m)^(?:rule_files|alerting):\n(?:  .*\n|\n)+`, "")
	m.zeros = startPrometheus(t, "prometheus with zeros", filepath.Join(dir, "zeros"), silent, "--enable-feature=created-timestamp-zero-ingestion")

	for _, ready := range []string{m.alertmanager + "/-/ready", string(m.prometheus) + "/-/ready", string(m.zeros) + "/-/ready"} {
		process.Eventually(t, 3*time.Minute, ready, func() error {
			_, err := process.Get(t.Context(), ready)
			return err
		})
	}
	return m
}

func startPrometheus(t *testing.T, name, dir, config string, args ...string) prometheus {
	t.Helper()
	address := process.FreeAddress(t)
	process.WriteFile(t, dir+".yml", config)
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), append(args,
		"--config.file="+dir+".yml", "--storage.tsdb.path="+dir, "--web.listen-address="+address)...)
	return prometheus("http://" + address)
}

// startAlertmanager starts it on the users' file, whose messages all arrive at the webhook: those to Slack as Slack would
// get them, under /slack; pages and tickets as Alertmanager's own webhook message.
func startAlertmanager(t *testing.T, m *monitor, dir string) {
	t.Helper()
	config := read(t, "deploy/alertmanager/alertmanager.yml")
	config = replace(t, config, `http://127\.0\.0\.1:9099/`, m.webhook.url+"ticket")
	config = replace(t, config, `/etc/alertmanager/slack_url`, filepath.Join(dir, "slack_url"))
	// What PagerDuty makes of a message is not ours to test.
	config = replace(t, config, `pagerduty_configs:\n      - routing_key_file: .*\n        description: .*\n        severity: .*\n`,
		"webhook_configs:\n      - {url: "+m.webhook.url+"page, send_resolved: true}\n")
	config = replace(t, config, `templates/openai\.tmpl`, filepath.Join(dir, "openai.tmpl"))
	config = replace(t, config, `group_wait: 30s`, `group_wait: 1s`)
	config = replace(t, config, `group_interval: 5m`, `group_interval: 1s`)
	process.WriteFile(t, filepath.Join(dir, "slack_url"), m.webhook.url+"slack\n")
	process.WriteFile(t, filepath.Join(dir, "openai.tmpl"), read(t, "deploy/alertmanager/templates/openai.tmpl"))
	process.WriteFile(t, filepath.Join(dir, "alertmanager.yml"), config)
	process.Start(t, process.Tool(t, "ALERTMANAGER", "alertmanager"),
		"--config.file="+filepath.Join(dir, "alertmanager.yml"), "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+strings.TrimPrefix(m.alertmanager, "http://"), "--cluster.listen-address=")
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// globbed are the users' files of a pattern; none is a mistake.
func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	return files
}

// replace fails when there is nothing to replace, so that a change of the users' files can't go past the test.
func replace(t *testing.T, text, pattern, by string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	if !re.MatchString(text) {
		t.Fatalf("nothing matches %q in:\n%s", pattern, text)
	}
	return re.ReplaceAllLiteralString(text, by)
}

// A sample is a series in an answer of Prometheus, with one value or, for a range, all of them.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  pair              `json:"value"`
	Values []pair            `json:"values"`
}

// A pair is a timestamp and the number that was recorded.
type pair [2]any

// at is the moment of the sample in Unix seconds.
func (p pair) at() float64 {
	at, _ := p[0].(float64) // JSON knows no other number.
	return at
}

func (p pair) number() (float64, error) {
	s, ok := p[1].(string)
	if !ok {
		return 0, fmt.Errorf("no number: %v", p)
	}
	return strconv.ParseFloat(s, 64)
}

// query asks about now.
func (p prometheus) query(t *testing.T, expr string) ([]sample, error) {
	t.Helper()
	return p.queryAt(t, expr, time.Now())
}

func (p prometheus) queryAt(t *testing.T, expr string, at time.Time) ([]sample, error) {
	t.Helper()
	q := url.Values{"limit": {"0"}, "query": {expr}, "time": {at.UTC().Format(time.RFC3339Nano)}}
	body, err := process.Get(t.Context(), string(p)+"/api/v1/query?"+q.Encode())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []sample `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("decode answer to %q: %w", expr, err)
	}
	return answer.Data.Result, nil
}

// value asks for a single number.
func (p prometheus) value(t *testing.T, expr string) (float64, error) {
	t.Helper()
	samples, err := p.query(t, expr)
	if err != nil {
		return 0, err
	}
	if len(samples) != 1 {
		return 0, fmt.Errorf("%s has %d series", expr, len(samples))
	}
	return samples[0].Value.number()
}

// rulesWork returns an error until every rule was evaluated and none has failed.
func (p prometheus) rulesWork(t *testing.T) error {
	t.Helper()
	body, err := process.Get(t.Context(), string(p)+"/api/v1/rules")
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name      string `json:"name"`
					Health    string `json:"health"`
					LastError string `json:"lastError"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	seen := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			seen++
			if r.Health != "ok" {
				return fmt.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if seen == 0 {
		return errors.New("no rules are loaded")
	}
	return nil
}
