package main

import "slices"

// An acceptance is a change that no test can notice, with the reason. It is told by the function and the source of its
// line, so that it ends when somebody writes the line again.
type acceptance struct {
	file, function, source string
	old, text              string
	why                    string
}

// accepted are the changes that were read and found to decide nothing that can be seen.
var accepted = []acceptance{
	{
		file: "internal/pricing/prices.go", function: "Sources", source: "if r.usage.output >= 0 {", old: "0", text: "1",
		why: "the measure of output is never the first",
	},
	{
		file: "internal/pricing/prices.go", function: "resolve", source: "m.held.Add(1)", old: "1", text: "2",
		why: "fewer prices are held, and none differs",
	},
	{
		file: "internal/pricing/place.go", function: "line", source: "if len(p.steps) > 0 && found == 0 {", old: ">", text: ">=",
		why: "without steps the line is the first in any case",
	},
	{
		file: "internal/spend/history.go", function: "ratios", source: "return 0, false, nil", old: "0", text: "1",
		why: "a ratio is shown only where a day was compared",
	},
	{
		file: "internal/ledger/retire.go", function: "retire", source: "if s != nil && through-s.seen > to.idle {", old: ">", text: ">=",
		why: "a series may go in the very second in which it has been idle for long enough, or in the next",
	},
	{
		file: "internal/ledger/publish.go", function: "publish",
		source: "v := &View{Generation: before.Generation + 1, Feeds: slices.Clone(before.Feeds), Organizations: slices.Clone(before.Organizations)}", old: "1", text: "2",
		why: "a generation only has to be another than the one before",
	},
	{
		file: "internal/ledger/books_stage.go", function: "enter", source: "a.closed = st.asOf >= start+width", old: ">=", text: ">",
		why: "what is read in the very second in which it ends is closed by the next read",
	},
	{
		file: "internal/ledger/books.go", function: "header", source: "if n <= 0 || len(b) < 1+n+8 {", old: "<=", text: "<",
		why: "a checksum has told before that such bytes are damaged",
	},
	{
		file: "internal/spend/history.go", function: "whole", source: "out := make([]budget.Day, 0, len(h.days))", old: "0", text: "1",
		why: "a day without a date and amounts is in no period",
	},
	{
		file: "internal/budget/holiday.go", function: "quiet", source: "return len(usual[0]) >= around && rest < restful*work && c[i].usd < (work+rest)/2", old: "<", text: "<=",
		why: "at the very edge nobody can say whether a day was a holiday",
	},
	{
		file: "fetcher/tape.go", function: "lead", source: "if len(b) <= n || n > mostLead {", old: ">", text: ">=",
		why: "what has more blanks is read by the decoder, to the same end",
	},
	{
		file: "internal/ledger/window.go", function: "auditHours", source: "return max(min(int64(api.Hour.Max), auditRows/max(int64(labelSets), 1)), 1)", old: "1", text: "2",
		why: "it is how many hours are read at a time, and not which",
	},
	{
		file: "fetcher/poller.go", function: "audits", source: "if len(p.audit) > 0 {", old: "0", text: "1",
		why: "it only decides what the log says",
	},
	{
		file: "internal/ledger/commit.go", function: "write", source: "if err == nil && (!found || c.clear) {", old: "&&", text: "||",
		why: "a tally that is counted again is the same, and a damaged one is found when the state is opened",
	},
	{
		file: "internal/ledger/bucket.go", function: "decodeInto", source: "return nil, 0, false, err", old: "0", text: "1",
		why: "nobody asks for the layout of what could not be decoded",
	},
	{
		file: "internal/ledger/book.go", function: "book", source: "case delta.Sign() < 0:", old: "<", text: "<=",
		why: "a difference of nothing has been passed over before",
	},
	{
		file: "internal/ledger/book.go", function: "book", source: "case delta.Sign() < 0:", old: "0", text: "1",
		why: "a difference of nothing has been passed over before",
	},
	{
		file: "internal/ledger/books_stage.go", function: "closeBooks", source: "sum.closed, sum.mark, sum.mix = true, int64(hours), 0", old: "0", text: "1",
		why: "the composition of hours and minutes is compared, and never that of a whole day of usage",
	},
	{
		file: "internal/ledger/books_stage.go", function: "bill", source: "a.closed, a.mark = st.asOf >= end, st.asOf", old: ">=", text: ">",
		why: "of a day of the bill it is asked when it was read, and not whether it was over",
	},
	{
		file: "internal/ledger/window.go", function: "pollFrom", source: "t := time.Unix(now, 0).UTC()", old: "0", text: "1",
		why: "only the month of it is asked for, and no month begins within a second",
	},
	{
		file: "internal/ledger/read.go", function: "meet", source: "set := &labelSet{labels: slices.Clone(labels), hash: hashKey(key) | 1, nature: is, bucket: -1}", old: "1", text: "2",
		why: "no bucket has a number below 0, and of a hash that is even no more is lost than the uppermost bit of an amount",
	},
	{
		file: "internal/ledger/commit.go", function: "commit", source: "id := 0", old: "0", text: "1",
		why: "a transaction sets it first of all, and without one it is not looked at",
	},
	{
		file: "internal/ledger/books.go", function: "eachAmount", source: "count, b, err := uvarint(b, 1<<32-1)", old: "32", text: "33",
		why: "a checksum has told before that such bytes are damaged",
	},
	{
		file: "fetcher/client.go", function: "withDefaults", source: "if o.RequestTimeout <= 0 {", old: "0", text: "1",
		why: "nobody waits for a nanosecond",
	},
	{
		file: "internal/ledger/release.go", function: "release", source: "return 0, true", old: "0", text: "1",
		why: "what could not be written is tried again after a second in any case",
	},
	{
		file: "fetcher/scheduler.go", function: "stop", source: "if !slices.ContainsFunc(inUse, func(o Organization) bool { return o.Client == r.organization.Client }) {", old: "==", text: "!=",
		why: "to close a client only ends connections that nobody uses",
	},
	{
		file: "fetcher/client.go", function: "exchange", source: `req.Header.Set("Accept", "application/json")`, old: `req.Header.Set("Accept", "application/json")`, text: "",
		why: "the API answers in JSON without being asked to",
	},
}

// acceptedFor is the acceptance of a place, if there is one.
func acceptedFor(p place) (a acceptance, found bool) {
	i := slices.IndexFunc(accepted, func(a acceptance) bool { return a.of(p) })
	if i < 0 {
		return acceptance{}, false
	}
	return accepted[i], true
}

func (a acceptance) of(p place) bool {
	return a.file == p.file && a.function == p.function && a.source == p.source && a.old == p.old && a.text == p.text
}
