//go:build e2e

package dashboards_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const root = "../.."

// An output is what a process said so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

// start runs a program until the test ends, and shows what it said if the test failed.
func start(t *testing.T, name, binary string, args ...string) {
	t.Helper()
	out := &output{}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = t.TempDir()
	// The surroundings must not decide what is tested.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "TZ=UTC"}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It may have ended by itself, which the test has noticed then.
		_ = cmd.Wait()
		if t.Failed() {
			text := out.b.String()
			t.Logf("%s %v said:\n%s", name, args, text[max(0, len(text)-4000):])
		}
	})
}

// build compiles the exporter as a release is compiled.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "openai_exporter")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, root)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// prometheus is the one that the Makefile builds, or one on the PATH.
func prometheus(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PROMETHEUS"); path != "" {
		return path
	}
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("prometheus is needed: `make tools` builds it, and $PROMETHEUS names it: %v", err)
	}
	return path
}

// freeAddress is a loopback address that nothing listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits until check returns nil. It asks five times a second.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s: %v", within, what, err)
		case <-again.C:
		}
	}
}

// do makes a request and returns the body of a 200, or an error.
func do(ctx context.Context, method, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, body[:min(len(body), 500)])
	}
	return body, nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
