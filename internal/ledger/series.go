package ledger

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A series is one label set of one group and its running totals. It is never changed once it is part of a feed: a
// booking makes a new one, so that views may go on showing the old.
type series struct {
	id    uint32
	group int
	key   string // indexKey: group and labels

	labels []Label
	// total is what the API says, exactly; high is the most that total has ever been, which is what the counter
	// shows. Both follow the measures of the group, and are one slice where they are equal.
	total, high []decimal.Fixed
	born        time.Time
	// seen is the start of the newest bucket that has this label set, in Unix seconds. Idleness is measured in the
	// API's time, because the local clock may jump.
	seen int64
	// held: shown as 0 until it is released. The release is written down before the value is shown, else a crash
	// would take the counter back to 0.
	held bool
	// fresh has a bit for each measure of the group that began after the series did, and is shown as 0 until it is
	// released, too.
	fresh Set
	// ended: belongs to a former shape; not shown, but it goes on from its total if the label set returns.
	ended bool

	// place is 1 if it takes a place under the limit of label sets. It is set when the series becomes part of a feed,
	// since only the shape of that time can tell.
	place int
	shown *Series
}

// withheld is how far the shown counter of measure i of the group is ahead of the API.
func (s *series) withheld(i int) decimal.Fixed { return s.high[i].Sub(s.total[i]) }

// isDerived says whether the series is made of rows instead of read from them.
func (s *series) isDerived() bool { return s.group >= firstDerivedGroup }

// book returns a copy with delta added, which follows the endpoint's measures, or its derived ones. With hold, a rare
// measure that begins is shown as 0 first.
func (s *series) book(g *group, delta []decimal.Fixed, hold bool) *series {
	c := *s
	c.total = slices.Clone(s.total)
	c.high = slices.Clone(s.high)
	for i, m := range g.measures {
		c.total[i] = c.total[i].Add(delta[m])
		c.high[i] = c.high[i].Max(c.total[i])
		if hold && g.rare.Has(i) && s.high[i].IsZero() && !c.high[i].IsZero() {
			c.fresh = c.fresh.With(i)
		}
	}
	c.share()
	return &c
}

// share lets total and high be one slice where nothing is withheld, which is nearly everywhere.
func (s *series) share() {
	if slices.Equal(s.total, s.high) {
		s.high = s.total
	}
}

// show fixes what the view shows of the series.
func (s *series) show(g *group) {
	shown := &Series{Labels: s.labels, Measures: g.measures, Values: s.high, Born: s.born}
	if s.held {
		shown.Values = make([]decimal.Fixed, len(s.high))
	} else if s.fresh != 0 {
		shown.Values = slices.Clone(s.high)
	}
	for i := range s.high {
		// What has been more than zero stays, since high never falls.
		if g.rare.Has(i) && s.high[i].IsZero() {
			shown.Absent = shown.Absent.With(i)
		}
		if s.fresh.Has(i) {
			shown.Values[i] = decimal.Fixed{}
		}
	}
	s.shown = shown
}

// indexKey is the key of a label set within a feed: the group, then the labels.
func indexKey(group int, labels []byte) string {
	return string(append([]byte{byte(group)}, labels...))
}

var errSeries = errors.New("malformed series")

// labelsOf decodes the labels of a key. They share the key's memory, since a series keeps both.
func labelsOf(key string) ([]Label, error) {
	if key == "" {
		return nil, errSeries
	}
	n := 0
	for rest := key[1:]; rest != ""; n++ {
		_, after, ok := cutString(rest)
		if !ok {
			return nil, errSeries
		}
		rest = after
	}
	if n == 0 {
		return nil, nil
	}
	if n%2 != 0 {
		return nil, errSeries
	}
	labels := make([]Label, n/2)
	rest := key[1:]
	for i := range labels {
		labels[i].Name, rest, _ = cutString(rest)
		labels[i].Value, rest, _ = cutString(rest)
	}
	return labels, nil
}

// cutString takes what appendString has written off the front.
func cutString(s string) (first, rest string, ok bool) {
	// The length is a varint, which ends with the first byte below 128. No label is as long as five bytes can say.
	length := uint64(0)
	for i := 0; i < len(s) && i < 5; i++ {
		length |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			if s = s[i+1:]; length > uint64(len(s)) {
				return "", "", false
			}
			return s[:length], s[length:], true
		}
	}
	return "", "", false
}

const (
	flagHeld  = 1
	flagEnded = 2
	flagFresh = 4
)

// encode appends the disk form: flags, layout, born, seen, key, then total and withheld amount of each measure; of a
// derived series that is the one. Where there are fresh measures, they follow as a set of the layout's measures.
func (s *series) encode(b []byte, layout int, g *group, measures int) []byte {
	flags := byte(0)
	if s.held {
		flags |= flagHeld
	}
	if s.ended {
		flags |= flagEnded
	}
	if s.fresh != 0 {
		flags |= flagFresh
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(layout))
	b = binary.AppendVarint(b, s.born.UnixMilli())
	b = binary.AppendVarint(b, s.seen)
	b = appendString(b, s.key)
	if s.isDerived() {
		b = s.total[0].AppendBinary(b)
		return s.withheld(0).AppendBinary(b)
	}
	totals, withheld := make([]decimal.Fixed, measures), make([]decimal.Fixed, measures)
	for i, m := range g.measures {
		totals[m], withheld[m] = s.total[i], s.withheld(i)
	}
	for i := range measures {
		b = totals[i].AppendBinary(b)
		b = withheld[i].AppendBinary(b)
	}
	if s.fresh == 0 {
		return b
	}
	var fresh Set
	for i, m := range g.measures {
		if s.fresh.Has(i) {
			fresh = fresh.With(m)
		}
	}
	return binary.AppendUvarint(b, uint64(fresh))
}

// decodeSeries reads what encode wrote, whatever measures the table had then. A series of a former shape may have
// labels that today's groups lack; its group still tells its measures.
func decodeSeries(id uint32, b []byte, l *layouts, groups []group, derivedGroups int) (*series, error) {
	if len(b) == 0 {
		return nil, errSeries
	}
	s := &series{id: id, held: b[0]&flagHeld != 0, ended: b[0]&flagEnded != 0}
	anyFresh := b[0]&flagFresh != 0
	r := &encoded{b: b[1:]}
	layout := r.uvarint()
	s.born = time.UnixMilli(r.varint()).UTC()
	s.seen = r.varint()
	s.key = string(r.take(r.uvarint()))
	if r.torn || layout >= uint64(len(l.names)) {
		return nil, errSeries
	}
	var err error
	if s.labels, err = labelsOf(s.key); err != nil {
		return nil, err
	}
	s.group = int(s.key[0])
	switch {
	case s.isDerived() && s.group-firstDerivedGroup < derivedGroups:
		total, high := r.pair()
		s.total, s.high = []decimal.Fixed{total}, []decimal.Fixed{high}
	case !s.isDerived() && s.group < len(groups):
		s.decodeTotals(r, l.to[layout], l.n, groups[s.group].measures, anyFresh)
	default:
		return nil, errSeries
	}
	if r.torn || len(r.b) != 0 {
		return nil, errSeries
	}
	return s, nil
}

// decodeTotals reads the totals of the measures that there were then, and keeps those of today's group.
func (s *series) decodeTotals(r *encoded, to []int, measures int, group []int, anyFresh bool) {
	totals, highs := make([]decimal.Fixed, measures), make([]decimal.Fixed, measures)
	for _, m := range to {
		if total, high := r.pair(); m >= 0 {
			totals[m], highs[m] = total, high
		}
	}
	fresh := Set(0)
	if anyFresh {
		fresh = Set(r.uvarint())
	}
	s.total, s.high = make([]decimal.Fixed, 0, len(group)), make([]decimal.Fixed, 0, len(group))
	for i, m := range group {
		s.total = append(s.total, totals[m])
		s.high = append(s.high, highs[m])
		if from := slices.Index(to, m); from >= 0 && fresh.Has(from) {
			s.fresh = s.fresh.With(i)
		}
	}
	s.share()
}

// encoded is what remains to be read of an encoded series. What is torn reads as zeros, and says so in the end.
type encoded struct {
	b    []byte
	torn bool
}

func (r *encoded) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *encoded) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *encoded) skip(n int) {
	if n <= 0 {
		r.b, r.torn = nil, true
		return
	}
	r.b = r.b[n:]
}

func (r *encoded) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.torn = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// pair is a total and the highest that it ever was.
func (r *encoded) pair() (total, high decimal.Fixed) {
	var withheld decimal.Fixed
	var err error
	if total, r.b, err = decimal.DecodeBinary(r.b); err == nil {
		withheld, r.b, err = decimal.DecodeBinary(r.b)
	}
	if err != nil {
		r.b, r.torn = nil, true
	}
	return total, total.Add(withheld)
}
