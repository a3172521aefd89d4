package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/server"
)

// held is a metrics handler that says when it has begun and answers when it may.
func held() (h http.Handler, begun, release chan struct{}) {
	begun, release = make(chan struct{}), make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		select {
		case <-release:
			io.WriteString(w, "whole")
		case <-r.Context().Done():
		}
	}), begun, release
}

func TestAScrapeUnderWayAtTheEndIsFinished(t *testing.T) {
	metrics, begun, release := held()
	r := start(t, server.Options{Metrics: metrics, Grace: time.Minute})
	body := make(chan string, 1)
	go func() {
		resp, err := r.client.Get(r.url + "/metrics")
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-begun
	r.stop()
	refused(t, r.url) // From here on the server is stopping.
	select {
	case err := <-r.ended:
		t.Fatalf("Serve returned %v with a scrape under way", err)
	default:
	}
	close(release)
	if got := <-body; got != "whole" {
		t.Errorf("the scrape got %q", got)
	}
	if err := r.wait(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// refused waits until new connections are refused.
func refused(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatal("the server still accepts connections")
}

func TestAScrapeThatNeverEndsIsCutOff(t *testing.T) {
	metrics, begun, _ := held()
	r := start(t, server.Options{Metrics: metrics, Grace: 10 * time.Millisecond})
	failed := make(chan error, 1)
	go func() {
		resp, err := r.client.Get(r.url + "/metrics")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-begun
	r.stop()
	if err := r.wait(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the scrape was answered")
	}
}

func TestSeveralAddressesAreServed(t *testing.T) {
	bound := make(chan []net.Addr, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := organization(t)
	go func() {
		ended <- server.New(server.Options{
			Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}, Metrics: http.NotFoundHandler(), Views: s, Statuses: s,
			Listening: func(a []net.Addr) { bound <- a },
		}).Serve(ctx)
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, a := range <-bound {
		resp, err := client.Get("http://" + a.String() + "/-/healthy")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", a, resp.Status)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatCanNotBeServedIsSaidInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		name    string
		options server.Options
		want    string
	}{
		{"no address", server.Options{}, "set --web.listen-address"},
		{"address taken", server.Options{Addresses: []string{"127.0.0.1:0", taken.Addr().String()}}, "listen on " + taken.Addr().String()},
		{"no such web configuration", server.Options{Addresses: []string{"127.0.0.1:0"}, WebConfigFile: "testdata/missing.yml"}, "read web configuration testdata/missing.yml"},
		{"path taken", server.Options{TelemetryPath: "/-/ready"}, "choose another --web.telemetry-path"},
		{"path with a pattern", server.Options{TelemetryPath: "/{x}"}, "not a plain absolute path"},
		{"path not absolute", server.Options{TelemetryPath: "metrics"}, "not a plain absolute path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.options.Metrics = http.NotFoundHandler()
			err := server.New(tc.options).Serve(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Serve: %v, want …%s…", err, tc.want)
			}
		})
	}
}

func TestMetricsAtTheRootTakeThePlaceOfThePage(t *testing.T) {
	r := start(t, server.Options{TelemetryPath: "/", Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") })})
	if a := r.do(t, http.MethodGet, "/"); a.body != "metrics" {
		t.Errorf("/ answers %q", a.body)
	}
	if a := r.do(t, http.MethodGet, "/api/v1/status"); a.code != http.StatusOK {
		t.Errorf("status answers %d", a.code)
	}
}
