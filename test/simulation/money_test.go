//go:build !race

package simulation_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A bill is what the API charges and credits each project on a day.
type bill map[string]ledger.Amounts

func (b bill) add(project string, by ledger.Amounts) {
	sum := b[project]
	b[project] = ledger.Amounts{Charged: sum.Charged.Add(by.Charged), Credited: sum.Credited.Add(by.Credited), Estimated: sum.Estimated.Add(by.Estimated)}
}

func (b bill) total() (sum ledger.Amounts) {
	all := bill{}
	for _, by := range b {
		all.add("", by)
	}
	return all[""]
}

// billed is what the bill says of a day at a moment. A row that is negative is a credit. It is one of its own however rows
// are asked for, and told from charges of no project by having no line item.
func (o *oracle) billed(b *book, day, asOf int64) bill {
	key := fmt.Sprint(b.organization.name, day, asOf)
	if known, ok := o.bills[key]; ok {
		return known
	}
	if len(o.bills) > 500 {
		clear(o.bills)
	}
	out := bill{}
	for _, r := range b.organization.sim.Truth(api.Costs, []string{"project_id", "line_item"}, time.Unix(day, 0), time.Unix(day+86400, 0), time.Unix(asOf, 0)) {
		if usd := r.Values[api.MeasureCost]; usd.Sign() < 0 {
			out.add(r.Labels["project_id"], ledger.Amounts{Credited: usd.Neg()})
		} else {
			out.add(r.Labels["project_id"], ledger.Amounts{Charged: usd})
		}
	}
	o.bills[key] = out
	return out
}

// A dated is what is known of a day of an organization: what it was charged and credited, and what its usage is
// estimated to have cost.
type dated struct {
	start            int64
	by               bill
	estimates, whole int // endpoints that have estimates of the day, and those with usage that have all its hours
	bill             *ledger.DayBook
	split            bool // both are known by project
}

// priced are the endpoints of an organization whose usage, or whose level, is priced and was read.
func (o *oracle) priced(name string) (out []*ledger.FeedView) {
	for _, f := range o.w.running.View().Feeds {
		if f.Organization == name && !f.Endpoint.IsCosts() && !f.ReadAt.IsZero() {
			out = append(out, f)
		}
	}
	return out
}

// flows is how many endpoints have usage. A day is whole without its levels.
func flows(priced []*ledger.FeedView) (n int) {
	for _, f := range priced {
		if !f.Endpoint.Stock {
			n++
		}
	}
	return n
}

func bookOf(f *ledger.FeedView, day int64) *ledger.DayBook {
	at, found := slices.BinarySearchFunc(f.Books, day, func(d *ledger.DayBook, day int64) int { return int(d.Start.Unix() - day) })
	if !found {
		return nil
	}
	return f.Books[at]
}

// dated puts the bill of a day and its estimates together.
func (o *oracle) dated(f *ledger.FeedView, usage []*ledger.FeedView, day int64, charged bill) dated {
	d := dated{start: day, by: bill{}, bill: bookOf(f, day), split: true}
	for project, by := range charged {
		d.by.add(project, by)
	}
	d.split = d.bill == nil || d.bill.Split || len(charged) == 0
	for _, u := range usage {
		book := bookOf(u, day)
		if book == nil {
			continue
		}
		d.estimates++
		if book.Hours == 24 && !u.Endpoint.Stock {
			d.whole++
		}
		book.Projects(func(project string, by ledger.Amounts) { d.by.add(project, by) })
		d.split = d.split && (book.Split || book.Total().Estimated.IsZero())
	}
	return d
}

// unbilled is by how much the estimates of a day are above its charges, project by project where they are known.
func (d dated) unbilled(project string) (sum decimal.Fixed) {
	if !d.split {
		all := d.by.total()
		return all.Estimated.Sub(all.Charged).Max(decimal.Fixed{})
	}
	for id, by := range d.by {
		if project == "" || project == id {
			sum = sum.Add(by.Estimated.Sub(by.Charged).Max(decimal.Fixed{}))
		}
	}
	return sum
}

const settles = 48 * 3600 // seconds after its start a day's bill is the whole of it, once it is read

// whole holds what an organization has spent, and what of that is not billed yet, against the bill and the usage that was
// read. It does not depend on what is shown.
func (o *oracle) whole(got scraped, b *book, f *ledger.FeedView, today, month time.Time) {
	w, name := o.w, b.organization.name
	project := b.organization.sim.Projects()[b.organization.budgeted].ID
	usage := o.priced(name)
	var all, part decimal.Fixed
	// By the API's Date, which may be ahead, but no bill was read later than now.
	read := min(b.date, w.now().Unix())
	for day := today.Unix(); day >= month.Unix() && read < day+settles; day -= 86400 {
		charged := o.billed(b, day, b.asOf)
		if day > b.asOf {
			charged = bill{}
		}
		o.heldBill(b, f, day, charged)
		d := o.dated(f, usage, day, charged)
		all = all.Add(d.unbilled(""))
		part = part.Add(d.unbilled(project))
	}
	show := func(metric string) (float64, bool) {
		n, ok := got[metric+fmt.Sprintf("{organization=%q}", name)]
		return n, ok
	}
	billed, ok := show("openai_organization_month_to_date_usd")
	if want := total(o.said(b, nil, month)).Float64(); !ok || math.Abs(billed-want) > near {
		w.fault("the month of %s has %v billed (%t), the bill said %v as of %s", name, billed, ok, want, time.Unix(b.asOf, 0).UTC().Format(time.DateTime))
	}
	unbilled, ok := show("openai_organization_unbilled_estimate_usd")
	if !ok || math.Abs(unbilled-all.Float64()) > near {
		w.fault("%s has %v that is not billed (%t), its usage and its bill say %s", name, unbilled, ok, all)
	}
	forecast, ok := show("openai_cost_month_forecast_usd")
	if !ok || forecast < billed+unbilled-1e-6 {
		w.fault("%s is expected to spend %v (%t), and has spent %v", name, forecast, ok, billed+unbilled)
	}
	bills := o.said(b, []string{"project_id"}, month)
	o.months++
	o.budget(got, "all of "+name, total(bills), all)
	o.budget(got, "a part of "+name, bills[fmt.Sprintf("project_id=%q", project)], part)
	if n, ok := got[fmt.Sprintf("openai_budget_forecast_usd{budget=\"all of %s\",organization=%q,period=\"month\"}", name, name)]; !ok || n != forecast {
		w.fault("%s is expected to spend %v, and its budget says %v (%t)", name, forecast, n, ok)
	}
	if !time.Now().Before(o.next) {
		o.forecast(b, f, usage, forecast)
		o.longer(got, b, all.Add(o.unbilledBefore(b, f, usage, month)))
	}
}

// unbilledBefore is what the days of a longer period before the month lack of their bill.
func (o *oracle) unbilledBefore(b *book, f *ledger.FeedView, usage []*ledger.FeedView, month time.Time) (sum decimal.Fixed) {
	w := o.w
	if w.settings.period == "" {
		return sum
	}
	begin, read := budget.Calendar(w.settings.period, w.now()).Start.Unix(), min(b.date, w.now().Unix())
	for day := month.Unix() - 86400; day >= begin && read < day+settles; day -= 86400 {
		sum = sum.Add(o.dated(f, usage, day, o.billed(b, day, b.asOf)).unbilled(""))
	}
	return sum
}

// longer holds a budget whose period began before the month against the bill since then, once that has been read.
func (o *oracle) longer(got scraped, b *book, unbilled decimal.Fixed) {
	w, now := o.w, o.w.now()
	if w.settings.period == "" {
		return
	}
	n, ok := got[fmt.Sprintf("openai_budget_billed_usd{budget=\"longer of %s\",organization=%q,period=%q}", b.organization.name, b.organization.name, w.settings.period)]
	if !ok {
		return
	}
	if want := total(o.sinceBeginning(b, budget.Calendar(w.settings.period, now).Start)); math.Abs(n-want.Float64()) > near*10 {
		w.fault("the budget of %s for a %s has %v billed, the bill said %s", b.organization.name, w.settings.period, n, want)
	}
	if n := got[fmt.Sprintf("openai_budget_unbilled_estimate_usd{budget=\"longer of %s\",organization=%q,period=%q}", b.organization.name, b.organization.name, w.settings.period)]; math.Abs(n-unbilled.Float64()) > near {
		w.fault("the budget of %s for a %s has %v that is not billed, it is %s", b.organization.name, w.settings.period, n, unbilled)
	}
	o.longs++
}

// sinceBeginning is what the bill said since a period began.
func (o *oracle) sinceBeginning(b *book, begin time.Time) map[string]decimal.Fixed {
	if b.organization.corrected && b.asOf > begin.Unix() {
		return o.known(b, nil, begin.Unix(), b.asOf)[0]
	}
	return o.said(b, nil, begin)
}

// heldBill holds what the books have of a day of the bill against what the API said, charges and credits by themselves.
func (o *oracle) heldBill(b *book, f *ledger.FeedView, day int64, want bill) {
	d := bookOf(f, day)
	if d == nil {
		if !nothing(want.total().Charged) {
			o.w.fault("the books of %s do not have %s, for which %s were charged", b.organization.name, time.Unix(day, 0).UTC().Format(time.DateOnly), want.total().Charged)
		}
		return
	}
	got := bill{}
	d.Projects(func(project string, by ledger.Amounts) { got.add(project, by) })
	if !d.Split {
		want = bill{"": want.total()}
	}
	for _, id := range sorted(want) {
		got.add(id, ledger.Amounts{}) // So that what is missing is compared.
	}
	for _, id := range sorted(got) {
		if !nothing(got[id].Charged.Sub(want[id].Charged)) || !nothing(got[id].Credited.Sub(want[id].Credited)) {
			o.w.fault("the books of %s have %s charged and %s credited to %q on %s, the bill said %s and %s", b.organization.name, got[id].Charged, got[id].Credited, id,
				time.Unix(day, 0).UTC().Format(time.DateOnly), want[id].Charged, want[id].Credited)
		}
	}
}

// budget holds the parts of a budget against what they have to be. What can't be told is absent.
func (o *oracle) budget(got scraped, name string, billed, unbilled decimal.Fixed) {
	organization := ""
	for _, x := range o.w.organizations {
		if strings.HasSuffix(name, " "+x.name) {
			organization = x.name
		}
	}
	for metric, want := range map[string]decimal.Fixed{"billed": billed, "unbilled_estimate": unbilled, "spent": billed.Add(unbilled)} {
		n, ok := got[fmt.Sprintf("openai_budget_%s_usd{budget=%q,organization=%q,period=\"month\"}", metric, name, organization)]
		if ok && math.Abs(n-want.Float64()) > near {
			o.w.fault("the budget %q has %v %s, and it is %s", name, n, metric, want)
		}
	}
}

// forecast holds the forecast of the month against the one that the days in the books lead to. It was made between the
// turn of the hour, or the newest poll after that, and now.
func (o *oracle) forecast(b *book, f *ledger.FeedView, usage []*ledger.FeedView, got float64) {
	days := map[int64]bool{}
	for _, u := range append([]*ledger.FeedView{f}, usage...) {
		for _, d := range u.Books {
			days[d.Start.Unix()] = true
		}
	}
	now := o.w.now()
	var all []budget.Day
	for day := range days {
		d := bookOf(f, day)
		charged := bill{}
		if d != nil {
			d.Projects(func(project string, by ledger.Amounts) { charged.add(project, by) })
		}
		x := o.dated(f, usage, day, charged)
		settled := d != nil && min(d.ReadAt.Unix(), now.Unix()) >= day+settles
		sum := budget.Day{Start: time.Unix(day, 0).UTC(), HasBill: d != nil, HasEstimate: flows(usage) > 0 && x.whole == flows(usage) || x.estimates > 0 && day == now.Truncate(24*time.Hour).Unix()}
		total := x.by.total()
		sum.Charged, sum.Credited = total.Charged, total.Credited
		if !settled { // As one that is estimated at what the projects are charged and lack.
			sum.Estimated = total.Charged.Add(x.unbilled(""))
		}
		all = append(all, sum)
	}
	low, high := math.Inf(1), math.Inf(-1)
	// From the newest moment back: once both bounds hold, no other moment takes them away.
	hour := now.Truncate(time.Hour)
	step := int64(max(now.Sub(hour)/16, time.Second))
	for i := int64(now.Sub(hour)) / step; i >= 0 && (got < low || got > high); i-- {
		at := hour.Add(time.Duration(i * step))
		read := f.ReadAt
		if read.After(at) { // By a Date that was ahead.
			read = at
		}
		n := budget.Month(all, at, read).Forecast.Float64()
		low, high = min(low, n), max(high, n)
	}
	if slack := 1e-5 + math.Abs(high)/1e4; got < low-slack || got > high+slack {
		o.w.fault("%s is expected to spend %v, its days lead to %v to %v", b.organization.name, got, low, high)
	}
}
