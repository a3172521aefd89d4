//go:build e2e

package e2e_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
	"github.com/openai-exporter/openai_exporter/test/process"
)

var writeTable = flag.Bool("table", false, `write the table "what a query says" into docs/accuracy.md`)

// A form is a way to ask for an increase. One that is exact has to be.
type form struct {
	name  string
	exact bool
	expr  func(metric, window string) string
}

var (
	anchored   = form{"`increase(x[…] anchored)`", true, queries.Increase}
	difference = form{"the difference", true, func(metric, window string) string { return queries.Portable(queries.Increase(metric, window)) }}
	plain      = form{"`increase(x[…])`", false, func(metric, window string) string { return fmt.Sprintf("increase(%s[%s])", metric, window) }}
)

// startsStored are the features with which Prometheus stores start timestamps beside the samples.
const startsStored = "st-storage,use-start-timestamps"

// A server records what the exporter shows.
type server struct {
	prometheus
	name     string
	forms    []form
	features string // of start timestamps
}

// startServers starts Prometheus as it is, with each way to make use of start timestamps, and VictoriaMetrics.
func startServers(t *testing.T, dir, target string) []server {
	t.Helper()
	config := fmt.Sprintf("scrape_configs:\n- job_name: openai\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{targets: [%q]}]\n", target)
	version := strings.TrimPrefix(regexp.MustCompile(`-[0-9.]+$`).FindString(process.Tool(t, "PROMETHEUS", "prometheus")), "-")
	servers := []server{{startPrometheus(t, "prometheus", filepath.Join(dir, "plain"), config), "Prometheus " + version, []form{anchored, difference, plain}, ""}}
	for _, feature := range []string{"created-timestamp-zero-ingestion", startsStored} {
		servers = append(servers, server{
			// Experimental functions are needed to ask for the start timestamps themselves, and change nothing else.
			startPrometheus(t, "prometheus", filepath.Join(dir, feature[:2]), config, "--enable-feature="+feature+",promql-experimental-functions"), "Prometheus with `" + strings.ReplaceAll(feature, ",", "`, `") + "`", []form{anchored, difference, plain}, feature,
		})
	}
	address := process.FreeAddress(t)
	// What has just been scraped is to be seen at once.
	process.Start(t, process.Tool(t, "VICTORIAMETRICS", "victoria-metrics"), "-promscrape.config="+filepath.Join(dir, "plain.yml"), "-storageDataPath="+filepath.Join(dir, "victoria"),
		"-httpListenAddr="+address, "-search.latencyOffset=0s", "-search.disableCache", "-inmemoryDataFlushInterval=1s", "-promscrape.configCheckInterval=0")
	return append(servers, server{prometheus("http://" + address), "VictoriaMetrics", []form{difference, plain}, ""})
}

// What was measured of a form.
type measured struct {
	server         string
	form           form
	answers, exact int
	series, sums   float64 // The ratio of answer and truth that is farthest from 1, of a series and of a metric's sum.
}

// compare asks for the increase of every series in a window.
func (m *measured) compare(t *testing.T, p prometheus, w window) {
	t.Helper()
	var parts []string
	for _, name := range counters() {
		parts = append(parts, fmt.Sprintf(`label_replace(%s, "metric", %q, "", "")`, m.form.expr(name, fmt.Sprintf("%dms", w.end.Sub(w.start).Milliseconds())), name))
	}
	samples, err := p.queryAt(t, strings.Join(parts, " or "), w.end)
	if err != nil {
		t.Fatal(err)
	}
	got, want := totals{}, w.truth()
	for _, s := range samples {
		v, err := s.Value.number()
		if err != nil {
			t.Fatal(err)
		}
		name := s.Metric["metric"]
		delete(s.Metric, "metric")
		got[key(name, s.Metric)] = v
	}
	err = equal(want, got)
	if m.form.exact && err != nil {
		t.Errorf("%s, %s, from %s to %s: %v", m.server, m.form.name, w.start.Format(time.StampMilli), w.end.Format(time.StampMilli), err)
	}
	for k, v := range want {
		if v == 0 {
			continue
		}
		m.answers++
		if equal(totals{k: v}, totals{k: got[k]}) == nil {
			m.exact++
		}
		m.series = farther(m.series, got[k]/v)
	}
	for _, name := range counters() {
		if sum := want.sum(name); sum != 0 {
			m.sums = farther(m.sums, got.sum(name)/sum)
		}
	}
}

// farther is the ratio that is farther from 1; 0 is none.
func farther(a, b float64) float64 {
	if a == 0 || math.Abs(math.Log(b)) > math.Abs(math.Log(a)) {
		return b
	}
	return a
}

var tableOfForms = regexp.MustCompile(`(?m)^\| Query +\| Asked of .*\n(?:\|.*\n)+`)

// document holds docs/accuracy.md to what was measured: exact forms stand there as exact, for each server, or the table is
// written again.
func document(t *testing.T, measurements []measured) {
	t.Helper()
	path := filepath.Join(root, "docs/accuracy.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stands := tableOfForms.FindString(string(b))
	if stands == "" {
		t.Fatal("docs/accuracy.md has no table of what a query says")
	}
	table := "| Query | Asked of | Answers exact | Series, answer ÷ truth | Sum of a metric, answer ÷ truth |\n| --- | --- | --- | --- | --- |\n"
	for _, m := range measurements {
		row := fmt.Sprintf("| %s | %s |", m.form.name, m.server)
		if !*writeTable && !strings.Contains(stands, row) {
			err = errors.Join(err, fmt.Errorf("there is no row %q", row))
		}
		table += fmt.Sprintf("%s %d of %d | %.6f | %.6f |\n", row, m.exact, m.answers, m.series, m.sums)
	}
	if err != nil {
		t.Errorf("docs/accuracy.md is not current, run make answers: %v", err)
	}
	if *writeTable && !t.Failed() {
		process.WriteFile(t, path, strings.Replace(string(b), stands, table, 1))
	}
}
