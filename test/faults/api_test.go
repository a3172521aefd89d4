package faults_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// faulttime is how long each of the long tests goes on: `make faults` gives it minutes.
var faulttime = flag.Duration("faulttime", 8*time.Second, "how long everything goes wrong")

var lateMinutes = simulator.Lateness{Immediate: 0.4, Lumps: 4, Within: 15 * time.Minute, Costs: 2 * time.Hour}

// TestTotalsAreExactAfterEveryFaultOfAPIAndNetwork spoils a third of the answers in every way that the API has, on a
// network that resets connections, is slow, and delivers in splinters.
func TestTotalsAreExactAfterEveryFaultOfAPIAndNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Seed: 11, Lateness: lateMinutes, StringAmounts: true})
	network := newNetwork(t, w.address())
	e := configured(t, "http://"+network.address()+"/v1", adminKey, counting).listen()
	w.sim.SetFaults(simulator.Faults{
		Throttle: 0.05, ServerError: 0.05, Gateway: 0.05, Empty: 0.05, Torn: 0.05, Reset: 0.03, Slow: 0.02, Delay: 200 * time.Millisecond,
	})
	network.spoil(true)
	w.live(*faulttime, nil)
	// On a busy machine there are few requests in that time, and perhaps none that was reset.
	var requests, whole float64
	for end := time.Now().Add(time.Minute); ; w.live(time.Second, nil) {
		f, err := e.scrape()
		if err != nil {
			t.Fatal(err)
		}
		requests, whole = f.sum("openai_exporter_api_requests_total"), f.sum("openai_exporter_api_requests_total", "code", "200")
		if requests-whole >= 10 && f.sum("openai_exporter_api_requests_total", "code", "network") > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("of %v requests %v were answered and none was reset: that proves nothing", requests, whole)
		}
	}
	network.spoil(false)
	w.settle(e)
	t.Logf("%v of %v requests failed", requests-whole, requests)
}

func TestAnEndpointThatIsDownForADayMissesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Seed: 12, Lateness: lateMinutes})
	e := configured(t, w.baseURL(), adminKey, counting).listen()
	w.polled(e)
	w.let(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if !asks(r, "completions") && !asks(r, "costs") {
			return false
		}
		rw.Header().Set("Date", w.clock.Now().Format(http.TimeFormat))
		http.Error(rw, "<html><h1>503 Service Unavailable</h1></html>", http.StatusServiceUnavailable)
		return true
	})
	down := func() error {
		if up := e.sum("openai_up", "endpoint", "completions"); up != 0 {
			return fmt.Errorf("openai_up is %v", up)
		}
		return nil
	}
	eventually(t, "the trouble to show", down) // An answer may have been under way.
	before := e.sum("openai_usage_requests_total", "endpoint", "completions")
	for range 24 {
		w.clock.Advance(time.Hour)
		w.live(200*time.Millisecond, nil)
	}
	eventually(t, "the trouble to show", down)
	if now := e.sum("openai_usage_requests_total", "endpoint", "completions"); now != before {
		t.Errorf("the counter went from %v to %v without an answer", before, now)
	}
	if up := e.sum("openai_up", "endpoint", "embeddings"); up != 1 {
		t.Error("the trouble of one endpoint has taken another with it")
	}
	w.settle(e)
}

// TestClocksThatDisagreeByAnHourCostNothing has an API whose answers come from servers with clocks of their own.
func TestClocksThatDisagreeByAnHourCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Seed: 13, Lateness: lateMinutes})
	e := configured(t, w.baseURL(), adminKey, counting).listen()
	w.polled(e)
	rng := rand.New(rand.NewPCG(13, 1))
	offsets := make(chan time.Duration, 1)
	offsets <- 0
	w.let(func(rw http.ResponseWriter, r *http.Request, honest http.Handler) bool {
		offset := <-offsets
		if rng.IntN(20) == 0 { // Only who holds the offset is here.
			offset = []time.Duration{-time.Hour, 0, time.Hour}[rng.IntN(3)]
		}
		offsets <- offset
		honest.ServeHTTP(shifted{rw, w.clock.Now().Add(offset)}, r)
		return true
	})
	w.live(*faulttime, nil)
	w.settle(e)
}

// shifted gives answers another date.
type shifted struct {
	http.ResponseWriter

	now time.Time
}

func (s shifted) WriteHeader(code int) {
	s.Header().Set("Date", s.now.Format(http.TimeFormat))
	s.ResponseWriter.WriteHeader(code)
}

// TestEndlessAnswersCostNeitherMemoryNorOtherEndpoints has one endpoint that answers without end, in each of the ways
// that there are.
func TestEndlessAnswersCostNeitherMemoryNorOtherEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Seed: 14})
	e := configured(t, w.baseURL(), adminKey, counting).listen()
	w.polled(e)
	now := w.clock.Now()
	head := fmt.Sprintf(`{"object":"page","data":[{"object":"bucket","start_time":%d,"end_time":%d,"results":[`, now.Add(-10*time.Minute).Truncate(time.Minute).Unix(), now.Add(-9*time.Minute).Truncate(time.Minute).Unix())
	const row = `{"object":"organization.usage.embeddings.result","input_tokens":1,"num_model_requests":1,"project_id":"p","model":"m"}`
	repeated := func(text string) func() string {
		chunk := strings.Repeat(text, 1<<20/len(text))
		return func() string { return chunk }
	}

	for _, tc := range []struct {
		name   string
		want   string // in the error
		before string
		more   func() string
	}{
		{"the same row for ever", "larger than", head + row, repeated("," + row)},
		{"white space for ever", "a value is too long", "", repeated("        \n")},
		{"a string without end", "a value is too long", head + `{"project_id":"`, repeated("x")},
		{"a number without end", "a value is too long", head + `{"input_tokens":1`, repeated("0")},
		{"nested without end", "depth", `{"object":"page","x":`, repeated("[")},
		{"rows before their time without end", "a value is too long", `{"object":"page","data":[{"results":[` + row, repeated("," + row)},
	} {
		if tc.want == "larger than" && *faulttime < time.Minute {
			continue // Half a gigabyte takes its time.
		}
		w.let(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if !asks(r, "embeddings") {
				return false
			}
			rw.Header().Set("Date", w.clock.Now().Format(http.TimeFormat))
			_, err := rw.Write([]byte(tc.before))
			for err == nil {
				_, err = rw.Write([]byte(tc.more()))
			}
			return true
		})
		begin := time.Now()
		polls := e.sum("openai_exporter_polls_total", "endpoint", "images", "outcome", "success")
		eventually(t, "the poll to fail: "+tc.name, func() error {
			w.clock.Advance(step)
			if status := e.page("/api/v1/status"); !strings.Contains(status, tc.want) {
				return fmt.Errorf("the status does not say %q", tc.want)
			}
			return nil
		})
		if now := e.sum("openai_exporter_polls_total", "endpoint", "images", "outcome", "success"); time.Since(begin) > 5*time.Second && now <= polls {
			t.Errorf("%s: the polls of another endpoint stand still", tc.name)
		}
		w.let(nil)
		w.polled(e)
		t.Logf("%s: %.1f s, peak %d MiB", tc.name, time.Since(begin).Seconds(), e.peak()>>20)
	}
	const most = 256 << 20
	if peak := e.peak(); peak > most {
		t.Errorf("the process has had %d MiB, more than %d", peak>>20, most>>20)
	}
	w.settle(e)
}

// TestAPageOf200MegabytesIsReadInLittleMemory has an endpoint whose every minute is megabytes of rows.
func TestAPageOf200MegabytesIsReadInLittleMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Seed: 15})
	e := configured(t, w.baseURL(), adminKey, "usage: {interval: 1s, endpoints: {completions: {enabled: false}}}\ncounters: {start: \"2026-11-10T09:00:00Z\", zero_hold: 0s}\n")
	const row = `{"object":"organization.usage.embeddings.result","input_tokens":3,"num_model_requests":1,"project_id":"proj_%02d","model":"text-embedding-3-small","user_id":null,"api_key_id":null,"an_undocumented_field":"%s"}`
	var rows strings.Builder
	const inBucket = 14000 // Of some 250 bytes, in 60 buckets.
	for i := range inBucket {
		if i > 0 {
			rows.WriteByte(',')
		}
		fmt.Fprintf(&rows, row, i%40, strings.Repeat("x", 60))
	}
	sent := make(chan int, 1)
	w.let(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if !asks(r, "embeddings") {
			return false
		}
		rw.Header().Set("Date", w.clock.Now().Format(http.TimeFormat))
		q := r.URL.Query()
		if q.Get("bucket_width") != "1m" {
			_, _ = rw.Write([]byte(`{"object":"page","data":[],"has_more":false}`)) // A client that has gone is no concern here.
			return true
		}
		n, _ := fmt.Fprint(rw, `{"object":"page","data":[`)
		for i, at := 0, time.Date(2026, 11, 10, 9, 0, 0, 0, time.UTC); i < 60; i, at = i+1, at.Add(time.Minute) {
			m, err := fmt.Fprintf(rw, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[%s]}%s`, at.Unix(), at.Unix()+60, rows.String(), map[bool]string{true: ","}[i < 59])
			if err != nil {
				return true
			}
			n += m
		}
		_, _ = fmt.Fprint(rw, `],"has_more":false,"next_page":null}`) // As above.
		select {
		case sent <- n:
		default:
		}
		return true
	})
	w.clock.Advance(50 * time.Minute) // To 10:07, so that all of the hour is in the window.
	e.listen()
	eventually(t, "the page to be counted", func() error {
		if got := e.sum("openai_usage_requests_total", "endpoint", "embeddings"); got != 60*inBucket {
			return fmt.Errorf("%v requests, want %d", got, 60*inBucket)
		}
		return nil
	})
	if got := e.sum("openai_usage_input_tokens_total", "endpoint", "embeddings"); got != 3*60*inBucket {
		t.Errorf("%v tokens, want %d", got, 3*60*inBucket)
	}
	n, peak := <-sent, e.peak()
	t.Logf("a page of %d MB, peak %d MiB", n/1_000_000, peak>>20)
	if n < 200_000_000 {
		t.Errorf("the page has only %d bytes", n)
	}
	if peak > 100<<20 {
		t.Errorf("the process has had %d MiB", peak>>20)
	}
}
