package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

const (
	// step is how far the API's clock moves every tick: an hour takes nine seconds.
	step = 20 * time.Second
	tick = 50 * time.Millisecond
	// settling is how long the API is watched after the usage has ended: past the audit window of 72 hours and the
	// three days in which a bill is corrected.
	settling     = 80 * time.Hour
	settlingStep = 2 * time.Hour
	patience     = 3 * time.Minute
	// tolerated is how far a float may be from the decimal it stands for, in US dollars.
	tolerated = 1e-9
)

var groupBy = map[bool][]string{false: {"project_id", "model"}, true: {"project_id", "line_item"}}

const exporterConfig = `
organizations:
  - {name: acme, api_key_file: %q, base_url: %q, requests_per_minute: 1000000}
usage:
  interval: 1s
  endpoints:
    vector_stores: {interval: 1s}
    code_interpreter_sessions: {interval: 1s}
costs: {interval: 1s}
counters: {zero_hold: 1s}
`

// A result is what one condition came to.
type result struct {
	condition condition
	// worst is the ratio counted ÷ truth that is farthest from 1, over all endpoints and measures.
	usage, cost ratio
	labelSets   int // compared one by one
	withheld    bool
	polls       float64
	failed      float64
	faults      float64 // requests that were answered with anything but a whole 200
	kills       int
	scrapes     int // in which no counter went down
	took        time.Duration
}

// A ratio is counted ÷ truth of one measure.
type ratio struct {
	endpoint, measure string
	counted, truth    float64
}

func (r ratio) value() float64 {
	if r.truth == 0 {
		if r.counted == 0 {
			return 1
		}
		return math.Inf(1)
	}
	return r.counted / r.truth
}

// worse keeps whichever ratio is farther from 1.
func (r *ratio) worse(other ratio) {
	if r.truth == 0 || math.Abs(other.value()-1) > math.Abs(r.value()-1) {
		*r = other
	}
}

// measure runs the binary under a condition and compares its counters with the truth.
func measure(ctx context.Context, binary string, c condition, seed uint64) (result, error) {
	begin := time.Now()
	conditions, err := c.combined()
	if err != nil {
		return result{}, err
	}
	// The API's clock stands still except where it is moved, so that the moment of the ledger's start is known.
	clock := simulator.NewClock(time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC), 0)
	sim := simulator.New(simulator.Options{
		Seed: seed, Clock: clock.Now, AdminKey: "sk-admin-accuracy",
		Lateness: conditions.Lateness, Restate: conditions.Restate, Faults: conditions.Faults, StringAmounts: seed%2 == 1,
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return result{}, err
	}
	server := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	dir, err := os.MkdirTemp("", "accuracy-")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	key, file := filepath.Join(dir, "key"), filepath.Join(dir, "config.yml")
	if err := errors.Join(
		os.WriteFile(key, []byte("sk-admin-accuracy\n"), 0o600),
		os.WriteFile(file, fmt.Appendf(nil, exporterConfig, key, "http://"+listener.Addr().String()+"/v1"), 0o600),
	); err != nil {
		return result{}, err
	}
	e := &exporter{binary: binary, dir: dir, args: []string{"--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data")}}
	if err := e.start(ctx); err != nil {
		return result{}, err
	}
	defer e.kill()

	// The baseline is complete when every endpoint was polled and audited once.
	if err := e.until(ctx, func(m metrics) (bool, string) { return everywhere(m, nil) }); err != nil {
		return result{}, fmt.Errorf("start: %w", err)
	}
	began := clock.Now()
	baseline := truths(sim, began, began.Add(time.Minute), began)
	origin := began // moves with the leaps of the clock, so that the time lived is what lies between

	rng := rand.New(rand.NewPCG(seed, 1))
	down, slept := c.downtime == 0, c.sleep == 0
	killed := 0
	var polls, failed, faults float64
	tally := func() {
		if m, err := e.scrape(ctx); err == nil {
			polls += m.sum("openai_exporter_polls_total")
			failed += m.sum("openai_exporter_polls_total", "outcome", "error")
			faults += m.sum("openai_exporter_api_requests_total") - m.sum("openai_exporter_api_requests_total", "code", "200")
		}
	}
	seen := &watch{highest: map[string]float64{}}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ticks := 0; clock.Now().Before(origin.Add(c.live)); ticks++ {
		select {
		case <-ctx.Done():
			return result{}, ctx.Err()
		case <-ticker.C:
		}
		clock.Advance(step)
		if ticks%4 == 0 {
			seen.look(ctx, e)
		}
		done := float64(clock.Now().Sub(origin)) / float64(c.live)
		if killed < c.kills && done > (float64(killed)+rng.Float64())/float64(c.kills) {
			killed++
			tally()
			seen.look(ctx, e)
			e.kill()
			if err := e.start(ctx); err != nil {
				return result{}, err
			}
		}
		if !down && done > 0.5 {
			down = true
			tally()
			e.kill()
			clock.Advance(c.downtime)
			origin = origin.Add(c.downtime)
			if err := e.start(ctx); err != nil {
				return result{}, err
			}
		}
		if !slept && done > 0.75 {
			slept = true
			if err := e.sleep(func() { clock.Advance(c.sleep) }); err != nil {
				return result{}, err
			}
			origin = origin.Add(c.sleep)
		}
	}
	end := clock.Now().Truncate(time.Minute).Add(time.Minute)
	sim.SetEnd(end)
	for clock.Now().Before(end.Add(settling)) {
		clock.Advance(cmp.Or(c.settle, settlingStep))
		if err := e.progress(ctx); err != nil {
			return result{}, fmt.Errorf("settle: %w", err)
		}
	}

	want := truths(sim, began, end, time.Time{})
	for k, n := range baseline {
		want[k] = want[k].Sub(n)
	}
	res := result{condition: c}
	err = e.until(ctx, func(m metrics) (bool, string) {
		var differs []string
		res, differs = compare(c, m, want)
		if len(differs) > 5 {
			differs = append(differs[:5], fmt.Sprintf("… and %d more", len(differs)-5))
		}
		return len(differs) == 0, strings.Join(differs, "; ")
	})
	tally()
	seen.look(ctx, e)
	res.polls, res.failed, res.faults, res.took = polls, failed, faults, time.Since(begin)
	res.kills, res.scrapes = killed, seen.scrapes
	return res, errors.Join(err, seen.err())
}

// A series is a counter by its metric and labels, as the exporter spells them.
type series struct{ endpoint, measure, labels string }

// truths returns what the API says of every counter, of all the time that the exporter reads when it starts at origin:
// asOf a moment, or in the end if that is zero.
func truths(sim *simulator.Simulator, origin, to, asOf time.Time) map[series]decimal.Fixed {
	out := map[series]decimal.Fixed{}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock {
			continue
		}
		from := origin.Truncate(time.Hour).Add(-72 * time.Hour)
		if e.IsCosts() {
			from = time.Date(origin.Year(), origin.Month(), 1, 0, 0, 0, 0, time.UTC)
			to = to.Truncate(24 * time.Hour).Add(24 * time.Hour)
		}
		groups := e.GroupBy(groupBy[e.IsCosts()])
		rows := sim.Final(e.Name, groups, from, to)
		if !asOf.IsZero() {
			rows = sim.Truth(e.Name, groups, from, to, asOf)
		}
		for _, m := range e.Measures {
			labelled := rows
			if m.By != nil {
				labelled = simulator.Sum(rows, m.By...)
			} else if len(e.Attributes) > 0 {
				labelled = simulator.Sum(rows, groups...)
			}
			for _, r := range labelled {
				names := map[string]string{}
				for name, value := range r.Labels {
					d, _ := e.Dimension(name)
					names[d.Label] = value
				}
				k := series{e.Name, m.Name, spell(names)}
				out[k] = out[k].Add(r.Values[m.Name])
			}
		}
	}
	return out
}

func spell(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%s=%q,", name, labels[name])
	}
	return b.String()
}

// compare holds every counter against the truth. Where restatements downwards are possible, a counter may be ahead of
// the API by what is withheld, so sums are compared less the withheld amount, which is published with them.
func compare(c condition, m metrics, want map[series]decimal.Fixed) (result, []string) {
	res := result{condition: c}
	var differs []string
	got := map[series]float64{}
	withheld := map[series]float64{} // by endpoint and measure
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock {
			continue
		}
		for _, measure := range e.Measures {
			name := "openai_usage_" + measure.Name + "_total"
			if e.IsCosts() {
				name = "openai_" + measure.Name + "_total"
			}
			for _, x := range m[name].GetMetric() {
				labels := labelsOf(x)
				if !e.IsCosts() && labels["endpoint"] != e.Name {
					continue
				}
				delete(labels, "organization")
				delete(labels, "endpoint")
				got[series{e.Name, measure.Name, spell(labels)}] = x.GetCounter().GetValue()
			}
			withheld[series{e.Name, measure.Name, ""}] = m.sum("openai_exporter_withheld", "endpoint", e.Name, "measure", measure.Name)
		}
	}
	counted, truth := map[series]float64{}, map[series]decimal.Fixed{}
	for k, n := range want {
		all := series{k.endpoint, k.measure, ""}
		truth[all] = truth[all].Add(n)
		if withheld[all] == 0 && math.Abs(got[k]-n.Float64()) > tolerated {
			differs = append(differs, fmt.Sprintf("%s %s{%s} is %v, want %s", k.endpoint, k.measure, k.labels, got[k], n))
		}
		res.labelSets++
	}
	for k, n := range got {
		all := series{k.endpoint, k.measure, ""}
		counted[all] += n
		if _, known := want[k]; !known && n != 0 {
			differs = append(differs, fmt.Sprintf("%s %s{%s} is %v, the API has no such thing", k.endpoint, k.measure, k.labels, n))
		}
	}
	for all, n := range truth {
		if withheld[all] != 0 {
			res.withheld = true
			if !c.downwards() {
				differs = append(differs, fmt.Sprintf("%v of %s %s is withheld", withheld[all], all.endpoint, all.measure))
			}
		}
		r := ratio{all.endpoint, all.measure, counted[all] - withheld[all], n.Float64()}
		if math.Abs(r.counted-r.truth) > tolerated*float64(len(want)) && math.Abs(r.value()-1) > 1e-12 {
			differs = append(differs, fmt.Sprintf("%s %s sums up to %v, want %v", all.endpoint, all.measure, r.counted, r.truth))
		}
		if all.endpoint == api.Costs {
			res.cost.worse(r)
		} else {
			res.usage.worse(r)
		}
	}
	if len(want) == 0 || len(got) == 0 {
		differs = append(differs, "there is nothing to compare")
	}
	slices.Sort(differs)
	return res, differs
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}
