//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A monitor is a Prometheus and an Alertmanager, configured by the files that we hand to users.
type monitor struct {
	prometheus, alertmanager string // base URLs
	webhook                  *webhook
}

// startMonitor starts both. What is changed in the users' files is what a test can't wait for or can't know: addresses,
// paths and durations.
func startMonitor(t *testing.T, target string) *monitor {
	t.Helper()
	m := &monitor{
		prometheus:   fmt.Sprintf("http://127.0.0.1:%d", freePort(t)),
		alertmanager: fmt.Sprintf("http://127.0.0.1:%d", freePort(t)),
		webhook:      startWebhook(t),
	}
	dir := t.TempDir()

	am := read(t, "deploy/alertmanager/alertmanager.yml")
	am = replace(t, am, `http://127\.0\.0\.1:9099/`, m.webhook.url)
	am = replace(t, am, `group_wait: 30s`, `group_wait: 1s`)
	am = replace(t, am, `group_interval: 5m`, `group_interval: 1s`)
	write(t, filepath.Join(dir, "alertmanager.yml"), am)
	start(t, "alertmanager", tool(t, "ALERTMANAGER", "alertmanager"),
		"--config.file="+filepath.Join(dir, "alertmanager.yml"), "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+strings.TrimPrefix(m.alertmanager, "http://"), "--cluster.listen-address=")

	for _, name := range []string{"openai-recording.yml", "openai-alerts.yml"} {
		text := read(t, "deploy/prometheus/rules", name)
		if strings.Contains(text, "for:") {
			text = replace(t, text, `for: \S+`, `for: 2s`)
		}
		write(t, filepath.Join(dir, name), text)
	}
	prom := read(t, "prometheus.yml.example")
	prom = replace(t, prom, `scrape_interval: 30s`, "scrape_interval: 1s\n  scrape_timeout: 1s")
	prom = replace(t, prom, `evaluation_interval: 30s`, `evaluation_interval: 1s`)
	prom = replace(t, prom, `deploy/prometheus/rules/\*\.yml`, filepath.Join(dir, "openai-*.yml"))
	prom = replace(t, prom, `127\.0\.0\.1:9093`, strings.TrimPrefix(m.alertmanager, "http://"))
	prom = replace(t, prom, `127\.0\.0\.1:10095`, target)
	write(t, filepath.Join(dir, "prometheus.yml"), prom)
	start(t, "prometheus", tool(t, "PROMETHEUS", "prometheus"),
		"--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+strings.TrimPrefix(m.prometheus, "http://"))

	for _, ready := range []string{m.alertmanager + "/-/ready", m.prometheus + "/-/ready"} {
		eventually(t, 60*time.Second, ready, func() error {
			_, err := do(t.Context(), http.MethodGet, ready)
			return err
		})
	}
	return m
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

func (p pair) number() (float64, error) {
	s, ok := p[1].(string)
	if !ok {
		return 0, fmt.Errorf("no number: %v", p)
	}
	return strconv.ParseFloat(s, 64)
}

func (m *monitor) query(t *testing.T, expr string) ([]sample, error) {
	t.Helper()
	body, err := do(t.Context(), http.MethodGet, m.prometheus+"/api/v1/query?limit=0&query="+url.QueryEscape(expr))
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
func (m *monitor) value(t *testing.T, expr string) (float64, error) {
	t.Helper()
	samples, err := m.query(t, expr)
	if err != nil {
		return 0, err
	}
	if len(samples) != 1 {
		return 0, fmt.Errorf("%s has %d series", expr, len(samples))
	}
	return samples[0].Value.number()
}

// rulesWork returns an error until every rule was evaluated and none has failed.
func (m *monitor) rulesWork(t *testing.T) error {
	t.Helper()
	body, err := do(t.Context(), http.MethodGet, m.prometheus+"/api/v1/rules")
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

// A webhook is the receiver at the end of the way of an alert.
type webhook struct {
	url string

	mu     sync.Mutex
	status map[string]string            // by alert name: firing or resolved
	texts  map[string]map[string]string // annotations by alert name
}

func startWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{status: map[string]string{}, texts: map[string]map[string]string{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL + "/"
	return w
}

func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []struct {
			Status      string            `json:"status"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range message.Alerts {
		w.status[a.Labels["alertname"]] = a.Status
		w.texts[a.Labels["alertname"]] = a.Annotations
	}
}

// is returns an error until the newest message about the alert has that status.
func (w *webhook) is(alert, status string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.status[alert]; got != status {
		return fmt.Errorf("%s is %q in %v", alert, got, w.status)
	}
	for _, a := range []string{"summary", "description"} {
		if text := w.texts[alert][a]; text == "" || strings.Contains(text, "<no value>") || strings.Contains(text, "<error") {
			return fmt.Errorf("%s has the %s %q", alert, a, text)
		}
	}
	return nil
}
