package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log/level"
)

// tries is how often something is asked for again that the API refuses or leaves out.
const tries = 3

// patience is how long an answer is not believed that has nothing where there was something.
const patience = 24 * time.Hour

// refused counts what the API has refused to return for an endpoint, or has left out of its answers, since the process began.
type refused struct {
	polls, audits int            // answers in a row that had a gap, or no bucket
	pages         map[int64]int  // how often an old page was refused, by its start
	hours         map[int64]bool // those of the hours that were given up that may still be asked for
	void          time.Time      // since when answers have nothing where the record has something
	gaveUp        int            // how many hours were given up
	bill          bool           // older days of the bill are given up
}

// admit checks that a read has every bucket that was requested. One that lacks a bucket is refused, because that bucket is
// unknown and not zero. After several such reads in a row the buckets that are there are taken, and gap is the start of the
// first missing one. That bucket stays open: it is neither read, nor settled, nor final. An old page without any bucket is
// skipped like one that the API refuses.
func (f *Feed) admit(r *Read, is reading) (gap int64, err error) {
	at, found := r.gap()
	row := &f.refused.polls
	if r.Window.Audit {
		row = &f.refused.audits
	}
	void, err := f.voids(r)
	if err != nil {
		return 0, err
	}
	if void {
		return 0, f.distrust(r)
	}
	if r.Window.Audit || f.options.Endpoint.IsCosts() {
		f.refused.void = time.Time{}
	}
	// Nothing can be expected of an audit beyond what polls have seen: a clock that is ahead plans so, for a while.
	ahead := r.Window.Audit && at.Unix() >= f.spanOf(f.meta.ReadThrough)
	if f.options.Endpoint.Stock || len(r.buckets) == 0 && !r.Window.Audit || !found || ahead {
		*row = 0
		return 0, nil
	}
	// With a hole in the running hour nothing of a new shape could be counted until that hour is over.
	early := !f.meta.Begun && is.lacked >= f.spanOf(is.asOf)
	if *row++; *row < tries || early {
		return 0, fmt.Errorf("the API's answer lacks the requested bucket %s: the answer is not counted and will be requested again", at.UTC().Format(time.RFC3339))
	}
	*row = 0
	level.Warn(f.logger()).Log("msg", "The API's answers still lack a requested bucket; the others are counted, and the next audits request it again", "bucket", at.UTC().Format(time.RFC3339))
	if r.Window.Audit && len(r.buckets) == 0 {
		f.giveUp(r.Window)
		return 0, nil
	}
	if r.Window.Audit && f.options.Endpoint.IsCosts() {
		return 0, nil // The books have the day or they don't.
	}
	if r.Window.Audit && at.Unix() < f.meta.ReadThrough-int64(f.options.AuditWindow/time.Second) {
		f.note(at, at.Add(time.Hour)) // It is too old to be asked for again.
		return 0, nil
	}
	return at.Unix(), nil
}

// voids says whether an audit or a bill is empty although the record has usage in several of its hours or days.
// Polls of usage are of the newest hours, which audits read again.
func (f *Feed) voids(r *Read) (bool, error) {
	says := func(b readBucket) bool {
		return b.same && b.fingerprint.Rows > 0 || slices.ContainsFunc(b.cells, func(cells []shownCell) bool { return len(cells) > 0 })
	}
	if f.options.Endpoint.Stock || !f.options.Endpoint.IsCosts() && !r.Window.Audit || slices.ContainsFunc(r.buckets, says) {
		return false, nil
	}
	lost, err := f.lost(r, true)
	// Hours leave the window of audits one by one, and the last one is worth as much as the first.
	return lost >= enough || lost > 0 && !f.refused.void.IsZero(), err
}

// distrust refuses an empty answer that would remove everything recorded for its hours or days. It may be the answer for
// another organization, with no row to show it, and hours that later audits do not reach would be lost for good. The bill
// shows it within a day. If the answers stay empty for longer, the API no longer has these hours: they keep what is recorded,
// until an audit returns a row.
func (f *Feed) distrust(r *Read) error {
	if f.refused.void.IsZero() || r.AsOf.Before(f.refused.void) { // By a Date that was ahead.
		f.refused.void = r.AsOf
	}
	if r.Window.Audit && !f.options.Endpoint.IsCosts() && r.AsOf.Sub(f.refused.void) >= patience {
		f.audited(r.Window, r.AsOf) // Before it is given up, as of when polls have read: that may be so long ago that the next audit is due at once.
		f.giveUp(r.Window)
		r.buckets = nil
		return nil
	}
	return fmt.Errorf("the API returns no data since %s, where it returned some before: the answer is not counted and will be requested again; if the admin key is now that of another organization, put the previous key back", r.Window.From.Format(time.RFC3339))
}

// Refused is told that the API refuses an audit's window for good, or no longer has it. After some tries the page is
// passed over, so that newer hours go on being audited and what is older is let go of.
func (f *Feed) Refused(w Window) (gaveUp bool, err error) {
	l := f.ledger
	defer l.write()()
	l.mu.Lock()
	gaveUp = f.refuse(w)
	l.mu.Unlock()
	return gaveUp, l.settle()
}

// refuse counts a refusal and gives up the window in the end.
func (f *Feed) refuse(w Window) (gaveUp bool) {
	next := f.round != nil && f.round.cursor == w.From.Unix()
	if f.options.Endpoint.IsCosts() {
		next = w.To.Unix() == f.meta.BillFrom
	}
	if f.gone || w.shape != f.shape || !next {
		return false // The window is of a former shape or round.
	}
	if f.refused.pages == nil {
		f.refused.pages = map[int64]int{}
	}
	at := w.From.Unix()
	if f.refused.pages[at]++; f.refused.pages[at] < tries {
		return false
	}
	f.giveUp(w)
	return true
}

// giveUp skips a page of old hours, or of old days of the bill, that the API does not return.
func (f *Feed) giveUp(w Window) {
	if f.options.Endpoint.IsCosts() {
		f.giveUpBill(w)
		return
	}
	if f.note(w.From, w.To) {
		level.Warn(f.logger()).Log("msg", "The API does not return old hours; they are skipped, and what was not read of them before is not counted", "from", w.From.Format(time.RFC3339), "to", w.To.Format(time.RFC3339))
	}
	f.audited(w, unixOrZero(f.meta.ReadAt))
	st := f.newStage()
	st.asOf = f.meta.ReadAt
	st.meta.marks = st.meta.leave(w.From.Unix(), w.To.Unix(), st.asOf, f.reach())
	st.fold()
	f.ledger.put(st)
}

// note remembers the hours that were skipped, and says whether any of them is new.
func (f *Feed) note(from, to time.Time) (news bool) {
	if f.refused.hours == nil {
		f.refused.hours = map[int64]bool{}
	}
	hour := f.reach()
	for at := hour.spanOf(from.Unix()); at < to.Unix(); at += hour.span {
		if !f.refused.hours[at] {
			f.refused.hours[at], news = true, true
			f.refused.gaveUp++
		}
	}
	past := min(f.meta.Final, from.Unix()) - hour.audits
	maps.DeleteFunc(f.refused.hours, func(at int64, _ bool) bool { return at < past })
	maps.DeleteFunc(f.refused.pages, func(at int64, _ int) bool { return at < past })
	return news
}
