package command

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check runs the sub-command in this process.
func check(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), append([]string{"healthcheck"}, args...), &out, &errs)
	return code, errs.String()
}

func TestHealthcheckAsksTheRunningExporter(t *testing.T) {
	p := serve(t, "--demo")
	url := p.url("/-/healthy")
	if code, stderr := check(t, "--url="+url); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	p.stop()
	if code, stderr := check(t, "--url="+url); code != 1 || !strings.Contains(stderr, "refused") {
		t.Errorf("nobody listens: exit code %d, said %q", code, stderr)
	}
}

// The password stays in one file: a probe that needed it would carry it into every manifest.
func TestHealthcheckNeedsNoPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	const users = "basic_auth_users:\n  prometheus: $2a$04$hJ789GKOLe6xcv5/kll0keYqUs7Tn8FnxoxrCgPnnQwhoS7p.ZZ8u\n"
	if err := os.WriteFile(file, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serve(t, "--demo", "--web.config.file="+file)
	if status, _ := p.get("/-/healthy"); status != http.StatusUnauthorized {
		t.Fatalf("the exporter answers %d without a password", status)
	}
	if code, stderr := check(t, "--url="+p.url("/-/healthy")); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestHealthcheckFailsUnlessTheExporterServes(t *testing.T) {
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
	}
	for _, status := range []int{http.StatusFound, http.StatusNotFound, http.StatusServiceUnavailable} {
		server := httptest.NewServer(answer(status))
		if code, stderr := check(t, "--url="+server.URL); code != 1 || !strings.Contains(stderr, http.StatusText(status)) {
			t.Errorf("status %d: exit code %d, said %q", status, code, stderr)
		}
		server.Close()
	}

	secured := httptest.NewTLSServer(answer(http.StatusOK))
	defer secured.Close()
	if code, stderr := check(t, "--url="+secured.URL); code != 0 {
		t.Errorf("a certificate that is not made out to loopback: exit code %d: %s", code, stderr)
	}
	if code, stderr := check(t, "--url="+strings.Replace(secured.URL, "https:", "http:", 1)); code != 1 || !strings.Contains(stderr, "has TLS: write https in --url") {
		t.Errorf("a server with TLS, asked without: exit code %d: %s", code, stderr)
	}
	for _, url := range []string{"localhost:10095", "ftp://localhost", "http://", "://"} {
		if code, stderr := check(t, "--url="+url); code != 1 || !strings.Contains(stderr, "--url") {
			t.Errorf("%s: exit code %d, said %q", url, code, stderr)
		}
	}
}

func TestHealthcheckGivesUpOnAServerThatSaysNothing(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if code, stderr := check(t, "--url=http://"+silent.Addr().String(), "--timeout=50ms"); code != 1 {
		t.Errorf("exit code %d, said %q", code, stderr)
	}
}
