//go:build e2e

// Package history_test brings the past into a real Prometheus as users do: the real binary reads 90 days from a
// simulated API, the real promtool makes blocks of them, and a live exporter goes on where they end. `make e2e` builds
// the tools and runs it.
package history_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/test/process"
)

const (
	days = 90
	day  = 24 * time.Hour
)

func TestThePastAndThePresentMeetExactly(t *testing.T) {
	binary := process.Build(t)
	api := simulator.New(simulator.Options{Seed: 1, StringAmounts: true})
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)

	// Live counters begin at a full hour of yesterday or the day before. The bill, which knows only days, begins with
	// that day.
	live := time.Now().UTC().Add(-30 * time.Hour).Truncate(time.Hour)
	liveCosts := live.Truncate(day)
	begin := liveCosts.Add(-days * day)
	dir := t.TempDir()
	config, key := filepath.Join(dir, "openai_exporter.yml"), filepath.Join(dir, "key")
	process.WriteFile(t, key, "sk-admin-history-0123456789\n")
	process.WriteFile(t, config, fmt.Sprintf(`
organizations:
  - name: acme
    api_key_file: %s
    base_url: %s/v1
    requests_per_minute: 60000
usage: {interval: 1s, endpoints: {vector_stores: {bucket_width: 1h, interval: 2s}, code_interpreter_sessions: {bucket_width: 1h, interval: 1s}}}
costs: {interval: 1s}
names: {enabled: false}
limits: {enabled: false}
counters: {start: %q, zero_hold: 3s}
`, key, server.URL, live.Format(time.RFC3339)))

	// The first attempt is interrupted, the second one goes on.
	output := filepath.Join(dir, "history.om")
	args := []string{"backfill", "--config.file=" + config, "--start=" + begin.Format(time.DateOnly), "--output=" + output}
	first := process.Start(t, binary, append(args, "--requests-per-minute=600")...)
	process.Eventually(t, 3*time.Minute, "something is read", func() error {
		b, err := os.ReadFile(filepath.Join(output+".partial", "state.json"))
		if err == nil && !regexp.MustCompile(`"done":[1-9]`).Match(b) {
			err = fmt.Errorf("nothing is done")
		}
		return err
	})
	if code := first.End(t, syscall.SIGINT); code != 1 || !strings.Contains(first.Output(), "run the same command again to go on") {
		t.Fatalf("the interrupted backfill ended with %d", code)
	}
	if code := process.Start(t, binary, args...).Wait(t); code != 0 {
		t.Fatalf("the backfill ended with %d", code)
	}

	target := process.FreeAddress(t)
	blocks := filepath.Join(dir, "prometheus")
	promtool := exec.Command(process.Tool(t, "PROMTOOL", "promtool"), "tsdb", "create-blocks-from", "--quiet", "--max-block-duration=162h",
		"openmetrics", "--label=job=openai", "--label=instance="+target, output, blocks)
	if out, err := promtool.CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	thanos := uploadTo(t, dir, blocks) // Before a Prometheus makes other blocks of them.
	prometheus := startPrometheus(t, dir, blocks, target)
	exporter := process.Start(t, binary, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+target)
	process.Eventually(t, 3*time.Minute, "the exporter is ready", func() error {
		_, err := process.Get(t.Context(), "http://"+target+"/-/ready")
		return err
	})

	t.Run("per-day sums by PromQL equal the truth", func(t *testing.T) { perDay(t, api, prometheus, begin, liveCosts) })

	victoria := importInto(t, dir, output, target)
	t.Run("so do they in VictoriaMetrics", func(t *testing.T) { perDay(t, api, victoria, begin, liveCosts) })
	t.Run("so do they in Thanos", func(t *testing.T) { perDay(t, api, thanos, begin, liveCosts) })

	for name, url := range map[string]string{"Prometheus": prometheus, "VictoriaMetrics": victoria, "Thanos": thanos} {
		t.Run("verify finds every day of "+name+" equal", func(t *testing.T) {
			p := process.Start(t, binary, "verify", "--config.file="+config, "--prometheus.url="+url, "--tolerance=0",
				"--start="+begin.Format(time.DateOnly), "--end="+liveCosts.Format(time.DateOnly))
			if code := p.Wait(t); code != 0 || !strings.Contains(p.Stdout(), "sums are equal") {
				t.Errorf("verify ended with %d and said:\n%s", code, p.Output())
			}
		})
	}
	t.Run("verify finds a day that is not there", func(t *testing.T) {
		p := process.Start(t, binary, "verify", "--config.file="+config, "--prometheus.url="+prometheus,
			"--start="+begin.Add(-day).Format(time.DateOnly), "--end="+begin.Add(day).Format(time.DateOnly))
		if code := p.Wait(t); code != 1 || !strings.Contains(p.Output(), "-100.0000 %") || !strings.Contains(p.Output(), "differ by more than 1 %") {
			t.Errorf("verify ended with %d and said:\n%s", code, p.Output())
		}
	})

	// No more traffic: the books are closed.
	api.SetEnd(api.Now())
	t.Run("increase over the seam equals the truth", func(t *testing.T) {
		process.Eventually(t, 3*time.Minute, "past and present add up to the truth", func() error { return seam(t, api, prometheus, begin, liveCosts) })
	})
	if code := exporter.End(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the exporter ended with %d", code)
	}
}

func startPrometheus(t *testing.T, dir, data, target string) (url string) {
	t.Helper()
	config := filepath.Join(dir, "prometheus.yml")
	process.WriteFile(t, config, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: openai
    static_configs: [{targets: [%q]}]
`, target))
	address := process.FreeAddress(t)
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+config, "--storage.tsdb.path="+data,
		"--storage.tsdb.retention.time=1y", "--web.listen-address="+address)
	process.Eventually(t, 3*time.Minute, "Prometheus is ready", func() error {
		_, err := process.Get(t.Context(), "http://"+address+"/-/ready")
		return err
	})
	return "http://" + address
}

// importInto brings the past into a VictoriaMetrics as docs/history.md does.
func importInto(t *testing.T, dir, file, target string) (url string) {
	t.Helper()
	address := process.FreeAddress(t)
	url = "http://" + address
	process.Start(t, process.Tool(t, "VICTORIAMETRICS", "victoria-metrics"), "-storageDataPath="+filepath.Join(dir, "victoria"), "-retentionPeriod=1y",
		"-httpListenAddr="+address, "-search.latencyOffset=0s", "-search.disableCache")
	process.Eventually(t, 3*time.Minute, "VictoriaMetrics is ready", func() error {
		_, err := process.Get(t.Context(), url+"/-/ready")
		return err
	})
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/import/prometheus?extra_label=job=openai&extra_label=instance="+target, f)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if said, err := io.ReadAll(response.Body); err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("VictoriaMetrics answers %s: %s %v", response.Status, said, err)
	}
	// What has come is to be seen at once.
	if _, err := process.Get(t.Context(), url+"/internal/force_flush"); err != nil {
		t.Fatal(err)
	}
	return url
}

// A series is a result of a query. Samples are [time, "value"].
type series struct {
	Metric map[string]string    `json:"metric"`
	Values [][2]json.RawMessage `json:"values"`
}

func (s series) sample(i int) (at int64, v float64) {
	f, err := strconv.ParseFloat(string(s.Values[i][0]), 64)
	if err != nil {
		panic(err)
	}
	if v, err = strconv.ParseFloat(strings.Trim(string(s.Values[i][1]), `"`), 64); err != nil {
		panic(err)
	}
	return int64(math.Round(f)), v
}

func query(t *testing.T, prometheus, path string, q url.Values) []series {
	t.Helper()
	body, err := process.Get(t.Context(), prometheus+path+"?"+q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data.Result
}

// A counter is a metric of an endpoint.
type counter struct {
	endpoint *api.Endpoint
	measure  string
	selector string
}

func counters() []counter {
	var out []counter
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		for _, m := range e.Measures {
			switch {
			case e.Stock:
			case e.IsCosts():
				out = append(out, counter{e, m.Name, "openai_" + m.Name + "_total"})
			default:
				out = append(out, counter{e, m.Name, fmt.Sprintf("openai_usage_%s_total{endpoint=%q}", m.Name, e.Name)})
			}
		}
	}
	return out
}

// near allows for what adding up floats in another order may change.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

// perDay asks for every day's sum by project as docs/history.md does, and compares.
func perDay(t *testing.T, s *simulator.Simulator, prometheus string, begin, end time.Time) {
	compared := 0
	for _, c := range counters() {
		by := "project_id"
		if c.measure == api.MeasureCostQuantity {
			by = "unit" // The quantities of the bill have no project.
		}
		now := fmt.Sprintf("sum by (%s) (last_over_time(%s[2h]))", by, c.selector)
		before := fmt.Sprintf("sum by (%s) (last_over_time(%s[2h] offset 1d))", by, c.selector)
		got := map[string]float64{}
		for _, r := range query(t, prometheus, "/api/v1/query_range", url.Values{
			"query": {now + " - (" + before + " or 0 * " + now + ")"},
			"start": {strconv.FormatInt(begin.Add(day).Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)}, "step": {"1d"},
		}) {
			for i := range r.Values {
				at, v := r.sample(i)
				got[fmt.Sprint(at, " ", r.Metric[by])] = v
			}
		}
		for d := begin; d.Before(end); d = d.Add(day) {
			groupBy, label := []string{by}, by
			if by == "unit" {
				groupBy, label = []string{"line_item"}, "quantity_unit"
			}
			want := map[string]float64{}
			for _, row := range simulator.Sum(s.Final(c.endpoint.Name, groupBy, d, d.Add(day)), label) {
				v := row.Values[c.measure]
				want[row.Labels[label]] = v.Float64()
			}
			for project, v := range want {
				k := fmt.Sprint(d.Add(day).Unix(), " ", project)
				if !near(got[k], v) {
					t.Errorf("%s on %s, %s %q: Prometheus has %v, the truth is %v", c.selector, d.Format(time.DateOnly), by, project, got[k], v)
				}
				if delete(got, k); v != 0 {
					compared++
				}
			}
		}
		for k, v := range got {
			if v != 0 {
				t.Errorf("%s: Prometheus has %v of %s, the truth knows nothing of it", c.selector, v, k)
			}
		}
	}
	t.Logf("%d sums are equal", compared)
	if compared < 10*days {
		t.Errorf("only %d sums were there to compare", compared)
	}
}

// seam adds up by how much the counters have grown over the whole range, sample by sample, with every step down taken
// for a reset as increase() takes it, and compares with the truth.
func seam(t *testing.T, s *simulator.Simulator, prometheus string, begin, liveCosts time.Time) error {
	resets := 0
	for _, c := range counters() {
		by := c.endpoint.GroupBy([]string{"project_id", "model", "line_item"})
		labels := slices.Clone(by)
		if c.measure == api.MeasureCostQuantity {
			labels = []string{"line_item", "unit"}
		}
		key := func(values map[string]string) string {
			var out []string
			for _, l := range labels {
				out = append(out, values[l])
			}
			return strings.Join(out, " | ")
		}
		got := map[string]float64{}
		now := time.Now()
		for _, r := range query(t, prometheus, "/api/v1/query", url.Values{
			"query": {fmt.Sprintf("%s[%ds]", c.selector, int(now.Sub(begin)/time.Second)+1)}, "time": {strconv.FormatInt(now.Unix(), 10)},
		}) {
			k := key(r.Metric)
			if _, twice := got[k]; twice {
				return fmt.Errorf("%s %s is recorded as two series", c.selector, k)
			}
			_, before := r.sample(0)
			got[k] = 0
			for i := range r.Values {
				_, v := r.sample(i)
				if v < before {
					before = 0
					resets++
				}
				got[k] += v - before
				before = v
			}
		}
		want := map[string]float64{}
		for _, row := range s.Final(c.endpoint.Name, by, begin, time.Now()) {
			row.Labels["unit"] = row.Labels["quantity_unit"]
			v := row.Values[c.measure]
			want[key(row.Labels)] += v.Float64()
		}
		for k, v := range want {
			if !near(got[k], v) {
				return fmt.Errorf("%s of %s: recorded %v, truth %v", c.selector, k, got[k], v)
			}
			delete(got, k)
		}
		for k, v := range got {
			if v != 0 {
				return fmt.Errorf("%s of %s: recorded %v, the truth knows nothing of it", c.selector, k, v)
			}
		}
	}
	if resets == 0 {
		return fmt.Errorf("no counter has gone on as a live one")
	}
	t.Logf("%d counters go on over the seam at %s", resets, liveCosts.Format(time.DateOnly))
	return nil
}
