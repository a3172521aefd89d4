package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/server"
)

// manyConnections is more than the server keeps open.
const manyConnections = 600

// statusLine returns how an answer begins, or why there is none in time.
func statusLine(conn net.Conn, within time.Duration) string {
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err.Error()
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

func TestConnectionsWithoutRequestsKeepNobodyFromAnAnswer(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	auth, secure := filepath.Join(dir, "auth.yml"), filepath.Join(dir, "tls.yml")
	write(t, auth, []byte(users))
	write(t, secure, []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"))
	const request = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		config, say, answer string
		pool                *x509.CertPool
	}{
		"nothing said":      {},
		"half a header":     {say: "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "},
		"idle after 200":    {say: request, answer: "HTTP/1.1 200 OK"},
		"idle after 401":    {config: auth, say: request, answer: "HTTP/1.1 401 Unauthorized"},
		"idle over TLS":     {config: secure, pool: pool, say: request, answer: "HTTP/1.1 200 OK"},
		"no TLS handshake":  {config: secure},
		"idle after errors": {say: "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, server.Options{WebConfigFile: c.config, Grace: 10 * time.Millisecond})
			before := runtime.NumGoroutine()
			for i := range manyConnections {
				conn := dial(t, r.addresses[0], "")
				if c.pool != nil {
					conn = tls.Client(conn, &tls.Config{RootCAs: c.pool, ServerName: "127.0.0.1"})
				}
				if _, err := io.WriteString(conn, c.say); err != nil {
					t.Fatal(err)
				}
				if c.answer != "" {
					if got := statusLine(conn, time.Minute); got != c.answer {
						t.Fatalf("connection %d is answered with %q", i, got)
					}
				}
			}
			health := dial(t, r.addresses[0], "")
			want := "HTTP/1.1 200 OK"
			switch c.config {
			case auth:
				want = "HTTP/1.1 401 Unauthorized"
			case secure:
				health = tls.Client(health, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
			}
			if _, err := io.WriteString(health, request); err != nil {
				t.Fatal(err)
			}
			if got := statusLine(health, 8*time.Second); got != want {
				t.Errorf("health is answered with %q", got)
			}
			if n := runtime.NumGoroutine() - before; n > 520 {
				t.Errorf("%d goroutines for %d connections", n, manyConnections)
			}
		})
	}
}

func TestRequestsUnderWayAreNotCutOffForNewConnections(t *testing.T) {
	var under atomic.Int32
	finish := make(chan struct{})
	r := start(t, server.Options{EnableLifecycle: true, Grace: 10 * time.Millisecond, Reload: func(ctx context.Context) error {
		under.Add(1)
		select {
		case <-finish:
		case <-ctx.Done():
		}
		return ctx.Err()
	}})
	const most = 512
	var busy []net.Conn
	for range most {
		busy = append(busy, dial(t, r.addresses[0], "POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
	eventually(t, time.Minute, "all requests to be under way", func() bool { return under.Load() == most })
	waiting := dial(t, r.addresses[0], "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
	gone := dial(t, r.addresses[0], "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
	gone.Close()
	close(finish)
	for i, conn := range append(busy, waiting) {
		if got := statusLine(conn, time.Minute); got != "HTTP/1.1 200 OK" {
			t.Fatalf("connection %d is answered with %q", i, got)
		}
	}
	if a := r.do(t, http.MethodGet, "/-/healthy"); a.code != http.StatusOK {
		t.Errorf("afterwards health answers %d", a.code)
	}
}

func TestSlowClientsKeepHealthFromNobody(t *testing.T) {
	t.Parallel()        // It waits for the server's patience.
	s := large(t, 4000) // It fits no socket's buffers, so that who does not read holds up its writer.
	c := collector.New(collector.Options{Views: s, Statuses: s, Now: func() time.Time { return noon }})
	for name, say := range map[string]string{
		"readers that do not read": "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
		"half a header":            "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			// Once the server has stopped: the handlers of connections that it closed end a moment later.
			t.Cleanup(func() {
				eventually(t, time.Minute, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
			})
			r := start(t, server.Options{Metrics: c.Handler(), Grace: 10 * time.Millisecond})
			for range manyConnections {
				dial(t, r.addresses[0], say)
			}
			for range 3 {
				health := dial(t, r.addresses[0], "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
				if got := statusLine(health, 8*time.Second); got != "HTTP/1.1 200 OK" {
					t.Fatalf("health is answered with %q", got)
				}
			}
		})
	}
}
