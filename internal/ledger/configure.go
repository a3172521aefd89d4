package ledger

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-kit/log/level"
)

// Configure says which feeds there are from now on, and returns them in the order of the options. Feeds that are no
// longer named are forgotten; their state on disk stays for a while, so that they can return. Either all of it takes
// effect or, on an error, nothing.
func (l *Ledger) Configure(settings Settings, options []FeedOptions) ([]*Feed, error) {
	defer l.write()()
	before := make(map[string]*Feed, len(l.feeds))
	for _, f := range l.feeds {
		before[f.name] = f
	}
	options = slices.Clone(options)
	for i := range options {
		options[i].GroupBy = options[i].Endpoint.GroupBy(options[i].GroupBy)
	}
	feeds, err := l.feedsFor(options, before, settings)
	if err != nil {
		return nil, err
	}
	var stages []*stage
	for i, f := range feeds {
		delete(before, f.name)
		if st := f.returns(f.reshape(options[i])); st != nil {
			stages = append(stages, st)
		}
	}
	if err := l.commit(stages); err != nil {
		return nil, err
	}
	first := l.feeds == nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settings, l.feeds = settings, feeds
	for _, f := range before {
		f.gone = true // Its pollers are stopped only after this.
		if f.meta.Foreign {
			l.cleared[f.name] = false
		}
	}
	l.own = make(map[string]*organization, len(l.own))
	clear(l.holding)
	for i, f := range feeds {
		f.configure(options[i])
		f.place = i
		delete(l.cleared, f.name)
		name := options[i].Organization
		if l.own[name] == nil {
			l.own[name] = &organization{place: len(l.own)}
		}
		l.own[name].feeds = append(l.own[name].feeds, f)
	}
	maps.DeleteFunc(l.accused, func(name string, _ bool) bool { return l.own[name] == nil })
	maps.DeleteFunc(l.proven, func(name string, _ uint64) bool { return l.own[name] == nil })
	for _, st := range stages {
		st.install()
	}
	if first {
		l.awaitVerdicts()
	}
	l.publishAll()
	return slices.Clone(feeds), nil
}

// feedsFor are the feeds of options: those that there are, and the others from disk, where all processors load them.
func (l *Ledger) feedsFor(options []FeedOptions, before map[string]*Feed, settings Settings) ([]*Feed, error) {
	feeds, found, errs := make([]*Feed, len(options)), make([]bool, len(options)), make([]error, len(options))
	var missing []int
	for i, o := range options {
		if feeds[i] = before[feedName(o.Organization, o.Endpoint.Name)]; feeds[i] == nil {
			missing = append(missing, i)
		}
	}
	var next atomic.Int64
	var failed atomic.Bool
	var loading sync.WaitGroup
	for range min(len(missing), runtime.GOMAXPROCS(0)) {
		loading.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(missing)) && !failed.Load(); n = next.Add(1) - 1 {
				i := missing[n]
				o := options[i]
				feeds[i], found[i], errs[i] = l.loadFeed(feedName(o.Organization, o.Endpoint.Name), o, settings)
				if errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	loading.Wait()
	for _, i := range missing {
		if errs[i] != nil { // The first one: those before it were begun before it, and are through.
			return nil, errs[i]
		}
	}
	for _, i := range missing {
		l.loaded(feeds[i], found[i])
	}
	return feeds, nil
}

// loaded says what is to be said of a feed from disk.
func (l *Ledger) loaded(f *Feed, found bool) {
	if !found {
		delete(l.cleared, f.name) // Without a record nothing could withdraw the verdict.
	}
	if o := &f.options; found && f.meta.Begun && o.CountersStartText != "" && f.meta.CountersStart != o.CountersStartText {
		level.Info(l.logger).Log("msg", "A changed counters.start has no effect on existing state", "organization", o.Organization, "endpoint", o.Endpoint.Name, "configured", o.CountersStartText, "started_with", f.meta.CountersStart)
	}
}
