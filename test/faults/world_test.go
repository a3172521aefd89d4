package faults_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

const (
	adminKey = "sk-admin-Faults_0123456789abcdefWXYZ"
	// step is how far the API's clock moves every tick.
	step = 20 * time.Second
	tick = 50 * time.Millisecond
	// fast polls as often as the configuration allows.
	fast = `
usage:
  interval: 1s
  endpoints:
    vector_stores: {interval: 1s}
    code_interpreter_sessions: {interval: 1s}
costs: {interval: 1s}
`
)

// began is when the counters begin to count, at the start of a day so that bills are whole.
var began = time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)

// counting makes everything since the beginning count.
const counting = fast + "counters: {start: \"2026-11-10T00:00:00Z\", zero_hold: 0s}\n"

// A meddler does something with a request in the simulator's place, or returns false to leave it to the simulator.
type meddler func(w http.ResponseWriter, r *http.Request, honest http.Handler) bool

// A world is a simulated API whose clock moves where a test moves it, and somebody who may meddle with its answers.
type world struct {
	t      *testing.T
	clock  *simulator.Clock
	sim    *simulator.Simulator
	server *httptest.Server
	meddle atomic.Pointer[meddler]
}

func newWorld(t *testing.T, o simulator.Options) *world {
	t.Helper()
	w := &world{t: t, clock: simulator.NewClock(began.Add(9*time.Hour+17*time.Minute), 0)}
	o.Clock, o.AdminKey = w.clock.Now, adminKey
	w.sim = simulator.New(o)
	honest := w.sim.Handler()
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if m := w.meddle.Load(); m != nil && (*m)(rw, r, honest) {
			return
		}
		honest.ServeHTTP(rw, r)
	}))
	w.server.Config.ErrorLog = nil
	w.server.Start()
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) baseURL() string { return w.server.URL + "/v1" }

func (w *world) address() string { return w.server.Listener.Addr().(*net.TCPAddr).String() }

// let puts a meddler to work, or nobody.
func (w *world) let(m meddler) {
	if m == nil {
		w.meddle.Store(nil)
		return
	}
	w.meddle.Store(&m)
}

// live lets the API's time pass while something goes on, for so long by the real clock.
func (w *world) live(d time.Duration, each func()) {
	w.t.Helper()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-ticker.C
		w.clock.Advance(step)
		if each != nil {
			each()
		}
	}
}

// settle ends the usage, lets the API's time go on until nothing is late any more and everything has been audited, and
// holds every counter to the truth.
func (w *world) settle(e *exporter) {
	w.t.Helper()
	w.let(nil)
	w.sim.SetFaults(simulator.Faults{})
	end := w.clock.Now().Truncate(time.Minute).Add(time.Minute)
	w.sim.SetEnd(end)
	for w.clock.Now().Before(end.Add(4 * time.Hour)) {
		// More than an hour and an audit's interval: servers whose clocks differ by an hour may have answered the last one.
		w.audited(e, 80*time.Minute)
	}
	w.exact(e, end)
}

// exact waits until every counter equals the truth.
func (w *world) exact(e *exporter, end time.Time) {
	w.t.Helper()
	want := truth(w.sim, end)
	eventually(w.t, "the counters to equal the truth", func() error {
		f, err := e.scrape()
		if err != nil {
			return err
		}
		return compare(f, want)
	})
	w.t.Logf("%d counters equal the truth", len(want))
}

// audited advances the API's clock so far that audits are due, and waits until every endpoint has been polled and
// audited once more.
func (w *world) audited(e *exporter, leap time.Duration) {
	w.t.Helper()
	before, err := e.scrape()
	if err != nil {
		w.t.Fatal(err)
	}
	w.clock.Advance(leap)
	w.more(e, before, "openai_exporter_polls_total", "openai_exporter_audits_total")
}

// polled waits until every endpoint has been polled once more.
func (w *world) polled(e *exporter) {
	w.t.Helper()
	before, err := e.scrape()
	if err != nil {
		w.t.Fatal(err)
	}
	w.more(e, before, "openai_exporter_polls_total")
}

// more waits until counters of success of every endpoint have grown.
func (w *world) more(e *exporter, before families, names ...string) {
	w.t.Helper()
	eventually(w.t, "polls and audits", func() error {
		now, err := e.scrape()
		if err != nil {
			return err
		}
		for i := range api.Endpoints {
			endpoint := &api.Endpoints[i]
			for _, name := range names {
				if name == "openai_exporter_audits_total" && (endpoint.Stock || endpoint.IsCosts()) {
					continue
				}
				count := func(f families) float64 { return f.sum(name, "endpoint", endpoint.Name, "outcome", "success") }
				if count(now) <= count(before) {
					return fmt.Errorf("%s of %s stands still", name, endpoint.Name)
				}
			}
		}
		return nil
	})
}

// A counter is a series by its metric and labels.
type counter struct{ name, labels string }

func spell(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if labels[name] != "" && name != "organization" {
			fmt.Fprintf(&b, "%s=%q,", name, labels[name])
		}
	}
	return b.String()
}

// truth is what the API says in the end about everything since the beginning.
func truth(sim *simulator.Simulator, end time.Time) map[counter]decimal.Fixed {
	out := make(map[counter]decimal.Fixed)
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock {
			continue
		}
		groupBy, to := e.GroupBy([]string{"project_id", "model"}), end
		if e.IsCosts() {
			groupBy, to = e.GroupBy([]string{"project_id", "line_item"}), end.Truncate(24*time.Hour).Add(24*time.Hour)
		}
		rows := sim.Final(e.Name, groupBy, began, to)
		for _, m := range e.Measures {
			name := "openai_usage_" + m.Name + "_total"
			if e.IsCosts() {
				name = "openai_" + m.Name + "_total"
			}
			labelled := rows
			if m.By != nil {
				labelled = simulator.Sum(rows, m.By...)
			} else if len(e.Attributes) > 0 {
				labelled = simulator.Sum(rows, groupBy...)
			}
			for _, r := range labelled {
				labels := make(map[string]string)
				for dimension, value := range r.Labels {
					d, _ := e.Dimension(dimension)
					labels[d.Label] = value
				}
				if !e.IsCosts() {
					labels["endpoint"] = e.Name
				}
				k := counter{name, spell(labels)}
				out[k] = out[k].Add(r.Values[m.Name])
			}
		}
	}
	return out
}

// compare holds every counter of usage and costs to the truth, to the last token and to a billionth of a dollar.
func compare(f families, want map[counter]decimal.Fixed) error {
	var wrong []string
	got := make(map[counter]float64)
	names := make(map[string]bool)
	for k := range want {
		names[k.name] = true
	}
	for name := range names {
		for _, m := range f[name].GetMetric() {
			got[counter{name, spell(labelsOf(m))}] = m.GetCounter().GetValue()
		}
	}
	for k, n := range want {
		if math.Abs(got[k]-n.Float64()) > 1e-9 {
			wrong = append(wrong, fmt.Sprintf("%s{%s} is %v, want %s", k.name, k.labels, got[k], n))
		}
	}
	for k, n := range got {
		if _, known := want[k]; !known && n != 0 {
			wrong = append(wrong, fmt.Sprintf("%s{%s} is %v, and the API has no such thing", k.name, k.labels, n))
		}
	}
	if len(want) < 100 {
		return fmt.Errorf("there is too little to compare: %d counters", len(want))
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return errors.New(fmt.Sprint(len(wrong), " differ: ") + strings.Join(wrong[:min(3, len(wrong))], "; "))
	}
	return nil
}

// asks says whether a request is for an endpoint.
func asks(r *http.Request, endpoint string) bool { return strings.HasSuffix(r.URL.Path, "/"+endpoint) }
