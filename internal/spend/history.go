package spend

import (
	"time"

	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

const day = 24 * time.Hour

// A history puts together what the books of the bill and those of usage say of an organization's days.
type history struct {
	readAt time.Time // of the bill
	days   []*dated  // oldest first
}

// A dated is a UTC day in all books.
type dated struct {
	start time.Time
	bill  *ledger.DayBook // nil where the bill was not read
	usage []*ledger.DayBook
	// settled says that the bill of the day is the whole of it, so that estimates are no part of what is spent.
	settled bool
	// estimated says that the usage of the day is known whole, as far as the day has come.
	estimated bool
}

func newHistory(bill *ledger.FeedView, usage []*ledger.FeedView, now time.Time) *history {
	// By a Date that was ahead, a bill seems read later than now. What it lacks may still come.
	read := func(at time.Time) time.Time {
		if at.After(now) {
			return now
		}
		return at
	}
	h := &history{readAt: read(bill.ReadAt)}
	at := make(map[int64]*dated)
	entry := func(b *ledger.DayBook) *dated {
		d := at[b.Start.Unix()]
		if d == nil {
			d = &dated{start: b.Start}
			at[b.Start.Unix()] = d
		}
		return d
	}
	whole, flows := make(map[int64]int), 0
	for _, b := range bill.Books {
		entry(b).bill = b
	}
	for _, f := range usage {
		if !f.Endpoint.Stock {
			flows++
		}
		for _, b := range f.Books {
			d := entry(b)
			d.usage = append(d.usage, b)
			// A level is known of the days that polls have read, and without it the day is whole but for it.
			if b.Hours == 24 && !f.Endpoint.Stock {
				whole[b.Start.Unix()]++
			}
		}
	}
	today := now.UTC().Truncate(day)
	for start, d := range at {
		// A day that the API left out of its answers has not been read since, whatever else was.
		d.settled = d.bill != nil && budget.Day{Start: d.start, HasBill: true}.Settled(read(d.bill.ReadAt))
		d.estimated = flows > 0 && whole[start] == flows || d.start.Equal(today) && len(d.usage) > 0
	}
	for _, start := range sortedKeys(at) {
		h.days = append(h.days, at[start])
	}
	return h
}

// blank is the day without amounts.
func (d *dated) blank(billRead time.Time) budget.Day {
	b := budget.Day{Start: d.start, HasBill: d.bill != nil, HasEstimate: d.estimated}
	if !d.settled && b.Settled(billRead) {
		b.HasBill = false
	}
	return b
}

// split says whether it is known what each project has spent on the day.
func (d *dated) split() bool {
	if d.bill != nil && !d.bill.Split && d.bill.Total() != (ledger.Amounts{}) {
		return false
	}
	for _, u := range d.usage {
		if !d.settled && !u.Split && !u.Total().Estimated.IsZero() {
			return false
		}
	}
	return true
}

// each hands out the amounts of projects. Those of a project may come in pieces. Estimates of a settled day are left out,
// unless all is asked for.
func (d *dated) each(all bool, yield func(project string, by ledger.Amounts)) {
	if d.bill != nil {
		d.bill.Projects(yield)
	}
	if d.settled && !all {
		return
	}
	for _, u := range d.usage {
		u.Projects(yield)
	}
}

func charge(d budget.Day, by ledger.Amounts) budget.Day {
	d.Charged, d.Credited, d.Estimated = d.Charged.Add(by.Charged), d.Credited.Add(by.Credited), d.Estimated.Add(by.Estimated)
	return d
}

// projects are the amounts of the day by project.
func (d *dated) projects(billRead time.Time, all bool) map[string]budget.Day {
	out := make(map[string]budget.Day)
	d.each(all, func(project string, by ledger.Amounts) {
		sum, met := out[project]
		if !met {
			sum = d.blank(billRead)
		}
		out[project] = charge(sum, by)
	})
	return out
}

// whole are the days of the organization. What is unbilled is found by project, where projects are known.
func (h *history) whole() []budget.Day {
	out := make([]budget.Day, 0, len(h.days))
	for _, d := range h.days {
		if d.settled {
			out = append(out, charge(d.blank(h.readAt), d.bill.Total()))
			continue
		}
		if !d.split() {
			sum := d.blank(h.readAt)
			d.each(false, func(_ string, by ledger.Amounts) { sum = charge(sum, by) })
			out = append(out, sum)
			continue
		}
		parts := [][]budget.Day{{d.blank(h.readAt)}}
		for _, part := range d.projects(h.readAt, false) {
			parts = append(parts, []budget.Day{part})
		}
		out = append(out, budget.Merge(h.readAt, parts...)...)
	}
	return out
}

// daysOf are the days of some projects. known is false where nobody can tell what they have spent since from.
func (h *history) daysOf(ids []string, from time.Time) (days []budget.Day, known bool) {
	among := make(map[string]bool, len(ids))
	for _, id := range ids {
		among[id] = true
	}
	for _, d := range h.days {
		if !d.split() {
			if !d.start.Before(from) {
				return nil, false
			}
			continue
		}
		sums := map[string]budget.Day{"": d.blank(h.readAt)} // No project is without a name.
		d.each(false, func(project string, by ledger.Amounts) {
			if project == "" || !among[project] {
				return
			}
			sum, met := sums[project]
			if !met {
				sum = d.blank(h.readAt)
			}
			sums[project] = charge(sum, by)
		})
		parts := make([][]budget.Day, 0, len(sums))
		for _, part := range sums {
			parts = append(parts, []budget.Day{part})
		}
		days = append(days, budget.Merge(h.readAt, parts...)...)
	}
	return days, true
}

// cent is the least bill that an estimate is compared with: below it the ratio of two roundings says nothing.
const cent = 0.01

// corrected is how long after its end the bill of a day is corrected.
const corrected = 3 * day

// comparedFor is for how many days back a day is looked for on which estimate and bill can be compared.
const comparedFor = 7 * day

// comparable is the day on which estimate and bill are compared: the newest that charges something, whose bill is not
// corrected any more and whose usage is known whole. Until there is one, a day whose bill is settled will do.
func (h *history) comparable(now time.Time) (best *dated) {
	final := func(d *dated) bool { return !h.readAt.Before(d.start.Add(day + corrected)) }
	for _, d := range h.days {
		if now.Sub(d.start) > corrected+comparedFor || !d.settled || !d.estimated || d.bill.Total().Charged.Float64() < cent {
			continue
		}
		if best == nil || final(d) || !final(best) {
			best = d
		}
	}
	return best
}

// ratios compares estimate and charges of a day, for all of the organization and by project.
func (h *history) ratios(now time.Time) (whole float64, found bool, projects []Ratio) {
	d := h.comparable(now)
	if d == nil {
		return 0, false, nil
	}
	var sum budget.Day
	by := d.projects(h.readAt, true)
	for _, id := range sortedKeys(by) {
		part := by[id]
		sum = charge(sum, ledger.Amounts{Charged: part.Charged, Estimated: part.Estimated})
		// A project in every series: what has none is in the organization's ratio.
		if id != "" && part.Charged.Float64() >= cent && d.splitWhole() {
			projects = append(projects, Ratio{id, ratio(part.Estimated, part.Charged)})
		}
	}
	return ratio(sum.Estimated, sum.Charged), true, projects
}

// splitWhole says whether both the bill and all usage of the day are known by project.
func (d *dated) splitWhole() bool {
	for _, u := range d.usage {
		if !u.Split && !u.Total().Estimated.IsZero() {
			return false
		}
	}
	return d.bill.Split
}

func ratio(a, b decimal.Fixed) float64 { return a.Float64() / b.Float64() }
