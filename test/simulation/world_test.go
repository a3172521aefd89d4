//go:build !race

package simulation_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/exporter"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// settling is how long the API is watched after the usage has ended: past the audit window and the days in which a
// bill is corrected.
const settling = 104 * time.Hour

// An organization is one key and the API behind it.
type organization struct {
	name    string
	sim     *simulator.Simulator
	api     *spoiler
	faults  simulator.Faults // what the seed has it suffer all the time
	removed bool
}

// A world is the exporter, the organizations that it polls, and everything that happens to them.
type world struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand

	dir           string
	begin, end    time.Time // of the exporter's life and of the usage
	organizations []*organization
	endpoints     []string
	settings      settings
	falls         bool // the API corrects downwards
	reshapes      bool // groupings change, so that there are baselines within the life
	fixed         bool // counters.start is a given time
	returned      bool // an endpoint or an organization was away for a while
	only, skip    map[string]bool

	running  *exporter.Unserved
	log      bytes.Buffer
	trace    []string
	hash     hash.Hash
	events   int
	scrapes  int
	oracle   oracle
	occurred map[string]int
}

// settings are what a reload may change.
type settings struct {
	interval, lookback, auditInterval, auditWindow, zeroHold time.Duration
	width                                                    string
	groupBy, costsGroupBy                                    []string
	labelSets                                                int
	costs                                                    bool
}

func (s settings) String() string {
	return fmt.Sprint(s.interval, s.lookback, s.auditInterval, s.auditWindow, s.zeroHold, s.width, s.groupBy, s.costsGroupBy, s.labelSets, s.costs)
}

// yaml is the configuration file.
func (w *world) yaml() string {
	s := w.settings
	if s.width == "1h" { // A lookback is at least a bucket.
		s.lookback = max(s.lookback, time.Hour)
	}
	var b strings.Builder
	fmt.Fprintln(&b, "organizations:")
	for _, o := range w.organizations {
		if !o.removed {
			fmt.Fprintf(&b, "  - {name: %s, api_key_file: %q, base_url: http://%s.test/v1, requests_per_minute: 6000}\n", o.name, filepath.Join(w.dir, o.name+".key"), o.name)
		}
	}
	fmt.Fprintf(&b, "usage:\n  interval: %s\n  bucket_width: %s\n  lookback: %s\n  group_by: [%s]\n  audit: {interval: %s, window: %s}\n  endpoints:\n",
		s.interval, s.width, s.lookback, strings.Join(s.groupBy, ", "), s.auditInterval, s.auditWindow)
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		switch {
		case e.IsCosts():
		case slices.Contains(w.endpoints, e.Name):
			fmt.Fprintf(&b, "    %s: {enabled: true}\n", e.Name)
		default:
			fmt.Fprintf(&b, "    %s: {enabled: false}\n", e.Name)
		}
	}
	fmt.Fprintf(&b, "costs: {enabled: %t, interval: 1h, lookback: 96h, group_by: [%s]}\n", s.costs, strings.Join(s.costsGroupBy, ", "))
	fmt.Fprintln(&b, "names: {enabled: false}\nlimits: {enabled: false}")
	start := "now"
	if w.fixed {
		start = w.begin.Truncate(24 * time.Hour).Format(time.RFC3339)
	}
	fmt.Fprintf(&b, "counters: {start: %q, zero_hold: %s, max_label_sets: %d}\n", start, s.zeroHold, s.labelSets)
	return b.String()
}

// live is a seed's whole life, in a bubble of its own in which weeks pass in seconds.
func (w *world) live(days int) {
	w.setUp(days)
	w.start()
	nextScrape, nextEvent := time.Now().Add(time.Minute), time.Now().Add(w.between(time.Minute, 5*time.Hour))
	for time.Now().Before(w.end) {
		next := nextScrape
		if nextEvent.Before(next) {
			next = nextEvent
		}
		w.pass(time.Until(next))
		if !time.Now().Before(nextEvent) {
			w.happen()
			nextEvent = time.Now().Add(w.between(time.Minute, 8*time.Hour))
		}
		if !time.Now().Before(nextScrape) {
			w.scrape()
			nextScrape = time.Now().Add(w.between(5*time.Minute, 40*time.Minute))
		}
	}
	w.settle()
	w.stop()
}

func (w *world) setUp(days int) {
	w.dir = w.t.TempDir()
	w.hash = sha256.New()
	w.occurred = map[string]int{}
	w.oracle = newOracle()
	// Bubbles begin at 2000-01-01. The API knows some fields only since 2026, and months and years have to turn.
	starts := []time.Time{
		time.Date(2026, 2, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 27, 0, 0, 0, 0, time.UTC),
		time.Date(2028, 2, 26, 0, 0, 0, 0, time.UTC), time.Date(2026, 9, 9, 0, 0, 0, 0, time.UTC),
	}
	<-time.After(time.Until(starts[w.rng.IntN(len(starts))].Add(w.between(0, 23*time.Hour))))
	w.begin = time.Now().UTC()
	w.end = w.begin.Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Minute)
	w.fixed, w.reshapes, w.falls = w.chance(0.7), w.chance(0.3), w.chance(0.3)

	flows := []string{"embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions", "code_interpreter_sessions", "file_search_calls", "web_search_calls", "vector_stores"}
	w.rng.Shuffle(len(flows), func(i, j int) { flows[i], flows[j] = flows[j], flows[i] })
	w.endpoints = append([]string{"completions"}, flows[:2]...)
	for i, name := range []string{"acme", "globex"} {
		o := simulator.Options{
			Seed: w.seed*2 + uint64(i), Scale: 0.2, End: w.end,
			Begin: w.begin.Add(-100 * time.Hour).Truncate(time.Hour), AdminKey: "sk-admin-" + name,
			StringAmounts: w.chance(0.5), ResultKey: w.pick("result", "results"),
		}
		if w.chance(0.7) {
			o.Lateness = simulator.Lateness{Immediate: 0.4, Lumps: 4, Within: w.between(0, 20*time.Minute), TailShare: 0.2, Tail: w.between(time.Hour, 20*time.Hour), Costs: w.between(0, 6*time.Hour)}
		}
		if w.falls {
			o.Restate = simulator.Restatement{Up: 0.05, Down: 0.05, By: 0.3, After: 30 * time.Minute, Until: 20 * time.Hour, Costs: 0.1}
		}
		if !w.fixed {
			// What the API says at the first read is not known to the second, so nothing may have happened before.
			o.Begin = w.begin.Add(2 * time.Hour).Truncate(time.Hour)
		}
		x := &organization{name: name, sim: simulator.New(o)}
		x.api = newSpoiler(x.sim.Handler(), time.Now)
		if w.chance(0.4) {
			x.faults = simulator.Faults{Throttle: 0.05, ServerError: 0.05, Gateway: 0.03, Empty: 0.03, Torn: 0.04, Reset: 0.03, Latency: time.Second}
			x.sim.SetFaults(x.faults)
		}
		w.organizations = append(w.organizations, x)
		w.must(os.WriteFile(filepath.Join(w.dir, name+".key"), []byte("sk-admin-"+name+"\n"), 0o600))
	}
	w.settings = settings{
		interval: w.duration(15*time.Minute, 30*time.Minute, 45*time.Minute), lookback: w.duration(30*time.Minute, time.Hour, 2*time.Hour),
		auditInterval: 4 * time.Hour, auditWindow: 72 * time.Hour, zeroHold: w.duration(0, 2*time.Minute),
		width: w.pick("1m", "1h"), groupBy: []string{"project_id", "model"}, costsGroupBy: []string{"project_id", "line_item"},
		labelSets: 20000, costs: true,
	}
	if w.chance(0.25) {
		w.settings.labelSets = 12
	}
	w.note("seed %d fixed=%t reshapes=%t falls=%t endpoints=%v %s", w.seed, w.fixed, w.reshapes, w.falls, w.endpoints, w.settings)
}

// settle ends the usage, heals everything, and waits until all that is late has landed and was read.
func (w *world) settle() {
	for _, o := range w.organizations {
		o.removed = false
		o.api.heal()
		o.faults = simulator.Faults{}
		o.sim.SetFaults(o.faults)
	}
	w.settings.costs = true
	w.settings.lookback, w.settings.interval = time.Hour, time.Hour
	w.settings.auditWindow, w.settings.auditInterval = max(w.settings.auditWindow, 96*time.Hour), 6*time.Hour
	if w.running == nil {
		w.start()
	} else {
		w.reload()
	}
	for until := w.end.Add(settling); time.Now().Before(until); {
		w.pass(4 * time.Hour)
		w.scrape()
	}
	w.exact()
}

// start starts the exporter on whatever its directory holds.
func (w *world) start() {
	running, err := exporter.StartUnserved(exporter.UnservedOptions{
		Load:        func() (*config.Valid, error) { return config.Parse("config.yml", []byte(w.yaml())) },
		StoragePath: filepath.Join(w.dir, "data"),
		Transport:   w.transport,
		Logger:      log.NewLogfmtLogger(log.NewSyncWriter(&w.log)),
	})
	w.must(err)
	w.running = running
}

// transport is how an organization's API is reached.
func (w *world) transport(name string) http.RoundTripper {
	for _, o := range w.organizations {
		if o.name == name {
			return simulator.TransportOf(o.api)
		}
	}
	return nil
}

func (w *world) stop() {
	if w.running == nil {
		return
	}
	w.must(w.running.Stop())
	w.running = nil
}

// kill ends the exporter as SIGKILL would: what is on disk at this moment is what the next start finds.
func (w *world) kill() {
	synctest.Wait()
	data, copied := filepath.Join(w.dir, "data"), filepath.Join(w.dir, "copy")
	w.must(os.RemoveAll(copied))
	w.must(os.CopyFS(copied, os.DirFS(data)))
	w.stop()
	w.must(os.RemoveAll(data))
	w.must(os.Rename(copied, data))
}

func (w *world) reload() { w.must(w.running.Reload(w.t.Context())) }

// pass lets time pass until everybody waits again.
func (w *world) pass(d time.Duration) {
	if d > 0 {
		<-time.After(d) // The clock of a bubble, which does not wait.
	}
	synctest.Wait()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.report()
		w.t.Fatal(err)
	}
}

// fault notes that a promise is broken.
func (w *world) fault(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%s "+format, append([]any{time.Now().UTC().Format(time.DateTime)}, args...)...)
}

func (w *world) note(format string, args ...any) {
	line := time.Now().UTC().Format(time.DateTime) + " " + fmt.Sprintf(format, args...)
	w.trace = append(w.trace, line)
	_, _ = fmt.Fprintln(w.hash, line)
}

func (w *world) sum() string { return hex.EncodeToString(w.hash.Sum(nil))[:12] }

// report prints what happened and how to see it again.
func (w *world) report() {
	happened := slices.DeleteFunc(slices.Clone(w.trace), func(line string) bool { return !*verbose && strings.Contains(line, " scrape ") })
	w.t.Logf("again: make simulation SEED=%d SEEDS=1 DAYS=%d, with ARGS='-skip lookback,kill' or ARGS='-only kill' to make it small\n%s", w.seed, *lifetime, strings.Join(happened, "\n"))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) between(a, b time.Duration) time.Duration {
	return (a + time.Duration(w.rng.Int64N(int64(b-a)+1))).Truncate(time.Second)
}

func (w *world) pick(all ...string) string { return all[w.rng.IntN(len(all))] }

func (w *world) duration(all ...time.Duration) time.Duration { return all[w.rng.IntN(len(all))] }
