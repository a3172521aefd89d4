//go:build !race

package simulation_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

var apiEvents = []event{
	{"faults", func(w *world) {
		part := func() float64 { return w.rng.Float64() * 0.1 }
		w.suffer(simulator.Faults{
			Throttle: part(), ServerError: part(), Gateway: part(), Empty: part(), Torn: part(), Reset: part(), Slow: part(),
			RetryAfter: w.duration(time.Second, time.Minute, 20*time.Minute), Delay: w.duration(5*time.Second, 20*time.Second, time.Minute), Endpoints: w.concerned(),
		}, w.between(10*time.Minute, 12*time.Hour))
	}},
	{"outage", func(w *world) {
		f := simulator.Faults{Endpoints: w.concerned(), RetryAfter: w.duration(time.Second, time.Hour)}
		*[]*float64{&f.ServerError, &f.Reset, &f.Gateway, &f.Throttle, &f.Torn, &f.Empty}[w.rng.IntN(6)] = 1
		long := 5 * time.Hour
		if w.chance(0.3) {
			long = 100 * time.Hour
		}
		w.suffer(f, w.between(20*time.Minute, long))
	}},
	{"latency", func(w *world) {
		w.suffer(simulator.Faults{Latency: w.between(time.Second, 40*time.Second)}, w.between(10*time.Minute, 5*time.Hour))
	}},
	{"missing", func(w *world) {
		o, e, d := w.organization(), w.endpoint(), w.between(10*time.Minute, 20*time.Hour)
		o.api.change(func() { o.api.refused[e] = w.now().Add(d) })
		w.ail(o, "missing", d, func() {})
	}},
	{"hole", func(w *world) {
		o, e := w.organization(), w.endpoint()
		o.api.change(func() { o.api.holes[e] = 1 + w.rng.IntN(7) }) // The third in a row is believed.
		w.ail(o, "hole", 3*time.Hour, func() { o.api.change(func() { clear(o.api.holes) }) })
	}},
	{"empty", func(w *world) {
		o, e, d := w.organization(), w.endpoint(), w.between(time.Minute, 3*time.Hour)
		if w.chance(0.3) {
			e = api.Costs
		}
		o.api.change(func() { o.api.empty[e] = w.now().Add(d) })
		w.ail(o, "empty", d, func() {})
	}},
	// Old hours are no longer known, so audits and what is read after a downtime are refused until they are given up.
	{"old", func(w *world) {
		o, e := w.organization(), w.endpoint()
		if w.chance(0.8) {
			return // What is given up is not counted, so seeds that have it are not held to the last token.
		}
		o.gaveUp = true
		o.api.change(func() { o.api.forgotten[e] = w.between(20*time.Hour, 60*time.Hour) })
		w.ail(o, "old", w.between(time.Hour, 60*time.Hour), func() { o.api.change(func() { clear(o.api.forgotten) }) })
	}},
	{"date", func(w *world) {
		o := w.organization()
		wrong, gateway := w.between(10*time.Minute, 9000*time.Hour), w.chance(0.5)
		if w.chance(0.5) {
			wrong = -wrong
		}
		o.api.change(func() { o.api.wrongDate, o.api.gateway = wrong, gateway })
		w.ail(o, "date", 3*time.Hour, func() {})
	}},
	// The machine's clock steps back, or the API's ahead, which looks the same from here.
	{"clock", func(w *world) {
		d := w.duration(w.between(time.Second, time.Minute), w.between(time.Minute, time.Hour), w.between(time.Hour, 30*time.Hour))
		w.offset.Add(int64(d))
		w.stepped = time.Now()
		w.note("the clocks are %s apart", time.Duration(w.offset.Load()))
	}},
	{"key", func(w *world) {
		o := w.organization()
		fresh := fmt.Sprintf("sk-admin-%s-%d", o.name, w.events)
		first, second := w.between(0, 2*time.Hour), w.between(0, 2*time.Hour)
		o.key = fresh
		w.after(first, func() { w.writeKey(o) })
		w.after(second, func() { o.sim.SetAdminKey(o.key) })
		w.ail(o, "key", max(first, second)+time.Second, func() {
			w.writeKey(o)
			o.sim.SetAdminKey(o.key)
		})
	}},
	{"scope", func(w *world) {
		o := w.organization()
		o.sim.SetKeysWithoutScope(o.key)
		w.ail(o, "scope", w.between(10*time.Minute, 5*time.Hour), func() { o.sim.SetKeysWithoutScope() })
	}},
	{"reject", func(w *world) {
		if !w.reshapes {
			return
		}
		o, e := w.organization(), w.endpoint()
		if w.chance(0.2) {
			e = api.Costs
		}
		at, _ := api.Find(e)
		d := at.Dimensions[w.rng.IntN(len(at.Dimensions))].Name
		if w.chance(0.2) {
			d += "+" + at.Dimensions[w.rng.IntN(len(at.Dimensions))].Name
		}
		w.note("%s refuses to group %s by %s", o.name, e, d)
		o.sim.SetRejectGroupBy(e, d)
		w.ail(o, "reject", w.between(time.Minute, 30*time.Hour), func() {
			for i := range api.Endpoints {
				o.sim.SetRejectGroupBy(api.Endpoints[i].Name)
			}
			o.rejected = time.Now()
		})
	}},
	{"spelling", func(w *world) {
		o := w.organization()
		o.sim.SetResultKey(w.pick("result", "results"))
		o.sim.SetStringAmounts(w.chance(0.5))
		lists := w.rng.IntN(5)
		o.api.change(func() { o.api.lists = lists })
	}},
	{"mangled", func(w *world) {
		o, e, d := w.organization(), w.endpoint(), w.between(10*time.Minute, 6*time.Hour)
		if w.chance(0.3) {
			e = api.Costs
		}
		m := manglings[w.rng.IntN(len(manglings))]
		w.note("%s %s: %s for %s", o.name, e, m.name, d)
		o.api.change(func() { o.api.mangled[e] = mangling{w.now().Add(d), m.do} })
		w.ail(o, "mangled", d, func() {})
	}},
	// The Date of every answer is wrong for hours, as that of servers whose clock nobody sets.
	{"drift", func(w *world) {
		o := w.organization()
		drift, d := w.duration(w.between(31*time.Second, 10*time.Minute), w.between(10*time.Minute, 90*time.Minute), w.between(90*time.Minute, 120*time.Hour)), w.between(10*time.Minute, 5*time.Hour)
		if w.chance(0.5) {
			drift = -drift
		}
		w.note("%s is %s off for %s", o.name, drift, d)
		o.api.change(func() { o.api.drift, o.api.driftsTill = drift, w.now().Add(d) })
		w.ail(o, "date", d+3*time.Hour, func() {})
	}},
	// The key of another organization comes into the file. Only what names projects can be told from it.
	{"foreign", func(w *world) {
		o, other := w.organizations[0], w.organizations[1]
		if w.chance(0.5) {
			o, other = other, o
		}
		if !slices.Contains(w.settings.groupBy, "project_id") || w.reshapes || !w.oracle.told(o, other) {
			return
		}
		w.note("the key of %s comes into the file of %s", other.name, o.name)
		o.api.change(func() { o.api.another, o.api.condemned, o.api.unsure = other.api, time.Time{}, false })
		w.putKey(o, other.key)
		if w.chance(0.5) && w.running != nil && other.troubles["key"]+other.troubles["foreign"] == 0 {
			w.oneKey(o, other)
		}
		w.ail(o, "foreign", w.between(10*time.Minute, 20*time.Hour), func() {
			// The right key comes back, a new one, which ends all waiting.
			o.api.change(func() { o.api.another = nil })
			o.key += "x"
			w.writeKey(o)
			o.sim.SetAdminKey(o.key)
		})
	}},
}

// oneKey reloads the configuration while two organizations have one key, which is warned of.
func (w *world) oneKey(o, other *organization) {
	from := w.log.Len()
	w.reload()
	later, earlier := w.organizations[1], w.organizations[0]
	if w.settings.reversed {
		later, earlier = earlier, later
	}
	if want := fmt.Sprintf(`organization \"%s\": has the key of organization \"%s\"`, later.name, earlier.name); !strings.Contains(w.log.String()[from:], want) {
		w.fault("%s has the key of %s, and nobody is warned", o.name, other.name)
	}
}

// concerned are the endpoints that something befalls; none means all.
func (w *world) concerned() []string {
	switch w.rng.IntN(3) {
	case 0:
		return []string{w.endpoint()}
	case 1:
		return []string{api.Costs}
	}
	return nil
}

// suffer has an organization suffer faults for a while.
func (w *world) suffer(f simulator.Faults, d time.Duration) {
	o := w.organization()
	w.note("%s: %+v for %s", o.name, f, d)
	o.sim.SetFaults(f)
	w.ail(o, "faults", d, func() { o.sim.SetFaults(o.faults) })
}

// ail notes that something is wrong with an organization's API for a while, and ends it when the last of its kind is over.
func (w *world) ail(o *organization, kind string, d time.Duration, end func()) {
	o.troubles[kind]++
	w.after(d, func() {
		if o.troubles[kind]--; o.troubles[kind] <= 0 {
			delete(o.troubles, kind)
			end()
			w.note("%s: no more %s", o.name, kind)
		}
		if len(o.troubles) == 0 {
			o.well = time.Now()
		}
	})
}
