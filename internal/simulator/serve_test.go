package simulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// outcome is what a client sees of one request: the status, or the way the answer is broken.
func outcome(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-admin-test")
	resp, err := client.Do(r)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "torn"
	case err != nil:
		t.Fatal(err)
	case resp.StatusCode == http.StatusTooManyRequests:
		return "429, Retry-After " + resp.Header.Get("Retry-After")
	case len(body) == 0:
		return resp.Status[:3] + " empty"
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		return resp.Status[:3] + " html"
	}
	if !json.Valid(body) {
		t.Errorf("%s: %s", resp.Status, body)
	}
	return resp.Status[:3]
}

var everyOutcome = []string{"200", "429, Retry-After ", "429, Retry-After 7", "500", "502 html", "520 html", "200 empty", "503 empty", "torn", "no answer"}

func TestFaultsComeInTheirShares(t *testing.T) {
	const n = 3000
	faults := simulator.Faults{Throttle: 0.1, ServerError: 0.1, Gateway: 0.1, Empty: 0.1, Torn: 0.1, Reset: 0.1, RetryAfter: 7 * time.Second}
	s, _ := at(monday, simulator.Options{Faults: faults})
	client := &http.Client{Transport: s.Transport()}
	url := "http://api.example/v1/organization/usage/embeddings?bucket_width=1m&start_time=" + seconds(monday.Add(-5*time.Minute))
	got := map[string]int{}
	for range n {
		got[outcome(t, client, url)]++
	}
	for _, o := range everyOutcome {
		want := 0.05
		switch o {
		case "200":
			want = 0.4
		case "500", "torn", "no answer":
			want = 0.1
		}
		if share := float64(got[o]) / n; math.Abs(share-want) > 0.03 {
			t.Errorf("%s: share %.3f, want %.2f", o, share, want)
		}
	}
	for status, count := range s.Counts()["embeddings"] {
		if status == 0 && count != got["no answer"] || status == 500 && count != got["500"] {
			t.Errorf("status %d counted %d times, %v", status, count, got)
		}
	}
	if log := s.Requests(); len(log) != n || log[n-1].Endpoint != "embeddings" || log[n-1].Query.Get("bucket_width") != "1m" {
		t.Errorf("the log has %d requests, the last one %+v", len(log), log[len(log)-1])
	}

	faults.Endpoints = []string{"costs"}
	s.SetFaults(faults)
	for range 50 {
		if o := outcome(t, client, url); o != "200" {
			t.Errorf("%s where only costs have faults", o)
		}
	}
}

func TestFaultsLookTheSameOverAConnectionAndLeaveNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, _ := at(monday, simulator.Options{Faults: simulator.Faults{Throttle: 0.1, ServerError: 0.1, Gateway: 0.1, Empty: 0.1, Torn: 0.1, Reset: 0.1, RetryAfter: 7 * time.Second}})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	defer client.CloseIdleConnections()
	url := server.URL + "/v1/organization/usage/embeddings?bucket_width=1m&start_time=" + seconds(monday.Add(-5*time.Minute))
	got := map[string]int{}
	for range 600 {
		got[outcome(t, client, url)]++
	}
	for _, o := range everyOutcome {
		if got[o] == 0 {
			t.Errorf("%s never occurs: %v", o, got)
		}
	}
}

func TestASlowAnswerWaitsOnTheClockOfTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{Faults: simulator.Faults{Slow: 1, Delay: 20 * time.Second, Latency: time.Second}})
		start := time.Now()
		status, h, _ := get(t, s, find(t, "completions").Path, query("start_time", seconds(start.Add(-time.Hour)), "bucket_width", "1m"))
		if took := time.Since(start); status != http.StatusOK || took != 21*time.Second {
			t.Errorf("status %d after %s", status, took)
		}
		if got := h.Get("Date"); got != start.UTC().Format(http.TimeFormat) {
			t.Errorf("Date %q, asked at %s", got, start)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.example/v1/organization/costs?start_time=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer sk-admin-test")
		start = time.Now()
		if _, err := s.Transport().RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("a client with a deadline: %v after %s", err, time.Since(start))
		}
	})
}

// steer asks the control surface.
func steer(t *testing.T, method, url string, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode
}

func TestAnotherProcessCanSteerAndAskForTheTruth(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	o, err := simulator.Settings{ListenAddress: "127.0.0.1:0", Seed: 3, Start: monday.Format(time.RFC3339), Speed: 1e-9, Lateness: "minutes", Restate: true, Faults: "none"}.ServeOptions()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	listening, done := make(chan net.Addr, 1), make(chan error, 1)
	o.Listening = func(a net.Addr) { listening <- a }
	go func() { done <- simulator.Serve(ctx, o, log.NewNopLogger()) }()
	base := "http://" + (<-listening).String()

	type rows struct {
		Error string
		Rows  []struct{ Labels, Values map[string]string }
	}
	truth := func(asOf string) map[string]string {
		var got rows
		if status := steer(t, http.MethodGet, base+"/_simulator/truth?endpoint=completions&group_by=model&from="+seconds(monday.Add(-time.Hour))+"&to="+monday.Format(time.RFC3339)+"&asof="+asOf, &got); status != http.StatusOK {
			t.Fatalf("truth: %d %s", status, got.Error)
		}
		out := map[string]string{}
		for _, r := range got.Rows {
			out[r.Labels["model"]] = r.Values["input_tokens"]
		}
		return out
	}
	s := simulator.New(o.Options)
	want := map[string]string{}
	for _, r := range s.Final("completions", []string{"model"}, monday.Add(-time.Hour), monday) {
		want[r.Labels["model"]] = r.Values["input_tokens"].String()
	}
	if diff := cmp.Diff(want, truth("final")); diff != "" {
		t.Errorf("final truth (-want +got):\n%s", diff)
	}
	if cmp.Equal(want, truth("")) {
		t.Error("everything has arrived at once")
	}
	var state struct{ Now time.Time }
	if status := steer(t, http.MethodPost, base+"/_simulator/advance?by=30h", &state); status != http.StatusOK || state.Now.Sub(monday).Truncate(time.Second) != 30*time.Hour {
		t.Errorf("advance: %d, now %s", status, state.Now)
	}
	if diff := cmp.Diff(want, truth("now")); diff != "" {
		t.Errorf("the truth a day later (-want +got):\n%s", diff)
	}
	if status := steer(t, http.MethodPost, base+"/_simulator/end?at=now", &state); status != http.StatusOK {
		t.Errorf("end: %d", status)
	}
	if status := steer(t, http.MethodPost, base+"/_simulator/faults?profile=throttled", &state); status != http.StatusOK {
		t.Errorf("faults: %d", status)
	}
	var bad rows
	for _, path := range []string{"POST /_simulator/faults?profile=x", "POST /_simulator/advance?by=x", "GET /_simulator/truth?endpoint=x", "GET /_simulator/truth?endpoint=costs", "GET /_simulator/truth?endpoint=costs&from=0&group_by=model"} {
		method, path, _ := strings.Cut(path, " ")
		if status := steer(t, method, base+path, &bad); status != http.StatusBadRequest || bad.Error == "" {
			t.Errorf("%s: %d %q", path, status, bad.Error)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestSettingsThatAreWrongAreNamed(t *testing.T) {
	for _, s := range []simulator.Settings{{Lateness: "weeks"}, {Faults: "sometimes"}, {Start: "yesterday"}} {
		if _, err := s.ServeOptions(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
	if _, err := simulator.Profile("lucky"); err == nil || !strings.Contains(err.Error(), "late-minutes") {
		t.Errorf("an unknown profile: %v", err)
	}
}

func TestTheClockRunsAtItsSpeedAndCanBeMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := simulator.NewClock(monday, 60)
		<-time.After(time.Minute)
		c.Advance(time.Second)
		if got := c.Now().Sub(monday); got != time.Hour+time.Second {
			t.Errorf("the clock has moved by %s", got)
		}
	})
}

func TestKnobsCanBeTurnedWhileManyRead(t *testing.T) {
	s, clock := at(monday, simulator.Options{})
	want := totalOf(s.Final("completions", nil, monday.Add(-3*time.Hour), monday.Add(-2*time.Hour)))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20 {
				outcome(t, &http.Client{Transport: s.Transport()}, "http://api.example/v1/organization/costs?group_by=line_item&start_time="+seconds(monday))
				if diff := cmp.Diff(want, totalOf(s.Final("completions", nil, monday.Add(-3*time.Hour), monday.Add(-2*time.Hour))), exact); diff != "" {
					t.Errorf("the past has changed:\n%s", diff)
				}
			}
		})
	}
	for i := range 20 {
		s.SetFaults(simulator.Faults{Throttle: float64(i%2) / 2})
		s.SetEnd(monday.Add(time.Duration(i) * time.Hour))
		s.SetLateness(simulator.Lateness{Within: time.Duration(i) * time.Minute})
		s.SetStringAmounts(i%2 == 0)
		clock.Advance(time.Minute)
	}
	readers.Wait()
}
