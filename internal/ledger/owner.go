package ledger

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A key file may come to hold the key of another organization. What the API answers then is no growth of this
// organization's counters, so answers are refused until one of them is known to be for this organization again. Two things
// show which organization an answer is for:
//
//   - The API's id of the organization, which rows of the bill have. The state remembers the first one that it reads.
//   - The ids of projects, which no two organizations share. An answer that names a project on record is for this
//     organization. An answer that names none is checked against the hours or days in which the record has usage of
//     projects: an organization may have nothing but new projects, but its usage in an old hour stays there. If two of these
//     now have no usage, the answer is for another organization. If the answer covers fewer than two, it is set aside, and
//     the newest such hour is read again by itself, unless an answer to the same key was for this organization before.
//
// Where nothing on record can show it, nothing is refused: an organization whose projects have all been idle for longer than
// audits reach back may go on with new ones.
type owner struct {
	// Owner is the API's id of the organization, once a row has told it.
	Owner string `json:"owner,omitempty"`
	// Foreign says that the newest answer that shows its organization was for another one.
	Foreign bool `json:"foreign,omitempty"`
}

var (
	// ErrForeign refuses an answer that is for another organization than the recorded one.
	ErrForeign = errors.New("the answers are for another organization than the recorded state and are not counted: put an admin key of the recorded organization back, give the other organization a name of its own under organizations, or move the state away")
	// ErrDoubt sets a read aside until an older hour has shown which organization it is for. The next window is that hour.
	ErrDoubt = errors.New("an older hour has to be read first, to find out which organization the answer is for")
)

// enough is how many hours or days must have lost all of their usage before an answer is taken for another organization's.
const enough = 2

// A doubt is open while it is not known which organization the last poll's answer was for. An older hour is read to find out.
type doubt struct {
	span  int64 // an hour in which the record has usage of known projects
	asked int
	over  bool // it was answered
}

// asks is how often that hour is requested before another one is taken.
const asks = 10

// examine finds out which organization a read is for, and refuses it if that is another one or is not certain yet. It changes
// nothing of the ledger but the verdict.
func (f *Feed) examine(r *Read) error {
	ours, foreign, err := f.tell(r)
	if err != nil {
		return err
	}
	switch {
	case ours:
		f.ledger.acquit(f.options.Organization)
		f.ledger.proven[f.options.Organization] = r.Key
	case foreign:
		f.convict()
		return ErrForeign
	case f.ledger.foreign(f.options.Organization):
		f.ledger.insist(f.options.Organization)
		return ErrForeign
	}
	if r.Window.probe {
		return ErrDoubt
	}
	return nil
}

// probed notes that an hour has told whose answers these are. Where that could not be written, it is asked again: nothing
// else may tell.
func (b *booking) probed(err error) {
	if err != nil {
		b.err = err
	} else if b.f.doubt != nil {
		b.f.doubt.over = true
	}
}

// tell says whether a read is certainly for the recorded organization, or certainly for another. Both are false if nothing in
// it shows that.
func (f *Feed) tell(r *Read) (ours, foreign bool, err error) {
	if id := f.ledger.owner(f.options.Organization); id != "" && r.Organization != "" {
		return id == r.Organization, id != r.Organization, nil
	}
	ours, named := f.namesProjects(r)
	if ours || !named && !r.Window.probe {
		return ours, false, nil
	}
	proven := r.Key != 0 && r.Key == f.ledger.proven[f.options.Organization]
	if r.Window.probe {
		return false, !proven, nil // One hour alone may have been corrected to nothing.
	}
	if r.Window.told {
		return false, false, nil
	}
	lost, err := f.lost(r, false)
	if err != nil || lost >= enough || proven {
		return false, lost >= enough, err
	}
	if f.doubt == nil && !r.Window.Audit {
		f.doubt, err = f.witness(r.Window.From.Unix())
	}
	if err == nil && f.doubt != nil && !r.Window.Audit {
		err = ErrDoubt
	}
	return false, false, err
}

// namesProjects says whether a read names a project that is on record, and whether it names any.
func (f *Feed) namesProjects(r *Read) (ours, named bool) {
	if !slices.Contains(f.groupBy, dimensionProject) {
		return false, false
	}
	strangers := map[string]bool{}
	var ik []byte
	for i := range slices.Backward(r.buckets) {
		if b := &r.buckets[i]; b.same && f.hasProject(b.start.Unix()) {
			return true, true
		}
		for gi, cells := range r.buckets[i].cells {
			for _, c := range cells {
				ik = append(append(ik[:0], byte(gi)), r.shown[gi][c.set]...)
				if s := f.index[string(ik)]; s != nil {
					if projectOf(s.labels) != "" {
						return true, true
					}
					continue
				}
				project := projectIn(string(ik))
				if project == "" || strangers[project] {
					continue
				}
				if _, folded := f.folded[hashKey(string(ik))]; folded {
					return true, true
				}
				strangers[project] = true
			}
		}
	}
	if len(strangers) == 0 {
		return false, false
	}
	for _, other := range f.ledger.feedsOf(f.options.Organization) {
		for _, s := range other.list {
			if strangers[projectOf(s.labels)] {
				return true, true
			}
		}
	}
	return false, true
}

// hasProject says whether a bucket on record is of any project.
func (f *Feed) hasProject(start int64) bool {
	for _, row := range f.rows(f.spans[f.spanOf(start)].at(start), every) {
		if projectOf(row.Labels) != "" {
			return true
		}
	}
	return false
}

func projectIn(key string) string {
	labels, err := labelsOf(key)
	if err != nil {
		return "" // It was made by appendKey when the row was read.
	}
	return projectOf(labels)
}

// lost counts the spans that the read has and in which the record has usage of projects, or of anybody, of which the read
// has none. It counts no further than enough.
func (f *Feed) lost(r *Read, anybody bool) (n int, err error) {
	to := f.reach()
	last := int64(-1)
	for i := range r.buckets {
		at := to.spanOf(r.buckets[i].start.Unix())
		if at == last || n == enough {
			continue
		}
		last = at
		end := r.buckets[len(r.buckets)-1].start.Unix() + seconds(r.Window.Width.Duration)
		used, err := f.used(at, r.Window.From.Unix(), end, anybody)
		if err != nil {
			return 0, err
		}
		if used {
			n++
		}
	}
	return n, nil
}

// used says whether the record of a span has usage of a project, or of anybody, in buckets between two times.
func (f *Feed) used(span, from, to int64, anybody bool) (bool, error) {
	held := f.spans[span]
	if held == nil {
		return false, nil
	}
	for _, b := range held.buckets {
		if b.start < from || b.start+held.width > to {
			continue
		}
		cells, _, _, err := f.layouts.decodeCells(b.cells)
		if err != nil {
			return false, err
		}
		for i := range cells {
			position, ok := f.position[cells[i].id]
			if !ok {
				return false, errUnknownSeries
			}
			project := projectOf(f.list[position].labels)
			if (anybody || project != "" && project != Other) && slices.ContainsFunc(cells[i].values, func(v decimal.Fixed) bool { return !v.IsZero() }) {
				return true, nil
			}
		}
	}
	return false, nil
}

// witness chooses the hour to read when a doubt is open: the newest one before a time in which the record has usage of a
// project, as far back as audits reach. After a verdict it takes an hour before the one that the verdict rests on, so that
// every hour is tried. The bill needs none, because every read of it covers weeks.
func (f *Feed) witness(before int64) (*doubt, error) {
	to := f.reach()
	if to.bill || to.level {
		return nil, nil
	}
	oldest := f.meta.closed(before) - to.audits
	var first *doubt
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(f.spans))) {
		if at+to.span > before || at < oldest {
			continue
		}
		used, err := f.used(at, at, at+to.span, false)
		switch {
		case err != nil:
			return nil, err
		case used && at < f.convicted:
			return &doubt{span: at}, nil
		case used && first == nil:
			first = &doubt{span: at}
		}
	}
	return first, nil
}

// probe is the window that a doubt needs, if there is one. While another organization answers, it comes before all that a
// poll would read, so that it shows when this one answers again. told says that a doubt is over. That holds for the window
// that is planned then: before a later one the key may be replaced.
func (f *Feed) probe(now time.Time) (w Window, due, told bool) {
	if f.doubt == nil && f.ledger.foreign(f.options.Organization) {
		var err error
		if f.doubt, err = f.witness(f.reach().spanOf(now.Unix())); err != nil {
			level.Error(f.logger()).Log("msg", "Failed to decode a recorded bucket; please report this as a bug", "err", err)
		}
	}
	d := f.doubt
	if d == nil {
		return Window{}, false, false
	}
	if d.over {
		f.doubt = nil
		return Window{}, false, true
	}
	if d.asked++; d.asked > asks {
		// The API does not answer for that hour. Where there is more than a doubt, another one is asked.
		f.doubt = nil
		if f.ledger.foreign(f.options.Organization) {
			f.convicted = d.span
			return Window{}, false, false
		}
		return Window{}, false, true
	}
	at := time.Unix(d.span, 0).UTC()
	return Window{Width: api.Hour, From: at, To: at.Add(api.Hour.Duration), shape: f.shape, probe: true}, true, false
}

// latest is what a feed knows, with what is staged of it.
func (f *Feed) latest() *meta {
	if f.staged != nil {
		return &f.staged.meta
	}
	return &f.meta
}

// feedsOf are the feeds of an organization, none of one that is not configured.
func (l *Ledger) feedsOf(organization string) []*Feed {
	if o := l.own[organization]; o != nil {
		return o.feeds
	}
	return nil
}

// owner is the API's id of an organization, or "".
func (l *Ledger) owner(organization string) string {
	for _, f := range l.feedsOf(organization) {
		if id := f.latest().Owner; id != "" {
			return id
		}
	}
	return ""
}
