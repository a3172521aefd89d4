package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestMain(m *testing.M) {
	// The tests decide where a key is.
	if err := os.Unsetenv(config.DefaultKeyEnv); err != nil {
		panic(err)
	}
	var err error
	if binaries, err = os.MkdirTemp("", "openai_exporter"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(binaries) // Nothing depends on it.
		os.Exit(code)
	}))
}

const (
	goodKey     = "sk-admin-good-0123456789"
	scopelesKey = "sk-admin-scopeless-0123456789"
	deadline    = 2 * time.Minute // Other programs may be busy on the same machine.
)

// A log collects what a process writes, and can be read while it does.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A process is the whole program, running in this one or by itself.
type process struct {
	t      *testing.T
	log    *logBuffer
	stdout *logBuffer
	cancel context.CancelFunc
	ended  chan struct{}
	code   int
	pid    int // of a process of its own
}

// start runs the program with the arguments until the test ends or stop is called.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{t: t, log: &logBuffer{}, stdout: &logBuffer{}, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.code = Run(ctx, args, p.stdout, p.log)
	}()
	t.Cleanup(func() { p.stop() })
	return p
}

// serve starts the exporter on a free port.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	return start(t, append([]string{"--web.listen-address=127.0.0.1:0"}, args...)...)
}

// stop ends the program as SIGTERM does and returns its exit code.
func (p *process) stop() int {
	p.cancel()
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-time.After(deadline):
		p.t.Fatalf("the program does not end:\n%s", p.log)
		return 0
	}
}

// eventually waits until a condition holds. What takes long to ask is asked less often, so that asking does not slow down
// what is waited for.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !within(deadline, holds) {
		t.Fatalf("gave up waiting for %s", what)
	}
}

// within says whether a condition holds before the time is over. It is asked once more at the end.
func within(limit time.Duration, holds func() bool) bool {
	timeout := time.After(limit)
	for {
		asked := time.Now()
		if holds() {
			return true
		}
		select {
		case <-timeout:
			return holds()
		case <-time.After(max(20*time.Millisecond, min(2*time.Second, 4*time.Since(asked)))):
		}
	}
}

var listeningLine = regexp.MustCompile(`msg=Listening.* address=(\S+)`)

func (p *process) url(path string) string {
	p.t.Helper()
	var address string
	eventually(p.t, "the address", func() bool {
		if m := listeningLine.FindStringSubmatch(p.log.String()); m != nil {
			address = m[1]
		}
		select {
		case <-p.ended:
			p.t.Fatalf("the program ended with %d:\n%s", p.code, p.log)
		default:
		}
		return address != ""
	})
	return "http://" + address + path
}

func (p *process) get(path string) (int, string) {
	p.t.Helper()
	return request(p.t, http.MethodGet, p.url(path))
}

func request(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// families are the metrics of a scrape whose names begin so. Nothing else of the scrape is parsed.
func (p *process) families(prefix string) map[string]*dto.MetricFamily {
	p.t.Helper()
	_, body := p.get("/metrics")
	var wanted strings.Builder
	for line := range strings.Lines(body) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), prefix) {
			wanted.WriteString(line)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(wanted.String()))
	if err != nil {
		p.t.Fatal(err)
	}
	return families
}

// sum adds up a counter or gauge over the series that have a label, given as "name=value"; all of them for "".
func (p *process) sum(name, label string) float64 {
	p.t.Helper()
	return sum(p.families(name)[name], label)
}

func sum(f *dto.MetricFamily, label string) float64 {
	total := 0.0
	for _, m := range f.GetMetric() {
		matches := label == ""
		for _, l := range m.GetLabel() {
			matches = matches || l.GetName()+"="+l.GetValue() == label
		}
		if matches {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}

// all is how many endpoints there are.
var all = float64(len(api.Endpoints))

// up is how many endpoints' last poll succeeded, look-ups aside.
func (p *process) up() float64 {
	p.t.Helper()
	total := 0.0
	up := p.families("openai_up")["openai_up"]
	for _, e := range api.Endpoints {
		total += sum(up, "endpoint="+e.Name)
	}
	return total
}

func (p *process) ready() {
	p.t.Helper()
	eventually(p.t, "readiness", func() bool {
		code, _ := p.get("/-/ready")
		return code == http.StatusOK
	})
}

// simulate serves a simulated API and returns its base URL.
func simulate(t *testing.T, o simulator.Options) (*simulator.Simulator, string) {
	t.Helper()
	o.AdminKey = goodKey
	o.KeysWithoutScope = []string{scopelesKey}
	s := simulator.New(o)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return s, server.URL + "/v1"
}

// quiet is an organization with some traffic on every endpoint, and no more: what is simulated and polled all the time takes
// most of the time of these tests. It is for those to which amounts don't matter.
var quiet = func() map[string]int {
	streams := make(map[string]int)
	for _, e := range api.Endpoints {
		streams[e.Name] = 4
	}
	return streams
}()

// configure writes a configuration and a key file and returns the arguments that use them.
func configure(t *testing.T, baseURL, key, more string) (args []string, file string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "config.yml")
	writeConfig(t, file, baseURL, more)
	return []string{"--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data")}, file
}

func writeConfig(t *testing.T, file, baseURL, more string) {
	t.Helper()
	text := fmt.Sprintf("organizations:\n  - {name: acme, api_key_file: key, base_url: %q, requests_per_minute: 100000}\n%s\n", baseURL, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const fast = "usage: {interval: 1s, endpoints: {vector_stores: {interval: 1s}, code_interpreter_sessions: {interval: 1s}}}\ncosts: {interval: 1s}"
