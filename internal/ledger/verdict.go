package ledger

import (
	"math"
	"slices"
	"strings"

	"github.com/go-kit/log/level"
)

// A verdict says that another organization answers. It belongs to the endpoint that found it, on whose record it rests, and
// holds for all endpoints of the organization.

// foreign says whether another organization was the last to answer under a name.
func (l *Ledger) foreign(organization string) bool {
	for name, cleared := range l.cleared { // An endpoint that was switched off since counts, too.
		if !cleared && strings.HasPrefix(name, feedName(organization, "")) {
			return true
		}
	}
	return slices.ContainsFunc(l.feedsOf(organization), func(f *Feed) bool { return f.latest().Foreign })
}

// convict notes that another organization answers.
func (f *Feed) convict() {
	if f.convicted = math.MaxInt64; f.doubt != nil {
		f.convicted = f.doubt.span
	}
	f.doubt = nil // The next poll asks for what can acquit.
	l := f.ledger
	if name := f.options.Organization; !l.accused[name] {
		l.accused[name] = true
		level.Error(l.logger).Log("msg", "Another organization answers", "organization", name, "endpoint", f.options.Endpoint.Name, "err", ErrForeign)
	}
	if !f.latest().Foreign {
		f.accuse(true)
	}
	l.clear(f.options.Organization, false)
	l.insist(f.options.Organization)
}

// accuse notes in what is staged whether the newest answers are another organization's.
func (f *Feed) accuse(foreign bool) {
	if f.staged == nil {
		f.ledger.put(f.newStage())
	}
	f.staged.meta.Foreign = foreign
}

// insist stages the verdicts of an organization that could not be written yet.
func (l *Ledger) insist(organization string) {
	for _, f := range l.feedsOf(organization) {
		if f.unwritten && f.latest().Foreign {
			f.accuse(true)
		}
	}
}

// recall keeps the verdict of a stage that could not be written. It stands all the same: the next answer may tell nothing.
func (f *Feed) recall(st *stage) {
	if st.meta.Foreign && !f.meta.Foreign {
		f.meta.Foreign, f.unwritten = true, true
	}
}

// acquit notes that the organization answers itself. That concerns endpoints that are switched off, too.
func (l *Ledger) acquit(organization string) {
	delete(l.accused, organization)
	l.clear(organization, true)
	acquitted := false
	for _, f := range l.feedsOf(organization) {
		if f.latest().Foreign {
			f.accuse(false)
			acquitted = true
		}
	}
	if acquitted {
		l.acquitted = append(l.acquitted, organization)
	}
}

// clear notes whether the verdicts of endpoints that are switched off are out of date.
func (l *Ledger) clear(organization string, cleared bool) {
	for name := range l.cleared {
		if strings.HasPrefix(name, feedName(organization, "")) {
			l.cleared[name] = cleared
		}
	}
}

// awaitVerdicts notes which endpoints that are switched off have a verdict on disk, so that it can be cleared.
func (l *Ledger) awaitVerdicts() {
	configured := make(map[string]bool, len(l.feeds))
	for _, f := range l.feeds {
		configured[f.name] = true
	}
	err := l.store.others(configured, func(name string, m record) {
		if m.Foreign {
			l.cleared[name] = false
		}
	})
	if err != nil {
		level.Warn(l.logger).Log("msg", "State that is not configured can't be read", "err", err)
	}
}

// returns stages the verdict that a feed went with, where that is not what the disk has: the organization was acquitted
// meanwhile, or the verdict could not be written. st is what is staged of it otherwise, or nil.
func (f *Feed) returns(st *stage) *stage {
	cleared, went := f.ledger.cleared[f.name]
	if !went || f.meta.Foreign != cleared {
		return st
	}
	if st == nil {
		st = f.newStage()
	}
	st.meta.Foreign = !cleared
	return st
}
