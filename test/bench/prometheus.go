package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

const (
	scrapeEvery = 5 * time.Second
	pollEvery   = 15 * time.Second
	// What is measured: long enough for some polls and many scrapes.
	watched = 2 * time.Minute
)

// withPrometheus lets the real exporter poll, and a real Prometheus scrape it, and asks Prometheus what it saw.
func withPrometheus(ctx context.Context, w io.Writer, dir string) error {
	binary, err := exec.LookPath(os.Getenv("PROMETHEUS"))
	if err != nil {
		return fmt.Errorf("set PROMETHEUS to a Prometheus, or use `make bench`: %w", err)
	}
	completions, _ := api.Find("completions")
	sim := simulator.New(simulator.Options{Seed: 1, LabelSets: series / len(completions.Measures)})
	upstream := httptest.NewServer(sim.Handler())
	defer upstream.Close()

	exporterBinary, err := buildExporter(ctx, dir, "")
	if err != nil {
		return err
	}
	exporter, err := startExporter(ctx, dir, "exporter", exporterBinary, fmt.Sprintf(`organizations:
  - name: acme
    base_url: %s/v1
    api_key_env: OPENAI_ADMIN_KEY
    requests_per_minute: 6000
usage:
  interval: %s
counters:
  zero_hold: 1s
`, upstream.URL, pollEvery))
	if err != nil {
		return err
	}
	defer exporter.end()
	// Prometheus comes when there is something to scrape.
	if err := exporter.ready(ctx, 2*time.Minute); err != nil {
		return err
	}
	prometheus, err := startPrometheus(ctx, binary, dir, exporter.address, scrapeEvery)
	if err != nil {
		return err
	}
	defer prometheus.end()
	p := query{ctx, "http://" + prometheus.address}
	// The first scrapes make everything for the first time, on both sides.
	if err := until(ctx, time.Minute, func() error {
		if n, err := p.number(`count_over_time(up[5m])`); err != nil || n < 3 {
			return fmt.Errorf("%v scrapes: %w", n, err)
		}
		return nil
	}); err != nil {
		return errors.Join(err, prometheus.failed())
	}
	timer := time.NewTimer(watched)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	over := fmt.Sprintf("[%ds]", int(watched.Seconds()))
	t := newTable(fmt.Sprintf("Prometheus scrapes every %s while every endpoint is polled every %s, %s long", scrapeEvery, pollEvery, watched), "", "")
	for _, r := range []struct {
		name, query string
		spell       func(float64) string
	}{
		{"Samples per scrape", `scrape_samples_scraped`, count},
		{"Scrapes that failed", `count_over_time(up` + over + `) - sum_over_time(up` + over + `)`, count},
		{"Polls in that time", `sum(increase(openai_exporter_polls_total` + over + `))`, count},
		{"Scrape, as Prometheus sees it: median", `quantile_over_time(0.5, scrape_duration_seconds` + over + `)`, seconds},
		{"Scrape, as Prometheus sees it: longest", `max_over_time(scrape_duration_seconds` + over + `)`, seconds},
		{"CPU of the exporter, of one processor", `rate(process_cpu_seconds_total` + over + `)`, percent},
		{"Memory of the exporter: most", `max_over_time(process_resident_memory_bytes` + over + `)`, size},
	} {
		v, err := p.number(r.query)
		if err != nil {
			return fmt.Errorf("%s: %w", r.query, errors.Join(err, exporter.failed()))
		}
		t.row(r.name, r.spell(v))
	}
	t.write(w)
	return nil
}

func percent(f float64) string { return fmt.Sprintf("%.0f %%", 100*f) }

func startPrometheus(ctx context.Context, binary, dir, target string, every time.Duration) (*program, error) {
	config := fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}
scrape_configs:
  - job_name: openai
    scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0, PrometheusText0.0.4]
    scrape_native_histograms: true
    static_configs: [{targets: [%[2]q]}]
`, every, target)
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return start(ctx, "prometheus", dir, binary, address,
		"--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+address)
}

// A query asks a Prometheus.
type query struct {
	ctx context.Context
	url string
}

// number is the value of an expression with one sample.
func (q query) number(expression string) (float64, error) {
	all, err := q.samples(expression)
	if err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%d samples", len(all))
	}
	return all[0], nil
}

// samples are the values of an expression with one series at most, or with one range.
func (q query) samples(expression string) (all []float64, err error) {
	text, err := body(q.ctx, q.url+"/api/v1/query?query="+url.QueryEscape(expression))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value  []any   `json:"value"`
				Values [][]any `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	for _, r := range answer.Data.Result {
		if r.Value != nil {
			r.Values = append(r.Values, r.Value)
		}
		for _, pair := range r.Values {
			spelled, _ := pair[len(pair)-1].(string) // Prometheus spells samples as text.
			v, err := strconv.ParseFloat(spelled, 64)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
	return all, nil
}
