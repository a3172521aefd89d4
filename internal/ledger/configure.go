package ledger

import (
	"maps"
	"slices"
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
	feeds := make([]*Feed, len(options))
	var stages []*stage
	for i := range options {
		o := &options[i]
		o.GroupBy = o.Endpoint.GroupBy(o.GroupBy)
		name := feedName(o.Organization, o.Endpoint.Name)
		f := before[name]
		if f == nil {
			var err error
			if f, err = l.loadFeed(name, *o, settings); err != nil {
				return nil, err
			}
		}
		feeds[i] = f
		delete(before, name)
		if st := f.returns(f.reshape(*o)); st != nil {
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
