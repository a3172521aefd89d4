package ledger

import (
	"testing"
	"time"
)

const (
	tMinute = int64(60)
	tHour   = 60 * tMinute
	tDay    = 24 * tHour
	tNow    = 20_000*tDay + 12*tHour + 30*tMinute + 20
)

var (
	ofUsage = reach{span: tHour, width: tMinute, lookback: tHour, audits: 72 * tHour, idle: 35 * tDay}
	ofBill  = reach{span: tDay, width: tDay, lookback: 96 * tHour, idle: 35 * tDay, bill: true}
	ofLevel = reach{span: tHour, width: tHour, lookback: 24 * tHour, idle: 35 * tDay, level: true}
)

// TestMarksMoveAndRefuseToMove goes through every transition.
func TestMarksMoveAndRefuseToMove(t *testing.T) {
	at := func(hoursAgo int64) int64 { return tNow - mod(tNow, tHour) - hoursAgo*tHour }
	poll := reading{asOf: tNow, from: at(1), through: at(0) + 31*tMinute, closed: at(0) + 30*tMinute}
	audit := reading{asOf: tNow, from: at(80), through: at(20), closed: at(20), audit: true}
	counting := marks{Begun: true, Origin: at(300), Final: at(80), ReadThrough: at(0) + 20*tMinute, Audited: at(90)}
	change := func(m marks, f func(*marks)) marks { f(&m); return m }
	for name, tc := range map[string]struct{ got, want marks }{
		"counting begins now": {
			marks{Afresh: true, ReadThrough: 5}.begin(poll, 0, false, ofUsage),
			marks{Begun: true, BegunAt: tNow, CountsFrom: tNow, Origin: at(1), Final: at(72), ReadThrough: 5},
		},
		"counting begins at a given time": {
			marks{}.begin(poll, at(500), true, ofUsage),
			marks{Begun: true, BegunAt: tNow, CountsFrom: at(500), Origin: at(500), Fixed: true, Final: at(500)},
		},
		"a given time after the first audits' hours": {
			marks{}.begin(poll, at(3), true, ofUsage),
			marks{Begun: true, BegunAt: tNow, CountsFrom: at(3), Origin: at(3), Fixed: true, Final: at(72)},
		},
		"the bill is counted from its first day": {
			marks{}.begin(reading{asOf: tNow, from: tNow - mod(tNow, tDay) - 20*tDay}, 0, false, ofBill),
			marks{Begun: true, BegunAt: tNow, CountsFrom: tNow, Origin: tNow - mod(tNow, tDay) - 20*tDay, Final: tNow - mod(tNow, tDay) - 20*tDay},
		},
		"what has begun does not begin again": {counting.begin(poll, at(500), true, ofUsage), counting},

		"a new shape keeps what was read": {
			marks{Begun: true, BegunAt: 1, CountsFrom: 2, Origin: 3, Fixed: true, Settled: 4, Final: 5, ReadAt: 6, ReadThrough: 7, Audited: 8}.startAfresh(),
			marks{Afresh: true, BegunAt: 1, ReadAt: 6, ReadThrough: 7},
		},
		"a shape that never began passes its start on":     {marks{}.startAfresh(), marks{}},
		"a shape that begins afresh twice still does so":   {marks{Begun: true}.startAfresh().startAfresh(), marks{Afresh: true}},
		"a poll settles what it has read a lookback of":    {counting.poll(poll, ofUsage), change(counting, func(m *marks) { m.ReadAt, m.ReadThrough, m.Settled = tNow, poll.closed, tNow-tHour })},
		"a poll does not settle what the API has not yet":  {counting.poll(but(poll, func(r *reading) { r.through = at(0) }), ofUsage), change(counting, func(m *marks) { m.ReadAt, m.ReadThrough, m.Settled = tNow, poll.closed, at(1) })},
		"a poll with a hole leaves it open":                {counting.poll(but(poll, func(r *reading) { r.gap = at(0) - tMinute }), ofUsage), change(counting, func(m *marks) { m.ReadAt, m.ReadThrough, m.Settled = tNow, poll.closed, at(1)-tMinute })},
		"a poll that goes back in time takes nothing back": {counting.poll(reading{asOf: at(10), from: at(11), through: at(10), closed: at(10)}, ofUsage), change(counting, func(m *marks) { m.ReadAt, m.Settled = at(10), at(11) })},
		"a poll makes no hour of usage final":              {counting.poll(reading{asOf: tNow, from: at(1), through: at(0), closed: at(0)}, ofUsage), change(counting, func(m *marks) { m.ReadAt, m.Settled = tNow, at(1) })},
		"a poll of the bill leaves the days before it":     {marks{Begun: true, Final: 10 * tDay}.poll(reading{asOf: 20*tDay + 5, from: 15 * tDay, through: 21 * tDay, closed: 20 * tDay}, ofBill), marks{Begun: true, Final: 15 * tDay, ReadAt: 20*tDay + 5, ReadThrough: 20 * tDay, Settled: 16*tDay + 5, BillFrom: 15 * tDay}},
		"a longer poll of the bill takes no day back":      {marks{Begun: true, Final: 18 * tDay, BillFrom: 12 * tDay}.poll(reading{asOf: 20 * tDay, from: 15 * tDay, through: 20 * tDay, closed: 20 * tDay}, ofBill), marks{Begun: true, Final: 18 * tDay, ReadAt: 20 * tDay, ReadThrough: 20 * tDay, Settled: 16 * tDay, BillFrom: 12 * tDay}},
		"a poll of a level leaves what it does not read":   {marks{Begun: true}.poll(poll, ofLevel), marks{Begun: true, ReadAt: tNow, ReadThrough: poll.closed, Final: poll.from - mod(poll.from, tHour)}},
		"a poll before the start moves nothing":            {marks{Final: 7}.poll(poll, ofUsage), marks{Final: 7}},
		"a poll is no audit":                               {counting.audit(poll, ofUsage), counting},
		"an audit is no poll":                              {counting.poll(audit, ofUsage), counting},
		"an audit makes final what its window has left":    {counting.audit(audit, ofUsage), change(counting, func(m *marks) { m.Audited, m.Final = at(20), at(72) })},
		"an audit makes no more final than it has read":    {counting.audit(but(audit, func(r *reading) { r.through = at(75) }), ofUsage), change(counting, func(m *marks) { m.Audited, m.Final = at(75), at(75) })},
		"an audit with a hole leaves it open":              {counting.audit(but(audit, func(r *reading) { r.gap = at(77) }), ofUsage), change(counting, func(m *marks) { m.Audited, m.Final = at(77), at(77) })},
		"an audit that begins past Final does not move it": {counting.audit(but(audit, func(r *reading) { r.from = at(79) }), ofUsage), change(counting, func(m *marks) { m.Audited = at(20) })},
		"an audit of older hours takes nothing back":       {counting.audit(reading{asOf: tNow, from: at(100), through: at(95), closed: at(95), audit: true}, ofUsage), counting},
		"an audit by a clock ahead makes nothing final":    {counting.audit(but(audit, func(r *reading) { r.asOf = tNow + 100*tHour }), ofUsage), change(counting, func(m *marks) { m.Audited, m.Final = at(20), at(72) })},
		"an audit before the start moves nothing":          {marks{}.audit(audit, ofUsage), marks{}},
		"what is given up is left":                         {counting.leave(at(80), at(75), tNow, ofUsage), change(counting, func(m *marks) { m.Final = at(75) })},
		"what is given up past Final is not left":          {counting.leave(at(79), at(75), tNow, ofUsage), counting},
		"what is given up within the window is not left":   {counting.leave(at(80), at(10), tNow, ofUsage), change(counting, func(m *marks) { m.Final = at(72) })},
		"nothing is left before the start":                 {marks{}.leave(at(80), at(75), tNow, ofUsage), marks{}},
	} {
		if tc.got != tc.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, tc.got, tc.want)
		}
	}
}

func but(r reading, f func(*reading)) reading { f(&r); return r }

func TestMarksSayHowABucketIsTaken(t *testing.T) {
	now := marks{Begun: true, Origin: 100, Final: 50}
	folded := marks{Begun: true, Origin: 100, Final: 200}
	fixed := marks{Begun: true, Origin: 100, Fixed: true, Final: 50}
	for _, tc := range []struct {
		m               marks
		start           int64
		first, recorded bool
		want            mode
	}{
		{now, 150, true, false, baseline},
		{now, 150, false, false, fresh},
		{now, 100, false, false, fresh},
		{now, 99, false, false, baseline},
		{now, 40, false, true, compare},
		{folded, 150, false, false, baseline},
		{folded, 150, false, true, compare},
		{folded, 200, false, false, fresh},
		{fixed, 150, true, false, fresh},
		{fixed, 99, true, false, baseline},
		{fixed, 99, false, true, baseline},
		{fixed, 100, false, true, compare},
	} {
		if got := tc.m.meet(tc.start, tc.first, tc.recorded); got != tc.want {
			t.Errorf("%+v meets %d (first %t, recorded %t) as %d, want %d", tc.m, tc.start, tc.first, tc.recorded, got, tc.want)
		}
	}
	for _, tc := range []struct {
		m     marks
		span  int64
		whole bool
		want  bool
	}{
		{folded, 150, false, false},
		{folded, 150, true, true},
		{folded, 200, false, true},
		{folded, 200, true, true},
		{now, 60, false, false}, // final or not: it is from before counting began
		{now, 100, false, true},
		{fixed, 60, false, true},
		{fixed, 100, false, true},
	} {
		if got := tc.m.admits(tc.span, tc.whole); got != tc.want {
			t.Errorf("%+v admits %d (whole %t): %t", tc.m, tc.span, tc.whole, got)
		}
	}
}

func TestMarksSayWhatToReadAndToKeep(t *testing.T) {
	hour := tNow - mod(tNow, tHour)
	day := tNow - mod(tNow, tDay)
	first := time.Unix(tNow, 0).UTC()
	month := time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
	nothing := func(int64) int64 { return 0 }
	minutes := func(int64) int64 { return tMinute }
	hours := func(int64) int64 { return tHour }
	running := marks{Begun: true, Settled: tNow - tHour - 10*tMinute}
	for name, tc := range map[string]struct{ got, want int64 }{
		"the first poll reads the hour at its edge whole":     {marks{}.pollFrom(tNow, 0, false, ofUsage, nothing), hour - tHour},
		"a poll reads a lookback":                             {running.pollFrom(tNow, 0, false, ofUsage, minutes), tNow - tHour - 20 - 10*tMinute},
		"a poll reads what the API did not have":              {marks{Begun: true, Settled: hour - 40*tMinute}.pollFrom(tNow, 0, false, ofUsage, minutes), hour - 40*tMinute},
		"an hour that changed hands is read whole":            {running.pollFrom(tNow, 0, false, ofUsage, hours), hour - tHour},
		"hours before the edge are the audit's":               {marks{Begun: true, Settled: hour - 50*tHour}.pollFrom(tNow, 0, false, ofUsage, minutes), hour - tHour},
		"a level is read for five days once":                  {marks{}.pollFrom(tNow, 0, false, ofLevel, nothing), hour - 5*tDay},
		"a level is read for its lookback":                    {marks{Begun: true, Settled: hour - 50*tHour}.pollFrom(tNow, 0, false, ofLevel, nothing), hour - 24*tHour},
		"the bill is read from the first of the month":        {marks{Begun: true, Settled: day - 4*tDay}.pollFrom(tNow, 0, false, ofBill, nothing), min(month, day-4*tDay)},
		"the bill is caught up with":                          {marks{Begun: true, Settled: day - 60*tDay}.pollFrom(tNow, 0, false, ofBill, nothing), day - 60*tDay},
		"the first bill shows a month's rhythm":               {marks{}.pollFrom(tNow, 0, false, ofBill, nothing), day - 34*tDay},
		"the first bill reaches back to the start":            {marks{}.pollFrom(tNow, day-90*tDay, true, ofBill, nothing), day - 90*tDay},
		"a start given later does not matter":                 {marks{Begun: true, Settled: day - 4*tDay}.pollFrom(tNow, day-90*tDay, true, ofBill, nothing), min(month, day-4*tDay)},
		"a round begins where the audit window does":          {marks{Final: hour - 10*tHour}.round(tNow, ofUsage).cursor, hour - 72*tHour},
		"a round begins where the last one got to":            {marks{Final: hour - 100*tHour}.round(tNow, ofUsage).cursor, hour - 100*tHour},
		"a round ends before what polls read":                 {marks{}.round(tNow, ofUsage).end, hour - tHour},
		"what the view shows is kept":                         {marks{Final: hour - 72*tHour, ReadThrough: tNow}.keep(tNow, reach{span: tHour, width: tMinute, audits: tHour, idle: 35 * tDay}), min(hour-72*tHour, day-2*tDay)},
		"what an audit may read again is kept":                {marks{Final: hour, ReadThrough: tNow}.keep(tNow, ofUsage), hour - 72*tHour},
		"what is not final is kept":                           {marks{Final: hour - 300*tHour, ReadThrough: tNow}.keep(tNow, ofUsage), hour - 300*tHour},
		"a clock ahead lets go of nothing":                    {marks{Final: hour, ReadThrough: tNow}.keep(tNow+900*tHour, ofUsage), hour - 72*tHour},
		"the days of the bill are kept":                       {marks{Final: day - 10*tDay, ReadThrough: tNow}.keep(tNow, ofBill), day - 34*tDay},
		"idleness does not count what may be read again":      {marks{Final: hour, ReadThrough: tNow}.left(tNow, ofUsage), tNow - 72*tHour},
		"idleness does not count what was not read":           {marks{Final: hour - 500*tHour, ReadThrough: tNow}.left(tNow, ofUsage), hour - 500*tHour},
		"a clock ahead makes nothing idle":                    {marks{Final: hour, ReadThrough: tNow}.left(tNow+900*tHour, ofUsage), tNow - 72*tHour},
		"idleness of a state that never read is by the clock": {marks{Final: tNow * 2}.left(tNow, ofUsage), tNow - 72*tHour},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %s, want %s", name, time.Unix(tc.got, 0).UTC().Format(time.DateTime), time.Unix(tc.want, 0).UTC().Format(time.DateTime))
		}
	}
	begun := marks{Begun: true, Fixed: true, CountsFrom: 7 * tHour}
	if !begun.owed(ofUsage) || begun.owed(ofBill) || (marks{Begun: true}).owed(ofUsage) || (marks{Fixed: true}).owed(ofUsage) || (marks{Begun: true, Fixed: true, Audited: 1}).owed(ofUsage) {
		t.Error("a start is owed until an audit has come through, if one was given, and never of the bill")
	}
	if again := begun.beginAgain(); again.Begun || again.Afresh || again.CountsFrom != 7*tHour || again.startAfresh().CountsFrom != 7*tHour {
		t.Errorf("what is to begin again begins where it began: %+v", again)
	}
}
