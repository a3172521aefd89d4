//go:build e2e

// Package clients_test scrapes the real binary with the HTTP clients, decoders, parsers and databases that people have at
// hand. Each has to read the whole answer.
package clients_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// listening finds where the exporter answers, in what it logs.
var listening = regexp.MustCompile(`msg=Listening.* address=(\S+)`)

// A client is a program that fetches, unpacks or parses metrics, and prints them or what it made of them.
type client struct {
	program string
	// args come before the address to fetch, or before the file of an answer that was fetched with a coding.
	args   []string
	coding string
	accept string
}

const (
	text        = "text/plain;version=0.0.4"
	openMetrics = "application/openmetrics-text;version=1.0.0"
)

// parser prints the samples that a parser of Python's client library finds.
const parser = `
import sys
from %s import text_string_to_metric_families as parse
for family in parse(open(sys.argv[1], encoding="utf-8").read()):
    for sample in family.samples:
        print(sample.name, len(sample.labels))
`

// clients have one decoder each that knows nothing of further gzip members or zstd frames.
var clients = map[string]client{
	"curl":                           {program: "curl", args: []string{"--compressed", "--header", "Accept-Encoding: gzip", "--silent", "--show-error", "--fail"}},
	"curl with all codings it knows": {program: "curl", args: []string{"--compressed", "--silent", "--show-error", "--fail"}},
	"wget":                           {program: "wget", args: []string{"--compression=gzip", "--quiet", "--output-document=-"}},
	"zlib of Python": {program: "python3", coding: "gzip", args: []string{"-c", `
import sys, zlib
d = zlib.decompressobj(31)
sys.stdout.buffer.write(d.decompress(open(sys.argv[1], "rb").read()))
sys.exit("the member has no end" if not d.eof else "bytes follow the member" if d.unused_data else 0)
`}},
	"Perl": {program: "perl", coding: "gzip", args: []string{"-MIO::Uncompress::Gunzip=gunzip,$GunzipError", "-e", `
gunzip($ARGV[0] => "-", MultiStream => 0) or die $GunzipError
`}},
	"gzip": {program: "gzip", coding: "gzip", args: []string{"--decompress", "--stdout"}},
	"zstd": {program: "zstd", coding: "zstd", args: []string{"--decompress", "--stdout", "--quiet"}},
	// Debian's python3-prometheus-client belongs to Debian's Python.
	"Python's client library, text":        {program: "/usr/bin/python3", coding: "identity", accept: text, args: []string{"-c", fmt.Sprintf(parser, "prometheus_client.parser")}},
	"Python's client library, OpenMetrics": {program: "/usr/bin/python3", coding: "identity", accept: openMetrics, args: []string{"-c", fmt.Sprintf(parser, "prometheus_client.openmetrics.parser")}},
}

// installed says whether a program is there. Where all clients are required, one that is missing fails the test; elsewhere
// the test says what it leaves out.
func installed(t *testing.T, program string, args ...string) bool {
	t.Helper()
	err := exec.CommandContext(t.Context(), program, args...).Run()
	var exit *exec.ExitError
	if err == nil || len(args) == 0 && errors.As(err, &exit) {
		return true
	}
	if os.Getenv("REQUIRE_CLIENTS") != "" {
		t.Fatalf("%s is required here: %v", program, err)
	}
	t.Logf("%s is not installed: whether it reads the whole answer is NOT TESTED: %v", program, err)
	return false
}

// demo starts the exporter where it can be reached by more than this machine's own name, and waits until it shows usage.
func demo(t *testing.T, host string) (metrics string) {
	t.Helper()
	exporter := process.Start(t, process.Build(t), "--demo", "--web.listen-address="+host+":0")
	process.Eventually(t, 3*time.Minute, "the demo shows usage", func() error {
		found := listening.FindStringSubmatch(exporter.Output())
		if found == nil {
			return errors.New("it does not listen")
		}
		metrics = "http://" + found[1] + "/metrics"
		_, err := process.Get(t.Context(), strings.TrimSuffix(metrics, "metrics")+"-/ready")
		return err
	})
	return metrics
}

// names counts the samples of our metrics by their name. Anything but a name ends it.
func names(body string) map[string]int {
	out := make(map[string]int)
	for line := range strings.Lines(body) {
		if end := strings.IndexAny(line, "{ "); end > 0 && strings.HasPrefix(line, "openai_") {
			out[line[:end]]++
		}
	}
	return out
}

// whole holds that a client has read all of what identity has.
func whole(t *testing.T, metrics string, read func() map[string]int) {
	t.Helper()
	if err := missing(t, metrics, read); err != nil {
		t.Error(err)
	}
}

// missing compares what a client has read with what identity had before and has afterwards: polls go on meanwhile.
func missing(t *testing.T, metrics string, read func() map[string]int) (err error) {
	t.Helper()
	plain := func() map[string]int {
		body, err := process.Get(t.Context(), metrics)
		if err != nil {
			t.Fatal(err)
		}
		return names(string(body))
	}
	before := plain()
	got := read()
	after := plain()
	if len(before) < 50 {
		t.Fatalf("identity has only %d metrics", len(before))
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if got[name] < min(before[name], after[name]) {
			err = errors.Join(err, fmt.Errorf("%s: %d samples of %d", name, got[name], before[name]))
		}
	}
	return err
}

func TestEveryClientReadsTheWholeAnswer(t *testing.T) {
	metrics := demo(t, "127.0.0.1")
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			probe := []string{"--version"}
			if strings.Contains(name, "client library") {
				probe = []string{"-c", "import prometheus_client"}
			}
			if !installed(t, c.program, probe...) || !installed(t, "curl", "--version") {
				return
			}
			whole(t, metrics, func() map[string]int {
				from := metrics
				if c.coding != "" {
					from = filepath.Join(t.TempDir(), "metrics")
					run(t, "curl", "--header", "Accept-Encoding: "+c.coding, "--header", "Accept: "+c.accept, "--silent", "--show-error", "--fail", "--output", from, metrics)
				}
				return names(run(t, c.program, append(c.args[:len(c.args):len(c.args)], from)...))
			})
		})
	}
}

// address is one of this machine that is not its own name for itself: browsers ask that for gzip.
func address(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return ""
}

func TestABrowserReadsTheWholeAnswer(t *testing.T) {
	program := os.Getenv("CHROMIUM")
	if program == "" {
		program = "chromium"
	}
	if !installed(t, program, "--version") {
		return
	}
	host := address(t)
	if host == "" {
		t.Log("This machine has no address but its own name: whether a browser reads the whole answer is NOT TESTED")
		return
	}
	metrics := demo(t, host)
	// A socket's path is short, so the name of the test must not be in it.
	profile, err := os.MkdirTemp("", "clients-") //nolint:usetesting // For that reason.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	whole(t, metrics, func() map[string]int {
		page := run(t, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir="+profile, "--dump-dom", metrics)
		return names(html.UnescapeString(strings.ReplaceAll(page, "<pre", "\n<pre")))
	})
}

// A database scrapes by itself and is asked what it has.
type database struct {
	variable, program string
	args              func(dir, config, address string) []string
}

var databases = map[string]database{
	"Prometheus": {"PROMETHEUS", "prometheus", func(dir, config, address string) []string {
		return []string{"--config.file=" + config, "--storage.tsdb.path=" + dir, "--web.listen-address=" + address}
	}},
	"VictoriaMetrics": {"VICTORIAMETRICS", "victoria-metrics", func(dir, config, address string) []string {
		return []string{"-promscrape.config=" + config, "-storageDataPath=" + dir, "-httpListenAddr=" + address, "-search.latencyOffset=0s"}
	}},
}

func TestEveryDatabaseScrapesTheWholeAnswer(t *testing.T) {
	metrics := demo(t, "127.0.0.1")
	target, err := url.Parse(metrics)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range databases {
		t.Run(name, func(t *testing.T) {
			dir, api := t.TempDir(), process.FreeAddress(t)
			config := filepath.Join(dir, "scrape.yml")
			process.WriteFile(t, config, fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: [{job_name: openai, static_configs: [{targets: [%q]}]}]\n", target.Host))
			process.Start(t, process.Tool(t, d.variable, d.program), d.args(filepath.Join(dir, "data"), config, api)...)
			process.Eventually(t, 3*time.Minute, "it has scraped", func() error {
				got, err := stored(t, api)
				if err == nil && len(got) < 50 {
					err = fmt.Errorf("it has %d metrics", len(got))
				}
				return err
			})
			// What has come with a poll since is there with one of the next scrapes.
			process.Eventually(t, time.Minute, "it has the whole answer", func() error {
				return missing(t, metrics, func() map[string]int {
					got, err := stored(t, api)
					if err != nil {
						t.Fatal(err)
					}
					return got
				})
			})
		})
	}
}

// stored counts the series that a database has now, by name.
func stored(t *testing.T, api string) (map[string]int, error) {
	body, err := process.Get(t.Context(), "http://"+api+"/api/v1/query?query="+url.QueryEscape(`count by (__name__) ({__name__=~"openai_.+"})`))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	out := make(map[string]int)
	for _, r := range answer.Data.Result {
		var n int
		if _, err := fmt.Sscan(fmt.Sprint(r.Value[1]), &n); err != nil {
			return nil, err
		}
		out[r.Metric["__name__"]] = n
	}
	return out, nil
}

// run runs a program to its end and returns its standard output.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, process.Tail(stderr.String(), 2000))
	}
	return stdout.String()
}
