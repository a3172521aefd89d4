package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	root     = "../.."
	patience = time.Minute
)

// binary is the exporter as a release is built, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "openai_exporter")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // What is left behind is only a file.
	}
	os.Exit(code)
}

// An output is what a process writes. It can be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// An exporter is the real binary in a process of its own.
type exporter struct {
	t     *testing.T
	dir   string
	args  []string
	env   []string
	cmd   *exec.Cmd
	ended chan struct{}
	log   *output
	url   string
}

// configured writes a configuration and a key file and returns an exporter that is not started yet.
func configured(t *testing.T, baseURL, key, more string, args ...string) *exporter {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), key+"\n")
	file := filepath.Join(dir, "config.yml")
	write(t, file, fmt.Sprintf("organizations:\n  - {name: acme, api_key_file: key, base_url: %q, requests_per_minute: 100000}\n%s\n", baseURL, more))
	return &exporter{t: t, dir: dir, args: append([]string{
		"--web.listen-address=127.0.0.1:0", "--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data"),
	}, args...)}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var listening = regexp.MustCompile(`Listening.*?address"?[=:]"?([0-9.:]+)`)

// start starts the process. It is killed when the test ends.
func (e *exporter) start() *exporter {
	e.t.Helper()
	path, err := binary()
	if err != nil {
		e.t.Fatal(err)
	}
	e.log, e.ended = &output{}, make(chan struct{})
	e.cmd = exec.Command(path, e.args...)
	e.cmd.Dir = e.dir
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	// The surroundings must not decide what is tested.
	e.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + e.dir, "TZ=UTC"}, e.env...)
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	cmd, ended := e.cmd, e.ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // How it ended is in its state.
	}()
	e.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if e.t.Failed() {
			said := e.log.String()
			e.t.Logf("the log ends with:\n%s", said[max(0, len(said)-4000):])
		}
	})
	return e
}

// listen starts the process and waits until it listens.
func (e *exporter) listen() *exporter {
	e.t.Helper()
	e.start()
	eventually(e.t, "the exporter to listen", func() error {
		select {
		case <-e.ended:
			e.t.Fatalf("the exporter ended:\n%s", e.log)
		default:
		}
		if m := listening.FindStringSubmatch(e.log.String()); m != nil {
			e.url = "http://" + m[1]
			return nil
		}
		return errors.New("no address in the log")
	})
	return e
}

// end sends a signal and waits for the end.
func (e *exporter) end(s syscall.Signal) {
	e.t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		e.t.Fatal(err)
	}
	select {
	case <-e.ended:
	case <-time.After(patience):
		e.t.Fatalf("the exporter still runs after %v", s)
	}
}

// eventually waits until a check succeeds.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-timeout.C:
			t.Fatalf("gave up waiting for %s: %v", what, err)
		case <-again.C:
		}
	}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// get asks the exporter, with headers given as name, value, name, value.
func (e *exporter) get(path string, headers ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, e.url+path, nil)
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// post asks the exporter to do something.
func (e *exporter) post(path string) (int, string) {
	e.t.Helper()
	resp, err := client.Post(e.url+path, "", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// free returns a loopback address that nothing listened on a moment ago.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (e *exporter) page(path string) string {
	e.t.Helper()
	_, body, err := e.get(path)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(body)
}

type families map[string]*dto.MetricFamily

func (e *exporter) scrape() (families, error) {
	_, body, err := e.get("/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(body))
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := make(map[string]string)
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// sum adds up the series of a counter or gauge that have the labels, given as name, value, name, value.
func (f families) sum(name string, labels ...string) float64 {
	total := 0.0
series:
	for _, m := range f[name].GetMetric() {
		have := labelsOf(m)
		for i := 0; i < len(labels); i += 2 {
			if have[labels[i]] != labels[i+1] {
				continue series
			}
		}
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return total
}

// sum scrapes first.
func (e *exporter) sum(name string, labels ...string) float64 {
	e.t.Helper()
	f, err := e.scrape()
	if err != nil {
		e.t.Fatal(err)
	}
	return f.sum(name, labels...)
}

// peak is the most memory that the process has had, in bytes.
func (e *exporter) peak() int64 {
	e.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid))
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				e.t.Fatal(err)
			}
			return kib << 10
		}
	}
	e.t.Fatal("no VmHWM in /proc")
	return 0
}
