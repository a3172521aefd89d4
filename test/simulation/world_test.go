//go:build !race

package simulation_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/exporter"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// settling is how long the API is watched after the usage has ended: past the audit window and the days in which a
// bill is corrected.
const settling = 104 * time.Hour

// An organization is one key and the API behind it.
type organization struct {
	name     string
	sim      *simulator.Simulator
	api      *spoiler
	faults   simulator.Faults // what the seed has it suffer all the time
	removed  bool
	key      string
	keyed    time.Time // when its file was last written
	rejected time.Time // when it last ceased to refuse dimensions
	gaveUp   bool      // old hours of it were given up
	budgeted int       // the project that has a budget of its own
	// corrected: its bill is corrected when nobody reads it any more, too.
	corrected bool
	// troubles are what is wrong with it now, by kind; well is since when nothing is.
	troubles map[string]int
	well     time.Time
}

// A world is the exporter, the organizations that it polls, and everything that happens to them.
type world struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand

	dir           string
	begin, end    time.Time // of the exporter's life and of the usage, by the API's clock
	offset        atomic.Int64
	stepped       time.Time // when the clock stepped last, by the machine's
	organizations []*organization
	endpoints     []string
	settings      settings
	counting      string // counters.start
	rewound       bool   // an hour changed hands while a Date was wrong: what the API had of it beyond the Date is missing for a while
	monthly       bool   // it was the month at some time, so that what is counted may be older than the life
	falls         bool   // the API corrects downwards
	constant      bool   // prices are those of the list: never learned, and no name tells where a project is processed, which costs more
	reshapes      bool   // groupings change, so that there are baselines within the life
	only, skip    map[string]bool
	omit          map[int]bool

	running    *exporter.Unserved
	begun      time.Time // when the exporter was started last
	billing    time.Time // when the bill was switched on again
	configured time.Time // when it was started or reloaded last
	log        bytes.Buffer
	queue      []delayed
	events     int
	calm       bool
	repair     func() // ends what makes commits fail, or nil
	ambush     *ambush
	hash       hash.Hash
	oracle     *oracle
	lived      lived
	noting     sync.Mutex
}

// A delayed thing happens later, with the source of what caused it.
type delayed struct {
	at  time.Time
	rng *rand.Rand
	do  func()
}

// stopped ends a life that can't go on.
type stopped struct{ error }

func source(seed, n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }

// now is the API's clock, which the machine's may be far from.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())).UTC() }

// live is a seed's whole life.
func (w *world) live(days int) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case stopped:
			w.fault("%v", p.error)
		default:
			w.fault("panic: %v\n%s", p, debug.Stack())
		}
		if w.running != nil {
			_ = w.running.Stop() // What is wrong has been said.
		}
	}()
	w.setUp(days)
	for range w.rng.IntN(4) - 1 {
		w.happen(atFirst)
	}
	w.start()
	if w.chance(0.4) { // Everything is new and held at zero.
		w.pass(w.between(time.Second, 2*time.Minute))
		if w.sound() {
			w.kill()
			w.start()
		}
	}
	scrapes := source(w.seed, 1)
	spacing := []time.Duration{time.Hour, 3 * time.Hour, 6 * time.Hour}[scrapes.IntN(3)]
	nextScrape, nextEvent := time.Now().Add(time.Minute), time.Now().Add(w.between(time.Minute, 5*time.Hour))
	for w.now().Before(w.end) {
		next := nextScrape
		if nextEvent.Before(next) {
			next = nextEvent
		}
		if len(w.queue) > 0 && w.queue[0].at.Before(next) {
			next = w.queue[0].at
		}
		w.pass(min(time.Until(next), w.end.Sub(w.now())))
		w.catchUp()
		if !time.Now().Before(nextEvent) {
			nextEvent = time.Now().Add(w.between(time.Minute, 8*time.Hour))
			w.happen(events)
		}
		if !time.Now().Before(nextScrape) {
			w.scrape()
			nextScrape = time.Now().Add(spacing/4 + time.Duration(scrapes.Int64N(int64(2*spacing))))
		}
	}
	w.settle()
	w.lived.days = w.now().Sub(w.begin).Hours() / 24
	w.stop()
}

// catchUp does what is due of what was put off.
func (w *world) catchUp() {
	for len(w.queue) > 0 && !w.queue[0].at.After(time.Now()) {
		d := w.queue[0]
		w.queue = w.queue[1:]
		former := w.rng
		w.rng = d.rng
		d.do()
		w.rng = former
		synctest.Wait()
	}
}

// after does something later.
func (w *world) after(d time.Duration, do func()) {
	w.queue = append(w.queue, delayed{time.Now().Add(d), w.rng, do})
	slices.SortStableFunc(w.queue, func(a, b delayed) int { return a.at.Compare(b.at) })
}

func (w *world) setUp(days int) {
	w.hash = sha256.New()
	w.oracle = newOracle(w)
	if days == 0 {
		days = 20 + w.rng.IntN(41)
	}
	// Bubbles begin at 2000-01-01. The API knows some fields only since 2026, and months and years have to turn.
	starts := []time.Time{
		time.Date(2026, 2, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 27, 0, 0, 0, 0, time.UTC),
		time.Date(2028, 2, 26, 0, 0, 0, 0, time.UTC), time.Date(2026, 9, 9, 0, 0, 0, 0, time.UTC),
	}
	<-time.After(time.Until(starts[w.rng.IntN(len(starts))].Add(w.between(0, 23*time.Hour))))
	if w.chance(0.3) {
		w.offset.Store(int64(w.duration(-26*time.Hour, -50*time.Minute, 7*time.Minute, 9*time.Hour)))
	}
	w.begin = w.now()
	w.end = w.begin.Add(time.Duration(days)*24*time.Hour - w.between(0, 23*time.Hour)).Truncate(time.Minute)
	w.falls, w.reshapes, w.constant = w.chance(0.3) || *falling, w.chance(0.4), w.chance(0.5)
	w.counting = w.pick("now", "now", "today", "month", w.first().Truncate(24*time.Hour).Format(time.RFC3339))
	w.monthly = w.counting == "month"

	flows := []string{"embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions", "code_interpreter_sessions", "file_search_calls", "web_search_calls", "vector_stores", "decisions"}
	w.rng.Shuffle(len(flows), func(i, j int) { flows[i], flows[j] = flows[j], flows[i] })
	w.endpoints = flows[:1+w.rng.IntN(3)]
	if w.chance(0.5) {
		w.endpoints[0] = "completions"
	}
	for i, name := range []string{"acme", "globex"} {
		w.organizations = append(w.organizations, w.newOrganization(i, name))
	}
	w.settings = w.firstSettings()
	w.note("seed %d from %s to %s, offset %s, start %s, reshapes=%t falls=%t endpoints=%v %s", w.seed, w.begin.Format(time.DateTime), w.end.Format(time.DateTime), time.Duration(w.offset.Load()), w.counting, w.reshapes, w.falls, w.endpoints, &w.settings)
}

func (w *world) newOrganization(i int, name string) *organization {
	o := simulator.Options{
		Seed: w.seed*2 + uint64(i), Scale: []float64{0.002, 0.02, 0.2, 1}[w.rng.IntN(4)], End: w.end, Clock: w.now,
		AdminKey: "sk-admin-" + name + "-0", ByContent: true, Streams: map[string]int{}, Organization: name,
		Kept: 8 << 20, StringAmounts: w.chance(0.5), ResultKey: w.pick("result", "results"),
	}
	if w.chance(0.8) {
		o.Lateness = simulator.Lateness{
			Immediate: w.rng.Float64(), Lumps: 1 + w.rng.IntN(5), Within: w.between(0, 30*time.Minute),
			TailShare: []float64{0, 0.02, 0.2}[w.rng.IntN(3)], Tail: w.duration(0, 45*time.Minute, 5*time.Hour, 20*time.Hour, 60*time.Hour), Costs: w.between(0, 6*time.Hour),
		}
	}
	if w.chance(0.4) {
		o.Restate = simulator.Restatement{Up: 0.05, By: 0.3, After: 30 * time.Minute, Until: 20 * time.Hour}
	}
	if w.falls {
		o.Restate = simulator.Restatement{Up: 0.05, Down: 0.05, By: 0.3, After: 30 * time.Minute, Until: 20 * time.Hour, Costs: 0.1, CostsUntil: w.duration(0, 0, 10*24*time.Hour, 40*24*time.Hour)}
		o.Credits = w.chance(0.5)
	}
	for e := range api.Endpoints {
		o.Streams[api.Endpoints[e].Name] = w.rng.IntN(2)
	}
	for _, e := range w.endpoints {
		o.Streams[e] = 1 + w.rng.IntN(4)
	}
	if w.chance(0.2) {
		o.LabelSets, o.LabelSetEvery = w.rng.IntN(8), time.Duration(20+w.rng.IntN(300))*time.Hour
	}
	if w.chance(0.3) {
		o.Prices = []simulator.PriceChange{{From: w.begin.Add(w.between(0, w.end.Sub(w.begin))).Truncate(24 * time.Hour), Factor: 500 + w.rng.Int64N(1500)}}
	}
	// Projects come and go: one has no traffic before some moment, or from it on, or for a while.
	const long = 10000 * time.Hour
	for _, p := range simulator.New(o).Projects() {
		at := w.begin.Add(w.between(0, w.end.Sub(w.begin)))
		switch w.rng.IntN(8) {
		case 0:
			o.Spikes = append(o.Spikes, simulator.Spike{Project: p.ID, From: w.begin.Add(-long), To: at})
		case 1:
			o.Spikes = append(o.Spikes, simulator.Spike{Project: p.ID, From: at, To: at.Add(long)})
		case 2:
			o.Spikes = append(o.Spikes, simulator.Spike{Project: p.ID, From: at, To: at.Add(w.between(time.Hour, 300*time.Hour))})
		}
	}
	x := &organization{name: name, sim: simulator.New(o), key: o.AdminKey, budgeted: w.rng.IntN(5), troubles: map[string]int{}, well: time.Now()}
	x.corrected = o.Restate.CostsUntil > 0
	x.api = newSpoiler(x.sim, o.Seed)
	if w.chance(0.4) {
		x.faults = simulator.Faults{Throttle: 0.05, ServerError: 0.05, Gateway: 0.03, Empty: 0.03, Torn: 0.04, Reset: 0.03}
		x.sim.SetFaults(x.faults)
	}
	w.writeKey(x)
	return x
}

func (w *world) writeKey(o *organization) { w.putKey(o, o.key) }

func (w *world) putKey(o *organization, key string) {
	o.keyed = time.Now()
	o.api.change(func() {
		for _, x := range o.api.wires {
			x.slow = time.Time{}
		}
	})
	path := filepath.Join(w.dir, o.name+".key")
	w.must(errors.Join(os.WriteFile(path+".new", []byte(key+"\n"), 0o600), os.Rename(path+".new", path)))
}

// first is the earlier of the two clocks' moments: a start that lies ahead of the machine's clock is refused.
func (w *world) first() time.Time {
	if now := time.Now().UTC(); now.Before(w.begin) {
		return now
	}
	return w.begin
}

// settle ends the usage, heals everything, and waits until all that is late has landed and was read.
func (w *world) settle() {
	w.calm = true
	// What is still to come comes now: keys, endpoints, organizations.
	for n := 0; len(w.queue) > 0 && n < 1000; n++ {
		w.queue[0].at = time.Now()
		w.catchUp()
	}
	w.repairDisk()
	for _, o := range w.organizations {
		o.removed = false
		o.api.heal()
		o.faults = simulator.Faults{}
		o.sim.SetFaults(o.faults)
		o.sim.SetMissing()
		o.sim.SetKeysWithoutScope()
		o.sim.SetAdminKey(o.key)
		for i := range api.Endpoints {
			o.sim.SetRejectGroupBy(api.Endpoints[i].Name)
		}
		clear(o.troubles)
		o.well = time.Now()
	}
	w.settings.costs, w.settings.off = true, map[string]bool{}
	w.settings.lookback, w.settings.interval, w.settings.requests = time.Hour, time.Hour, 6000
	w.settings.auditWindow, w.settings.auditInterval = max(w.settings.auditWindow, 96*time.Hour), 6*time.Hour
	if w.running == nil {
		w.start()
	} else {
		w.reload()
	}
	for until := w.end.Add(settling); w.now().Before(until); {
		w.pass(4 * time.Hour)
		w.scrape()
	}
	w.oracle.final()
	w.lived.exact = [6]int{w.oracle.totals, w.oracle.lossy + w.oracle.falling, w.oracle.estimates, w.oracle.worths, w.oracle.months + w.oracle.longs, w.oracle.levels}
}

// pass lets time pass until everybody waits again.
func (w *world) pass(d time.Duration) {
	if d > 0 {
		<-time.After(d) // The clock of a bubble, which does not wait.
	}
	synctest.Wait()
}

func (w *world) must(err error) {
	if err != nil {
		panic(stopped{err})
	}
}

// fault notes that a promise is broken.
func (w *world) fault(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.noting.Lock()
	w.lived.faults = append(w.lived.faults, w.now().Format(time.DateTime)+" "+line)
	w.noting.Unlock()
	w.note("FAULT %s", line)
}

func (w *world) note(format string, args ...any) {
	line := w.now().Format(time.DateTime) + " " + fmt.Sprintf(format, args...)
	w.noting.Lock()
	defer w.noting.Unlock()
	w.lived.trace = append(w.lived.trace, line)
	_, _ = fmt.Fprintln(w.hash, line) // A hash never fails.
}

func (w *world) sum() string { return hex.EncodeToString(w.hash.Sum(nil))[:12] }

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) between(a, b time.Duration) time.Duration {
	return (a + time.Duration(w.rng.Int64N(int64(b-a)+1))).Truncate(time.Second)
}

func (w *world) pick(all ...string) string { return all[w.rng.IntN(len(all))] }

func (w *world) duration(all ...time.Duration) time.Duration { return all[w.rng.IntN(len(all))] }

// sorted are the keys of a map, since the order of a map is nobody's.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
