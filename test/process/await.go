package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// FreeAddress returns a loopback address that nothing listened on a moment ago.
func FreeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// WriteFile writes what a program will read.
func WriteFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until check returns nil. It asks ten times a second.
func Eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	began := time.Now()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := check()
		if err == nil {
			t.Logf("%6.1f s: %s", time.Since(began).Seconds(), what)
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s: %v", within, what, err)
		case <-again.C:
		}
	}
}

// Get returns the body of a 200, or an error.
func Get(ctx context.Context, url string) ([]byte, error) { return do(ctx, http.MethodGet, url) }

// Post makes a request without a body and returns that of a 200, or an error.
func Post(ctx context.Context, url string) ([]byte, error) { return do(ctx, http.MethodPost, url) }

func do(ctx context.Context, method, url string) ([]byte, error) {
	// A query over a long range takes its time.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, Tail(string(body), 300))
	}
	return body, nil
}
