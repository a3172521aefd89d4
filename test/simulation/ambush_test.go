//go:build !race

package simulation_test

import (
	"slices"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// An ambush is a reload that comes while a read waits to be booked. The read goes on when the ledger has the new
// configuration, and the polling has still the former one.
type ambush struct {
	met  chan *book // whose read waits
	on   func()     // lets it go on
	goes chan struct{}
	done chan struct{} // closed when it was booked or refused
}

func newAmbush() *ambush {
	a := &ambush{met: make(chan *book, 1), goes: make(chan struct{}), done: make(chan struct{})}
	a.on = sync.OnceFunc(func() { close(a.goes) })
	return a
}

// wait has the next read wait, and returns whose it is, or nil if none came in a while.
func (w *world) wait() *ambush {
	a := newAmbush()
	w.oracle.mu.Lock()
	w.ambush = a
	w.oracle.mu.Unlock()
	select {
	case <-time.After(3 * time.Hour):
	case b := <-a.met:
		a.met <- b
		return a
	}
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	if w.ambush == nil {
		return a // It has come in this instant.
	}
	w.ambush = nil
	return nil
}

// meet has a read wait where one is waited for. What it returns says that it has been booked.
func (o *oracle) meet(b *book) (done func()) {
	o.mu.Lock()
	a := o.w.ambush
	o.w.ambush = nil
	o.mu.Unlock()
	if a == nil {
		return func() {}
	}
	a.met <- b
	<-a.goes
	return func() { close(a.done) }
}

// pounce reloads the configuration while the read of the ambush waits.
func (w *world) pounce(a *ambush) {
	w.oracle.mu.Lock()
	w.oracle.waiting = a
	w.oracle.mu.Unlock()
	w.reload()
	w.oracle.mu.Lock()
	w.oracle.waiting = nil
	w.oracle.mu.Unlock()
	a.on()
	<-a.done
}

// surprise changes something that concerns whose read waits.
func (w *world) surprise(b *book) {
	o, e := b.organization, b.endpoint.Name
	later := w.between(0, 30*time.Hour)
	back := func(do func()) {
		w.after(later, func() {
			do()
			w.reload()
		})
	}
	kind := w.rng.IntN(5)
	switch {
	case kind == 0 && o == w.organizations[1]:
		o.removed = true
		back(func() { o.removed = false })
	case kind <= 1 && e == api.Costs && len(w.settings.off) == 0:
		w.settings.costs = false
		back(func() { w.settings.costs = true })
	case kind <= 1 && w.settings.costs && e != api.Costs:
		w.settings.off[e] = true
		back(func() { delete(w.settings.off, e) })
	case kind == 2 && w.reshapes:
		former := w.settings.groupBy
		w.settings.groupBy = w.grouping()
		back(func() { w.settings.groupBy = former })
	case kind == 3:
		w.tell(map[string]string{"1m": "1h", "1h": "1m"}[w.settings.width])
	default:
		former := w.settings.lookback
		w.settings.lookback = w.between(2*time.Hour, 9*time.Hour).Truncate(time.Minute)
		back(func() { w.settings.lookback = former })
	}
	w.note("a read of %s %s waits", o.name, e)
}

var ambushEvents = []event{
	{"ambush", func(w *world) {
		if w.running == nil || w.settings.off == nil || slices.ContainsFunc(w.organizations, func(o *organization) bool { return o.removed }) {
			return
		}
		w.repairDisk()
		if a := w.wait(); a != nil {
			w.surprise(<-a.met)
			w.pounce(a)
		}
	}},
	// The first reads of another shape have a hole, and reach further back than those before.
	{"seam", func(w *world) {
		o, e, former := w.organization(), w.endpoint(), w.settings
		o.api.change(func() { o.api.holes[e] = 1 + w.rng.IntN(7) })
		w.ail(o, "hole", 3*time.Hour, func() { o.api.change(func() { clear(o.api.holes) }) })
		if w.reshapes {
			w.settings.groupBy = w.grouping()
		}
		if w.chance(0.3) {
			w.tell(w.pick("1m", "1h"))
		}
		w.settings.lookback, w.settings.auditWindow, w.settings.interval = w.duration(w.between(3*time.Hour, 9*time.Hour), w.between(70*time.Hour, 90*time.Hour)), 168*time.Hour, 2*time.Hour
		w.reload()
		w.after(w.between(time.Hour, 7*time.Hour), func() {
			w.settings.lookback, w.settings.interval = former.lookback, former.interval
			w.reload()
		})
	}},
}
