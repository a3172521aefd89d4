package ledger

import (
	"time"

	"github.com/go-kit/log/level"
)

// write waits until nobody else writes. What it returns ends the turn.
func (l *Ledger) write() (end func()) {
	l.writing <- struct{}{}
	return func() { <-l.writing }
}

// put adds a stage to those that are committed next, in place of one that its feed has had.
func (l *Ledger) put(st *stage) {
	if st.f.staged == nil {
		l.staged = append(l.staged, st.f)
	}
	st.f.staged = st
}

// settle commits what is staged and installs it, or drops it. The caller writes, and does not hold mu.
func (l *Ledger) settle() error {
	stages := make([]*stage, len(l.staged))
	for i, f := range l.staged {
		stages[i] = f.staged
	}
	err := l.commit(stages)
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, acquitted := l.staged, l.acquitted
	l.staged, l.acquitted = nil, nil
	for _, f := range changed {
		f.staged = nil
	}
	if err != nil {
		for _, st := range stages {
			st.f.recall(st)
		}
		return err
	}
	for _, st := range stages {
		st.install()
	}
	for _, name := range acquitted {
		level.Info(l.logger).Log("msg", "The API answers for the recorded organization again", "organization", name)
	}
	if len(changed) > 0 {
		l.publish(changed)
	}
	return nil
}

// commit writes the changes of stages durably. Nothing of a stage may be shown before.
func (l *Ledger) commit(stages []*stage) error {
	all := make([]*changes, len(stages))
	for i, st := range stages {
		all[i] = st.changes()
	}
	return l.commitChanges(all)
}

func (l *Ledger) commitChanges(all []*changes) error {
	if len(all) == 0 {
		return nil
	}
	begin := time.Now()
	size, err := l.store.commit(l.whole, all...)
	l.committed(time.Since(begin), err)
	if err != nil {
		return err
	}
	l.bytes.Store(size)
	return nil
}

// ownLabelSets is how many label sets of an organization have series of their own, with those that get one by what is
// staged.
func (l *Ledger) ownLabelSets(organization string) int {
	n := 0
	for _, f := range l.feedsOf(organization) {
		switch st := f.staged; {
		case st == nil:
			n += f.own
		case f.options.Endpoint.Stock:
			n += st.given // It counts all of them.
		default:
			n += f.own + st.given
		}
	}
	return n
}
