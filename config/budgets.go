package config

import (
	"fmt"
	"slices"
	"time"
)

// The periods that a budget may be for.
const (
	Month   = "month"
	Quarter = "quarter"
	Year    = "year"
	// Term is from a day to another one: that of a prepaid credit, or of a commitment.
	Term = "term"
)

// longestTerm is for how long the bill of a day is kept.
const longestTerm = 400

// A Budget is an amount for a period that spending is compared with.
type Budget struct {
	Name string
	// Organization is whose costs count. Of a Valid it is never empty.
	Organization string
	// ProjectIDs are the projects whose costs count; none means all of them, or the team's.
	ProjectIDs []string
	// Team is the team whose projects' costs count, "" for none.
	Team string
	// Of a Valid one of these is set. They are in US dollars, for a UTC month, quarter or year, or for the term.
	MonthlyUSD, QuarterlyUSD, YearlyUSD, USD float64
	// Start and End are the UTC midnights between which the term of USD is.
	Start, End time.Time
}

// amounts are the keys for an amount, one of which a budget has.
var amounts = []struct {
	key, period string
	at          func(*Budget) *float64
}{
	{"monthly_usd", Month, func(b *Budget) *float64 { return &b.MonthlyUSD }},
	{"quarterly_usd", Quarter, func(b *Budget) *float64 { return &b.QuarterlyUSD }},
	{"yearly_usd", Year, func(b *Budget) *float64 { return &b.YearlyUSD }},
	{"usd", Term, func(b *Budget) *float64 { return &b.USD }},
}

const oneAmount = "write one of monthly_usd, quarterly_usd and yearly_usd, or usd with start and end"

// Amount is what may be spent, in US dollars, and in which period.
func (b Budget) Amount() (usd float64, period string) {
	for _, a := range amounts {
		if usd := *a.at(&b); usd != 0 {
			return usd, a.period
		}
	}
	return 0, ""
}

// equal says whether both compare the same spending with the same amount.
func (b Budget) equal(other Budget) bool {
	usd, period := b.Amount()
	otherUSD, otherPeriod := other.Amount()
	return b.Name == other.Name && b.Organization == other.Organization && b.Team == other.Team && slices.Equal(b.ProjectIDs, other.ProjectIDs) &&
		usd == otherUSD && period == otherPeriod && b.Start.Equal(other.Start) && b.End.Equal(other.End)
}

func (c *Config) checkBudgets(s *source) {
	type key struct{ organization, name string }
	names := make(map[key]int)
	for i := range c.Budgets {
		b := &c.Budgets[i]
		path := fmt.Sprintf("budgets[%d]", i)
		if s.bad[path] || s.bad["budgets"] {
			continue
		}
		c.checkOrganization(s, &b.Organization, path, "a budget")
		name := []string{path + ".name", path}
		if text := badName(b.Name); text != "" {
			if b.Name == "" && !s.set(name[0]) {
				text = "is missing: a budget needs a name"
			}
			s.wrong(name, "%s", text)
		} else if first, twice := names[key{b.Organization, b.Name}]; twice {
			s.wrong(name, "%q is also the name of budgets[%d]", b.Name, first)
		} else {
			names[key{b.Organization, b.Name}] = i
		}
		checkAmount(s, b, path)
		c.checkTeamOfBudget(s, b, path)
		b.ProjectIDs = slices.Clone(b.ProjectIDs)
		c.checkProjects(s, b.Organization, path+".project_ids", b.ProjectIDs)
	}
}

// checkTeamOfBudget wants a team that the organization has, and no projects beside it.
func (c *Config) checkTeamOfBudget(s *source, b *Budget, path string) {
	at := []string{path + ".team", path}
	if b.Team == "" {
		if s.set(at[0]) && !s.bad[at[0]] {
			s.wrong(at, "is empty: name a team, or leave it out")
		}
		return
	}
	if len(b.ProjectIDs) > 0 {
		s.wrong(at, "project_ids is also set: a budget is either for a team or for project_ids")
	}
	if s.bad["teams"] || !slices.ContainsFunc(c.Organizations, func(o Organization) bool { return o.Name == b.Organization }) {
		return
	}
	var names []string
	for i, t := range c.Teams {
		if s.bad[fmt.Sprintf("teams[%d]", i)] || s.bad[fmt.Sprintf("teams[%d].name", i)] {
			return // The list of what is allowed would be wrong.
		}
		if t.Organization == b.Organization && t.Name != "" {
			names = append(names, t.Name)
		}
	}
	switch {
	case slices.Contains(names, b.Team):
	case len(names) == 0:
		s.wrong(at, "there is no team %q: organization %q has no teams", shorten(b.Team), shorten(b.Organization))
	default:
		s.wrong(at, "there is no team %q%s", shorten(b.Team), allowed(b.Team, names))
	}
}

// checkAmount wants exactly one amount, and a term beside one that needs it.
func checkAmount(s *source, b *Budget, path string) {
	var first string
	term := false
	for _, a := range amounts {
		at, usd := path+"."+a.key, *a.at(b)
		if !s.set(at) && usd == 0 {
			continue
		}
		switch {
		case first != "":
			s.wrong([]string{at, path}, "%s is also set: %s", first, oneAmount)
		case !(usd > 0):
			s.wrong([]string{at, path}, "must be above 0")
		}
		if first == "" {
			first = a.key
		}
		term = term || a.period == Term
	}
	start, end := path+".start", path+".end"
	switch {
	case first == "":
		for _, a := range amounts {
			if s.bad[path+"."+a.key] {
				return
			}
		}
		s.wrong([]string{path}, "has no amount: %s", oneAmount)
	case !term:
		for _, at := range []string{start, end} {
			if s.set(at) {
				s.wrong([]string{at}, "can only be used with usd: %s is for each %s", first, map[string]string{"monthly_usd": Month, "quarterly_usd": Quarter, "yearly_usd": Year}[first])
			}
		}
	default:
		checkTerm(s, b, path)
	}
}

func checkTerm(s *source, b *Budget, path string) {
	start, end := path+".start", path+".end"
	for _, m := range []struct {
		at   string
		day  time.Time
		what string
	}{{start, b.Start, "the first UTC day of its term"}, {end, b.End, "the UTC day after the last one of its term"}} {
		if m.day.IsZero() && !s.set(m.at) {
			s.wrong([]string{m.at, path}, "is missing: a budget with usd needs %s, such as 2026-06-01", m.what)
		}
	}
	if b.Start.IsZero() || b.End.IsZero() {
		return
	}
	days := int(b.End.Sub(b.Start) / (24 * time.Hour))
	switch {
	case days < 1:
		s.wrong([]string{end, start, path}, "%s must be after start: it is the day after the last one of the term", b.End.Format(time.DateOnly))
	case days > longestTerm:
		s.wrong([]string{end, start, path}, "the term is %d days long, and may be at most %d: the bill is kept for that long", days, longestTerm)
	}
}
