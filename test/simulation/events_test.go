//go:build !race

package simulation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/config"
)

// An event is one kind of thing that happens. Every one draws from a source of its own, so that leaving one out changes
// no other: that is how a failing seed is made small.
type event struct {
	name string
	do   func(w *world)
}

// events are what happens to the exporter, and apiEvents what happens to the API.
var events = slices.Concat([]event{
	{"lookback", func(w *world) {
		w.settings.lookback = w.duration(10*time.Minute, 30*time.Minute, time.Hour, 5*time.Hour, 9*time.Hour)
		w.reload()
	}},
	{"window", func(w *world) {
		w.settings.auditWindow = w.duration(72*time.Hour, 72*time.Hour, 100*time.Hour, 168*time.Hour)
		w.settings.auditInterval = w.duration(time.Hour, 4*time.Hour, 8*time.Hour)
		w.reload()
	}},
	// A lookback beyond the former audit window reaches hours that are no longer on record.
	{"grow", func(w *world) {
		former := w.settings
		w.settings.lookback, w.settings.auditWindow, w.settings.interval = 80*time.Hour+w.between(0, 16*time.Hour), 168*time.Hour, 3*time.Hour
		w.reload()
		w.after(w.between(time.Hour, 7*time.Hour), func() {
			w.settings.lookback, w.settings.interval = former.lookback, former.interval
			w.reload()
		})
	}},
	{"width", func(w *world) {
		w.tell(map[string]string{"1m": "1h", "1h": "1m"}[w.settings.width])
		w.reload()
	}},
	{"interval", func(w *world) {
		w.settings.interval = w.duration(10*time.Minute, 30*time.Minute, 50*time.Minute, 2*time.Hour)
		w.settings.costsInterval = w.duration(30*time.Minute, time.Hour, 4*time.Hour)
		w.settings.costsLookback = w.duration(96*time.Hour, 120*time.Hour, 168*time.Hour)
		w.reload()
	}},
	{"hold", func(w *world) {
		w.settings.zeroHold = w.duration(0, time.Minute, 10*time.Minute)
		w.reload()
	}},
	{"fold", func(w *world) {
		w.settings.labelSets = []int{1, 2, 3, 5, 8, 12, 20000, 20000}[w.rng.IntN(8)]
		w.reload()
	}},
	{"order", func(w *world) {
		w.settings.reversed = w.chance(0.5)
		w.settings.requests = []int{6, 12, 60, 6000}[w.rng.IntN(4)]
		w.settings.names, w.settings.learn = w.chance(0.1) && !w.constant, w.chance(0.5) && !w.constant
		w.reload()
	}},
	{"idle", func(w *world) {
		w.settings.idle = w.duration(800*time.Hour, 840*time.Hour, 2000*time.Hour)
		w.reload()
	}},
	// Where counting starts is decided once.
	{"start", func(w *world) {
		if !w.oracle.begun() {
			return
		}
		w.settings.start = w.pick("now", "today", "month", w.first().Truncate(24*time.Hour).Format(time.RFC3339))
		w.monthly = w.monthly || w.settings.start == "month"
		w.reload()
	}},
	{"prices", func(w *world) {
		if w.constant {
			return
		}
		if w.settings.prices = ""; w.chance(0.7) {
			w.settings.prices = filepath.Join(w.dir, fmt.Sprintf("prices-%d.json", w.events))
			var models []string
			for _, name := range []string{"gpt-5.6-sol", "gpt-5.6-luna", "gpt-5.4-nano-2026-03-17", "gpt-5-mini-2025-08-07", "text-embedding-3-small"} {
				models = append(models, fmt.Sprintf(`{"id": %q, "match": {"equals": %q}, "prices": {"input_mtok": %d, "output_mtok": %d}}`, name, name, w.rng.IntN(20), w.rng.IntN(80)))
			}
			w.must(os.WriteFile(w.settings.prices, []byte(`[{"id": "openai", "models": [`+strings.Join(models, ",")+`]}]`), 0o600))
		}
		w.reload()
	}},
	{"period", func(w *world) {
		w.settings.period = w.pick("", "quarter", "year")
		w.reload()
	}},
	{"storm", func(w *world) {
		for range 1 + w.rng.IntN(5) {
			w.settings.interval += time.Second // Everything is polled at once.
			w.reload()
			w.pass(w.between(0, 3*time.Second))
		}
	}},
	{"nonsense", func(w *world) {
		if w.running != nil {
			former := w.settings.width
			w.settings.width = "1y"
			if _, err := config.Parse("config.yml", []byte(w.yaml())); err == nil || w.running.Reload(w.t.Context()) == nil {
				w.fault("a configuration that makes no sense is taken")
			}
			w.settings.width = former
		}
	}},
	{"restart", func(w *world) {
		if w.sound() {
			w.stop()
			w.start()
		}
	}},
	{"kill", func(w *world) {
		if w.sound() {
			w.kill()
			w.start()
		}
	}},
	{"power", func(w *world) {
		if w.sound() && w.cutPower() {
			w.start()
		}
	}},
	{"downtime", func(w *world) {
		if !w.sound() {
			return
		}
		if w.chance(0.5) {
			w.kill()
		} else {
			w.stop()
		}
		down := w.between(10*time.Minute, 30*time.Hour)
		if w.chance(0.2) {
			down = w.between(30*time.Hour, 9*24*time.Hour) // More than one page of hours to catch up with.
		}
		w.after(down, func() {
			if w.running == nil {
				w.start()
			}
		})
	}},
	{"disk", func(w *world) {
		if w.sound() {
			w.breakDisk()
			w.after(w.between(5*time.Minute, 6*time.Hour), w.repairDisk)
		}
	}},
	{"removed", func(w *world) {
		if w.sound() {
			w.must(os.Remove(w.state()))
			w.oracle.recovered = time.Now().Add(4 * time.Hour) // The next commit only makes it again, and may be as far away.
		}
	}},
	{"regroup", func(w *world) {
		if !w.reshapes {
			return
		}
		former := w.settings.groupBy
		w.settings.groupBy = w.grouping()
		w.reload()
		if w.chance(0.4) { // And back, while answers are under way perhaps.
			w.pass(w.between(0, 5*time.Second))
			w.settings.groupBy = former
			w.reload()
		}
	}},
	{"regroup costs", func(w *world) {
		if w.reshapes {
			w.settings.costsGroupBy = [][]string{{"project_id", "line_item"}, {"line_item"}, {"project_id"}}[w.rng.IntN(3)]
			w.reload()
		}
	}},
	{"costs", func(w *world) {
		if w.settings.costs && len(w.settings.off) == 0 {
			w.settings.costs = false
			w.reload()
			w.after(w.between(time.Second, 60*time.Hour), func() {
				w.settings.costs, w.billing = true, time.Now()
				w.reload()
			})
		}
	}},
	{"endpoint", func(w *world) {
		if e := w.endpoint(); !w.settings.off[e] && w.settings.costs {
			w.settings.off[e] = true
			w.reload()
			w.after(w.between(0, 30*time.Hour), func() {
				delete(w.settings.off, e)
				w.reload()
			})
		}
	}},
	{"organization", func(w *world) {
		if o := w.organizations[1]; !o.removed {
			o.removed = true
			w.reload()
			w.after(w.between(0, 60*time.Hour), func() {
				o.removed, o.well = false, time.Now() // What was found out about it before stands until its bill is read.
				w.reload()
			})
		}
	}},
}, ambushEvents, apiEvents)

// atFirst is what may be wrong with the API before the exporter has read anything. A start that lies ahead of the machine's
// clock is refused, so that one is as it is.
var atFirst = slices.DeleteFunc(slices.Clone(apiEvents), func(e event) bool { return e.name == "clock" })

// happen lets the next thing happen, which is one of some kinds.
func (w *world) happen(kinds []event) {
	w.events++
	former := w.rng
	w.rng = source(w.seed, 1000+uint64(w.events))
	defer func() { w.rng = former }()
	if len(w.only) > 0 {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(e event) bool { return !w.only[e.name] })
	}
	if len(kinds) == 0 {
		return
	}
	e := kinds[w.rng.IntN(len(kinds))]
	if w.omit[w.events] || w.skip[e.name] {
		return
	}
	w.lived.occurred = append(w.lived.occurred, occurrence{w.events, e.name})
	w.note("event %d %s", w.events, e.name)
	e.do(w)
	w.note("after event %d: %s", w.events, &w.settings)
}

func (w *world) organization() *organization {
	return w.organizations[w.rng.IntN(len(w.organizations))]
}

func (w *world) endpoint() string { return w.endpoints[w.rng.IntN(len(w.endpoints))] }
