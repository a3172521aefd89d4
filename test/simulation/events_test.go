//go:build !race

package simulation_test

import (
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// An event is one kind of thing that happens. Every one draws from a source of its own, so that leaving one out changes
// no other: that is how a failing seed is made small.
type event struct {
	name string
	do   func(w *world)
}

var events = []event{
	{"lookback", func(w *world) {
		w.settings.lookback = w.duration(10*time.Minute, 30*time.Minute, time.Hour, 5*time.Hour, 9*time.Hour)
		w.reload()
	}},
	{"window", func(w *world) {
		w.settings.auditWindow = w.duration(48*time.Hour, 72*time.Hour, 100*time.Hour, 168*time.Hour)
		w.reload()
	}},
	// A lookback beyond the former audit window reaches hours that are no longer on record.
	{"grow", func(w *world) {
		former, interval := w.settings.lookback, w.settings.interval
		w.settings.lookback, w.settings.auditWindow, w.settings.interval = 96*time.Hour, 168*time.Hour, time.Hour
		w.reload()
		w.pass(w.between(time.Hour, 4*time.Hour))
		w.settings.lookback, w.settings.interval = former, interval
		w.reload()
	}},
	{"width", func(w *world) {
		w.settings.width = map[string]string{"1m": "1h", "1h": "1m"}[w.settings.width]
		w.reload()
	}},
	{"interval", func(w *world) {
		w.settings.interval = w.duration(10*time.Minute, 20*time.Minute, 50*time.Minute)
		w.reload()
	}},
	{"hold", func(w *world) {
		w.settings.zeroHold = w.duration(0, time.Minute, 10*time.Minute)
		w.reload()
	}},
	{"storm", func(w *world) {
		for range 1 + w.rng.IntN(5) {
			w.reload()
			w.pass(w.between(0, 3*time.Second))
		}
	}},
	{"restart", func(w *world) { w.stop(); w.start() }},
	{"kill", func(w *world) { w.kill(); w.start() }},
	{"downtime", func(w *world) {
		if w.chance(0.5) {
			w.kill()
		} else {
			w.stop()
		}
		down := w.between(10*time.Minute, 30*time.Hour)
		if w.chance(0.2) {
			down = w.between(30*time.Hour, 6*24*time.Hour)
		}
		w.pass(min(down, max(time.Until(w.end)-time.Hour, time.Minute)))
		w.start()
	}},
	{"regroup", func(w *world) {
		if !w.reshapes {
			return
		}
		former := w.settings.groupBy
		w.settings.groupBy = [][]string{{"project_id", "model"}, {"project_id"}, {"model"}, {"project_id", "model", "user_id"}}[w.rng.IntN(4)]
		w.reload()
		if w.chance(0.4) { // And back, while answers are under way perhaps.
			w.pass(w.between(0, 5*time.Second))
			w.settings.groupBy = former
			w.reload()
		}
	}},
	{"costs", func(w *world) {
		w.settings.costs, w.returned = !w.settings.costs, true
		w.reload()
	}},
	{"endpoint", func(w *world) {
		all := w.endpoints
		w.returned = true
		w.endpoints = slices.Delete(slices.Clone(all), 1, 2)
		w.reload()
		w.pass(w.between(time.Minute, 30*time.Hour))
		w.endpoints = all
		w.reload()
	}},
	{"organization", func(w *world) {
		o := w.organizations[1]
		o.removed, w.returned = !o.removed, true
		w.reload()
	}},
	{"faults", func(w *world) {
		o := w.organization()
		o.sim.SetFaults(simulator.Faults{Throttle: 0.1, ServerError: 0.1, Gateway: 0.05, Torn: 0.05, Reset: 0.05, Latency: 2 * time.Second, RetryAfter: w.between(time.Second, 20*time.Minute)})
		w.pass(w.between(time.Minute, 6*time.Hour))
		o.sim.SetFaults(o.faults)
	}},
	{"outage", func(w *world) {
		o := w.organization()
		o.sim.SetFaults(simulator.Faults{ServerError: 1})
		w.pass(w.between(10*time.Minute, 40*time.Hour))
		o.sim.SetFaults(o.faults)
	}},
	{"missing", func(w *world) {
		o, until := w.organization(), time.Now().Add(w.between(10*time.Minute, 20*time.Hour))
		o.api.change(func() { o.api.refused[w.endpoint()] = until })
	}},
	{"hole", func(w *world) {
		o := w.organization()
		// After three in a row the rest is taken, and what is old and missing is given up.
		o.api.change(func() { o.api.holes[w.endpoint()] = 1 + w.rng.IntN(2) })
	}},
	{"empty", func(w *world) {
		o, until := w.organization(), time.Now().Add(w.between(time.Minute, 3*time.Hour))
		o.api.change(func() {
			o.api.empty[w.endpoint()] = until
			if w.chance(0.3) {
				o.api.empty["costs"] = until
			}
		})
	}},
	{"date", func(w *world) {
		o := w.organization()
		o.api.change(func() {
			o.api.wrongDate, o.api.gateway = w.between(10*time.Minute, 9000*time.Hour), w.chance(0.5)
			if w.chance(0.5) {
				o.api.wrongDate = -o.api.wrongDate
			}
		})
	}},
}

// happen lets the next thing happen.
func (w *world) happen() {
	w.events++
	e := events[w.rng.IntN(len(events))]
	former := w.rng
	w.rng = source(w.seed, uint64(w.events))
	defer func() { w.rng = former }()
	if w.skip[e.name] || len(w.only) > 0 && !w.only[e.name] {
		return
	}
	w.occurred[e.name]++
	e.do(w)
	w.note("event %d %s %s", w.events, e.name, w.settings)
}

func (w *world) organization() *organization {
	return w.organizations[w.rng.IntN(len(w.organizations))]
}

func (w *world) endpoint() string { return w.endpoints[w.rng.IntN(len(w.endpoints))] }
