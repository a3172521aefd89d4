package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// stand holds counters against those seen before, and returns the highest of both.
func (p *process) stand(when string, before map[string]float64) map[string]float64 {
	p.t.Helper()
	now := p.counters()
	for k, n := range before {
		if now[k] < n {
			p.t.Errorf("%s: %s fell from %v to %v", when, k, n, now[k])
		}
	}
	return now
}

// exact waits until the sums of requests are those of the API since a moment.
func (p *process) exact(s *simulator.Simulator, from, to time.Time) {
	p.t.Helper()
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock || e.IsCosts() {
			continue
		}
		measure := e.Measures[0].Name
		want := 0.0
		for _, row := range s.Final(e.Name, nil, from, to) {
			want += row.Values[measure].Float64()
		}
		eventually(p.t, "all of "+e.Name, func() bool { return p.sum("openai_usage_"+measure+"_total", "endpoint="+e.Name) == want })
	}
}

// TestARemovedDirectoryIsMadeAgain takes the state away from under the running program.
func TestARemovedDirectoryIsMadeAgain(t *testing.T) {
	t.Parallel() // It mostly waits.
	begin := time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC)
	clock := simulator.NewClock(begin, 60)
	s, baseURL := simulate(t, simulator.Options{Seed: 6, Clock: clock.Now, Streams: quiet})
	args, file := configure(t, baseURL, goodKey, fast+"\ncounters: {zero_hold: 0s, start: \"2026-11-10T09:00:00Z\"}")
	data := filepath.Join(filepath.Dir(file), "data")
	p := serve(t, args...)
	p.ready()
	seen := p.counters()
	for range 2 {
		failed := p.sum(commitErrors, "")
		// A file that is written meanwhile keeps its directory there.
		eventually(t, "that all of it is removed", func() bool { return os.RemoveAll(data) == nil })
		eventually(t, "that it is noticed", func() bool { return p.sum(commitErrors, "") > failed })
		eventually(t, "that all endpoints are up again", func() bool { return p.up() == float64(len(api.Endpoints)) })
		seen = p.stand("with the directory gone", seen)
	}
	if n := strings.Count(p.log.String(), "it was removed while in use"); n == 0 || n > 24 {
		t.Errorf("the log says so %d times:\n%s", n, p.log)
	}
	end := clock.Now().Truncate(time.Minute).Add(time.Minute)
	s.SetEnd(end)
	p.exact(s, begin.Truncate(time.Hour), end)
	seen = p.stand("in the end", seen)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log)
	}
	p = serve(t, args...)
	p.ready()
	p.stand("after a restart", seen)
}
