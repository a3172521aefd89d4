//go:build e2e

package dashboards_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// thanos starts a sidecar beside each Prometheus, once that is ready, and a querier that takes what differs only in the replica
// for the same.
func (f *fleet) thanos(name string, servers ...*server) *prom {
	binary, address := process.Tool(f.t, "THANOS", "thanos"), process.FreeAddress(f.t)
	args := []string{"query", "--http-address=" + address, "--grpc-address=" + process.FreeAddress(f.t), "--query.replica-label=prometheus_replica"}
	for _, s := range servers {
		process.Eventually(f.t, 3*time.Minute, "Prometheus is ready", func() error {
			_, err := process.Get(f.t.Context(), s.url+"/-/ready")
			return err
		})
		endpoint := process.FreeAddress(f.t)
		process.Start(f.t, binary, "sidecar", "--prometheus.url="+s.url, "--tsdb.path="+filepath.Join(s.dir, "data"), "--grpc-address="+endpoint, "--http-address="+process.FreeAddress(f.t))
		args = append(args, "--endpoint="+endpoint)
	}
	process.Start(f.t, binary, args...)
	f.sets[name] = &prom{url: "http://" + address, api: f.simulated.api, words: queries.Portable}
	f.sets[name].hasBoth(f.t)
	return f.sets[name]
}

// hasBoth waits until Thanos asks both of its Prometheus.
func (p *prom) hasBoth(t *testing.T) {
	t.Helper()
	process.Eventually(t, 3*time.Minute, "Thanos asks two Prometheus", func() error {
		var data struct{ Result []any }
		err := p.get(t, "/api/v1/query", url.Values{"query": {"count by (prometheus_replica) (up)"}, "dedup": {"false"}}, &data)
		if err == nil && len(data.Result) != 2 {
			err = fmt.Errorf("it asks %v", data.Result)
		}
		return err
	})
}

// victoria starts a VictoriaMetrics and its vmalert with our rules, which do not wait.
func (f *fleet) victoria(name string, jobs map[string][]*member) {
	address, dir := process.FreeAddress(f.t), f.t.TempDir()
	process.WriteFile(f.t, filepath.Join(dir, "prometheus.yml"), "global: {scrape_interval: 4s, scrape_timeout: 4s}\n"+scrapeConfigs(jobs))
	// What has just been scraped is to be seen at once.
	process.Start(f.t, process.Tool(f.t, "VICTORIAMETRICS", "victoria-metrics"), "-promscrape.config="+filepath.Join(dir, "prometheus.yml"), "-storageDataPath="+filepath.Join(dir, "data"),
		"-httpListenAddr="+address, "-search.latencyOffset=0s", "-search.disableCache", "-search.maxLookback=5m", "-inmemoryDataFlushInterval=1s")
	url := "http://" + address
	process.Eventually(f.t, 3*time.Minute, "VictoriaMetrics is ready", func() error {
		_, err := process.Get(f.t.Context(), url+"/-/ready")
		return err
	})
	copyRules(f.t, dir, "8s", "deploy/prometheus/rules/*.yml")
	process.Start(f.t, process.Tool(f.t, "VMALERT", "vmalert"), "-rule="+filepath.Join(dir, "openai-*.yml"), "-datasource.url="+url, "-remoteWrite.url="+url, "-remoteRead.url="+url, "-remoteWrite.flushInterval=1s",
		"-notifier.blackhole", "-evaluationInterval=8s", "-httpListenAddr="+process.FreeAddress(f.t), "-rule.evalDelay=0s", "-disableAlertgroupLabel")
	f.sets[name] = &prom{url: url, api: f.simulated.api, words: queries.Portable, differs: overTime}
}

// overTime is a mean over time. Where a series is younger than its window, Prometheus divides by the window and VictoriaMetrics
// by the time that there is.
var overTime = regexp.MustCompile(`\brate\(|rate30m|limit_share30m`)

// growsAs asks both how much every counter has grown between any two rests.
func (p *prom) growsAs(t *testing.T, one *prom, rests []time.Time) {
	t.Helper()
	grown := 0
	for i, start := range rests {
		for _, end := range rests[i+1:] {
			var parts []string
			for _, name := range counters() {
				parts = append(parts, fmt.Sprintf(`label_replace(%s, "metric", %q, "", "")`, queries.Increase(name, fmt.Sprintf("%dms", end.Sub(start).Milliseconds())), name))
			}
			expr := strings.Join(parts, " or ")
			a, err := one.answer(t, expr, end)
			if err != nil {
				t.Fatal(err)
			}
			b, err := p.answer(t, expr, end)
			if err != nil {
				t.Fatal(err)
			}
			if err := alike("the increase of every counter", a, b); err != nil {
				t.Errorf("from %s to %s: %v", start.Format(time.TimeOnly), end.Format(time.TimeOnly), err)
			}
			for _, v := range a {
				if v > 0 {
					grown++
				}
			}
		}
	}
	t.Logf("%d series have grown", grown)
	if grown < 500 {
		t.Errorf("only %d series have grown", grown)
	}
}
