package ledger

import (
	"math"
	"slices"
	"strings"

	"github.com/go-kit/log/level"
)

// A verdict is the finding that the API answers for another organization than the recorded one (meta.Foreign). It is stored
// with the endpoint that found it, because only the record of that endpoint proves it, and it holds for all endpoints of the
// organization: none of them counts an answer until the verdict is withdrawn.

// foreign says whether another organization was the last to answer under a name.
func (l *Ledger) foreign(organization string) bool {
	for name, cleared := range l.cleared { // An endpoint that was switched off since counts, too.
		if !cleared && strings.HasPrefix(name, feedName(organization, "")) {
			return true
		}
	}
	return slices.ContainsFunc(l.feedsOf(organization), func(f *Feed) bool { return f.latest().Foreign })
}

// convict records the verdict: it logs it once for each organization and stages it, so that it outlasts a restart.
func (f *Feed) convict() {
	if f.convicted = math.MaxInt64; f.doubt != nil {
		f.convicted = f.doubt.span
	}
	f.doubt = nil // The next poll asks for an hour that can withdraw the verdict.
	l := f.ledger
	delete(l.proven, f.options.Organization)
	if name := f.options.Organization; !l.accused[name] {
		l.accused[name] = true
		level.Error(l.logger).Log("msg", "The API answers for another organization", "organization", name, "endpoint", f.options.Endpoint.Name, "err", ErrForeign)
	}
	if !f.latest().Foreign {
		f.accuse(true)
	}
	l.clear(f.options.Organization, false)
	l.insist(f.options.Organization)
}

// accuse sets or clears the verdict in the stage of a feed, and makes a stage if there is none.
func (f *Feed) accuse(foreign bool) {
	if f.staged == nil {
		f.ledger.put(f.newStage())
	}
	f.staged.meta.Foreign = foreign
}

// insist stages again the verdicts of an organization that an earlier commit failed to write.
func (l *Ledger) insist(organization string) {
	for _, f := range l.feedsOf(organization) {
		if f.unwritten && f.latest().Foreign {
			f.accuse(true)
		}
	}
}

// recall keeps the verdict of a stage whose commit failed in memory. The rest of the stage is dropped and will be read again,
// but the next answer may not show whose it is.
func (f *Feed) recall(st *stage) {
	if st.meta.Foreign && !f.meta.Foreign {
		f.meta.Foreign, f.unwritten = true, true
	}
}

// acquit withdraws the verdicts of an organization, those of endpoints that are switched off too: an answer has shown that it
// is for the recorded organization.
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

// clear notes for the endpoints that are switched off and have a verdict on disk whether it is withdrawn.
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
		level.Warn(l.logger).Log("msg", "Failed to read the state of endpoints that are not configured", "err", err)
	}
}

// returns stages the verdict of a feed that is configured again, if the disk has another one: it was withdrawn while the feed
// was switched off, or writing it had failed. st is what else is staged for the feed, or nil.
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
