package ledger

import "slices"

// publish makes the present state of feeds visible. The rest of the view is taken over from the one before.
func (l *Ledger) publish(changed []*Feed) {
	before := l.view.Load()
	v := &View{Generation: before.Generation + 1, Feeds: slices.Clone(before.Feeds), Organizations: slices.Clone(before.Organizations)}
	for _, f := range changed {
		f.show()
		v.Feeds[f.place] = f.shown
		l.showOrganization(v, f.options.Organization)
		l.hold(f)
	}
	l.view.Store(v)
}

// publishAll makes the present state of all feeds visible, after a change of what there is.
func (l *Ledger) publishAll() {
	v := &View{Generation: l.view.Load().Generation + 1, Feeds: make([]*FeedView, len(l.feeds)), Organizations: make([]OrganizationView, len(l.own))}
	for _, f := range l.feeds {
		f.show()
		v.Feeds[f.place] = f.shown
		l.hold(f)
	}
	for name := range l.own {
		l.showOrganization(v, name)
	}
	l.view.Store(v)
}

func (l *Ledger) showOrganization(v *View, name string) {
	o := OrganizationView{Name: name, Limit: l.settings.MaxLabelSets}
	for _, f := range l.feedsOf(name) {
		o.LabelSets += f.own
		o.Overflow += f.overflow()
	}
	v.Organizations[l.own[name].place] = o
}
