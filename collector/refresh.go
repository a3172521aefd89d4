package collector

import (
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/prometheus/common/version"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A reader turns what the ledger, the look-ups, the books, the scheduler and the observer show into pages. It remembers
// what it has translated and does again only what has changed since. One goroutine at a time may use it.
type reader struct {
	*Collector
	desk *desk

	view      *ledger.View
	day, hour time.Time
	feeds     map[origin]*feed
	byName    map[string][]*ledger.FeedView // the view's feeds by organization
	reported  map[string][]*ledger.FeedView // of which the books have said what they mean
	snapshot  *directory.Snapshot
	lookedUp  map[string]*directory.Organization
	limited   map[string][]*ledger.FeedView // of which the rate limits were chosen
	statuses  []fetcher.Status
	polled    map[origin]bool
}

func newReader(c *Collector) *reader {
	return &reader{Collector: c, desk: newDesk(), feeds: make(map[origin]*feed), lookedUp: make(map[string]*directory.Organization)}
}

// show translates what add adds and puts it on the page in place of what the origin has shown before.
func (r *reader) show(s origin, add func(*families)) {
	fs := newFamilies(r.table)
	fs.room = r.desk.runs[s.kind][s]
	add(fs)
	r.desk.put(s, fs.finish())
}

// read returns the page of now.
func (r *reader) read() *page {
	now := r.options.Now()
	view, day, hour := r.options.Views.View(), startOfDay(now), now.Truncate(time.Hour)
	changed := view != r.view
	if view != nil {
		if changed {
			r.byName = make(map[string][]*ledger.FeedView, len(view.Organizations))
			for _, f := range view.Feeds {
				r.byName[f.Organization] = append(r.byName[f.Organization], f)
			}
		}
		if changed || !day.Equal(r.day) {
			r.readFeeds(view, day)
		}
		if r.options.Books != nil && (changed || !hour.Equal(r.hour)) {
			r.readBooks(view, now)
		}
	}
	r.view, r.day, r.hour = view, day, hour
	r.readChanges()
	if r.options.Directory != nil {
		r.readLookups(changed)
	}
	r.readStatuses()
	r.readWork()
	return r.desk.finish()
}

// readFeeds translates the feeds that are others than before, and the bill when the day has turned.
func (r *reader) readFeeds(v *ledger.View, day time.Time) {
	there := make(map[origin]bool, len(v.Feeds))
	series := make(map[string]int)
	for _, f := range v.Feeds {
		s := origin{f.Organization, f.Endpoint.Name, data}
		there[s] = true
		state := r.feeds[s]
		if state == nil {
			state = new(feed)
			r.feeds[s] = state
		}
		if state.view != f || f.Endpoint.IsCosts() && !day.Equal(r.day) {
			r.show(s, func(fs *families) { fs.expose(f, day, state) })
			state.view, state.stale = f, true
		}
		series[f.Organization] += state.series
	}
	r.desk.keep(data, there)
	for s := range r.feeds {
		if !there[s] {
			delete(r.feeds, s)
			r.desk.put(origin{s.organization, s.endpoint, accuracy}, nil)
		}
	}
	organizations := make(map[origin]bool, len(v.Organizations))
	for i := range v.Organizations {
		o := &v.Organizations[i]
		s := origin{organization: o.Name, kind: fullness}
		organizations[s] = true
		r.show(s, func(fs *families) { fs.fullness(o, series[o.Name]) })
	}
	r.desk.keep(fullness, organizations)
}

// readChanges shows what has happened to numbers that were read before.
func (r *reader) readChanges() {
	now, hold := time.Now(), r.hold()
	for s, state := range r.feeds {
		if !state.births.over(now) && !state.stale {
			continue
		}
		state.stale = false
		r.show(origin{s.organization, s.endpoint, accuracy}, func(fs *families) {
			fs.changes(state.view, timestamp(r.started), func(name string, value float64) (float64, bool) {
				return state.births.shown(name, value, now, hold)
			})
		})
	}
}

// readBooks shows what the books say of the organizations that have changed. They say another thing of all when the hour
// turns: a forecast that nothing feeds any more still has to see the days go by.
func (r *reader) readBooks(v *ledger.View, now time.Time) {
	turned := !now.Truncate(time.Hour).Equal(r.hour)
	changed := &ledger.View{Generation: v.Generation}
	there := make(map[origin]bool, len(v.Organizations))
	for _, o := range v.Organizations {
		there[origin{organization: o.Name, kind: money}] = true
		if feeds := r.byName[o.Name]; turned || !slices.Equal(feeds, r.reported[o.Name]) {
			changed.Organizations = append(changed.Organizations, o)
			changed.Feeds = append(changed.Feeds, feeds...)
		}
	}
	reports := r.options.Books.Report(changed, now)
	for i := range reports {
		r.show(origin{organization: reports[i].Name, kind: money}, func(fs *families) { fs.money(&reports[i]) })
	}
	r.desk.keep(money, there)
	r.reported = r.byName
}

// readLookups shows what the look-ups have found, and the rate limits of what is in use.
func (r *reader) readLookups(viewed bool) {
	snapshot := r.options.Directory.Snapshot()
	looked := snapshot != r.snapshot
	if r.snapshot = snapshot; !looked && !viewed {
		return
	}
	there, limited := make(map[origin]bool), make(map[origin]bool)
	for _, o := range snapshot.Organizations {
		s, l := origin{organization: o.Name, kind: lookups}, origin{organization: o.Name, kind: limiting}
		there[s], limited[l] = true, true
		if r.lookedUp[o.Name] != o {
			r.lookedUp[o.Name] = o
			r.show(s, func(fs *families) { fs.lookups(o) })
		} else if slices.Equal(r.byName[o.Name], r.limited[o.Name]) {
			continue
		}
		r.show(l, func(fs *families) { fs.limits(o, r.byName[o.Name]) })
	}
	r.desk.keep(lookups, there)
	r.desk.keep(limiting, limited)
	r.limited = r.byName
	for name := range r.lookedUp {
		if !there[origin{organization: name, kind: lookups}] {
			delete(r.lookedUp, name)
		}
	}
}

// readStatuses shows where the endpoints stand.
func (r *reader) readStatuses() {
	statuses := r.options.Statuses.Status()
	same := slices.EqualFunc(statuses, r.statuses, func(a, b fetcher.Status) bool { return a.Organization == b.Organization && a.Endpoint == b.Endpoint })
	for i := range statuses {
		st := &statuses[i]
		if same && r.statuses[i].State == st.State && r.statuses[i].LastSuccess.Equal(st.LastSuccess) {
			continue
		}
		r.show(origin{st.Organization, st.Endpoint, status}, func(fs *families) { fs.status(st) })
		if same {
			r.statuses[i] = *st
		}
	}
	if same {
		return
	}
	r.statuses = slices.Clone(statuses)
	there, polled := make(map[origin]bool, len(statuses)), make(map[origin]bool, len(statuses))
	for i := range statuses {
		there[origin{statuses[i].Organization, statuses[i].Endpoint, status}] = true
		polled[origin{statuses[i].Organization, statuses[i].Endpoint, activity}] = true
	}
	r.desk.keep(status, there)
	r.observed.follow(polled)
	r.polled = polled
	r.desk.keep(activity, polled)
}

// readWork shows what the exporter has done.
func (r *reader) readWork() {
	o := r.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	now, hold, started := time.Now(), r.hold(), timestamp(r.started)
	for s, w := range o.held {
		if w.births.over(now) {
			o.changed[s] = w
		}
	}
	for s, w := range o.changed {
		if !r.polled[s] {
			delete(o.endpoints, s) // A poll that was under way when a reload took the endpoint away.
			delete(o.held, s)
			continue
		}
		r.show(s, func(fs *families) { w.expose(fs, s, started, now, hold) })
		if delete(o.held, s); !w.births.due.IsZero() {
			o.held[s] = w
		}
	}
	clear(o.changed)
	if r.options.StateBytes != nil {
		if n := r.options.StateBytes(); n != o.process.stateBytes {
			o.process.stateBytes, o.process.changed = n, true
		}
	}
	if o.process.changed {
		o.process.changed = false
		r.show(origin{kind: process}, func(fs *families) {
			o.process.expose(fs, started)
			r.describe(fs)
		})
	}
}

// describe adds what this process is.
func (r *reader) describe(fs *families) {
	labels := fs.labels(nil, nil)
	if r.options.StateBytes != nil {
		fs.gauge(fs.family(metrics.StateBytes), labels, float64(r.observed.process.stateBytes))
	}
	// Both are there without sharding too, so that a query that holds the replicas against each other needs no second case.
	fs.gauge(fs.family(metrics.ShardIndex), labels, float64(r.options.Shard))
	fs.gauge(fs.family(metrics.ShardCount), labels, float64(max(r.options.Shards, 1)))
	fs.gauge(fs.family(metrics.BuildInfo), fs.labels(nil, filled(
		"version", version.Version, "revision", version.GetRevision(), "branch", version.Branch, "goversion", version.GoVersion,
		"goos", version.GoOS, "goarch", version.GoArch, "tags", version.GetTags(),
	)), 1)
}

// hold is how long a step is shown as zero first.
func (r *reader) hold() time.Duration {
	if r.options.ZeroHold == nil {
		return 0
	}
	return r.options.ZeroHold()
}
