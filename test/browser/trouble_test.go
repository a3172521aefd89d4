//go:build browser && pictures

package browser_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// record starts a Prometheus on the data of a directory, if there are any.
func record(t *testing.T, dir, config string, flags ...string) (url string) {
	t.Helper()
	_, url = startPrometheus(t, dir, config, flags...)
	return url
}

func startPrometheus(t *testing.T, dir, config string, flags ...string) (p *process.Program, url string) {
	t.Helper()
	address := process.FreeAddress(t)
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), config)
	p = process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), append(flags, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)...)
	process.Eventually(t, 3*time.Minute, "Prometheus is ready", func() error {
		_, err := process.Get(t.Context(), "http://"+address+"/-/ready")
		return err
	})
	return p, "http://" + address
}

// troubled is how long the trouble goes on. Some graphs have a point every five minutes.
const troubled = 20 * time.Minute

// liveThroughTrouble lets a real Prometheus scrape an exporter through two bouts of errors and a restart.
func liveThroughTrouble(t *testing.T, binary string) (prometheus string) {
	t.Helper()
	dir := t.TempDir()
	api, target := process.FreeAddress(t), process.FreeAddress(t)
	process.Start(t, binary, "simulate", "--listen-address="+api, "--lateness=minutes")
	control := func(path string) {
		process.Eventually(t, 3*time.Minute, path, func() error {
			_, err := process.Post(t.Context(), "http://"+api+"/_simulator/"+path)
			return err
		})
	}
	control("faults?profile=none")
	process.WriteFile(t, filepath.Join(dir, "key"), adminKey+"\n")
	process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations: [{name: acme, api_key_file: key, base_url: "http://%s/v1", requests_per_minute: 6000}]
usage: {interval: 5s, audit: {interval: 10s, window: 24h}}
costs: {interval: 10s}
counters: {start: today, zero_hold: 10s}
`, api))
	args := []string{"--config.file=" + filepath.Join(dir, "exporter.yml"), "--storage.path=" + filepath.Join(dir, "state"), "--web.listen-address=" + target}
	exporter := process.Start(t, binary, args...)
	prometheus = record(t, dir, fmt.Sprintf(`
global: {scrape_interval: 4s, scrape_timeout: 4s}
scrape_configs: [{job_name: openai, scrape_native_histograms: true, static_configs: [{targets: [%q]}]}]
`, target))
	scraped := func(minutes int) {
		process.Eventually(t, 2*troubled, fmt.Sprintf("%d minutes are scraped", minutes), func() error {
			return answers(t, prometheus, fmt.Sprintf("sum(count_over_time(up[1h])) >= %d", minutes*15))
		})
	}
	scraped(5)
	control("faults?profile=faulty")
	scraped(7)
	control("faults?profile=none")
	scraped(11)
	if code := exporter.End(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("the exporter ended with %d", code)
	}
	process.Start(t, binary, args...)
	control("conditions?profile=restated")
	scraped(14)
	control("faults?profile=faulty")
	scraped(16)
	control("conditions?profile=instant")
	scraped(20)
	return prometheus
}

// answers is nil once a query has an answer.
func answers(t *testing.T, prometheus, query string) error {
	t.Helper()
	body, err := process.Get(t.Context(), prometheus+"/api/v1/query?query="+url.QueryEscape(query))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct{ Result []any }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if len(answer.Data.Result) == 0 {
		return errors.New(strings.TrimSpace(query) + " has no answer")
	}
	return nil
}
