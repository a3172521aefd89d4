package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

// Many says whether the page is an index, which leads to a page of each organization.
func (v view) Many() bool { return v.Only == "" && len(v.Organizations) > few }

// An IndexRow is an organization in the index.
type IndexRow struct {
	Name                   string
	State                  fetcher.State
	Summary                string
	Today, Month, Forecast string

	rank  int
	spent float64
}

// Index lists the organizations: those in trouble first, then by what they have spent this month.
func (v view) Index() []IndexRow {
	usd := func(n json.Number) string {
		if n == "" {
			return "–"
		}
		return v.USD(n)
	}
	rows := make([]IndexRow, 0, len(v.Organizations))
	for i := range v.Organizations {
		o := &v.Organizations[i]
		row := IndexRow{Name: o.Name, Today: usd(o.CostTodayUSD), Month: usd(o.CostMonthToDateUSD), Forecast: usd(o.CostMonthForecastUSD), spent: float(o.CostMonthToDateUSD)}
		n := countOf(o.Endpoints)
		switch {
		case len(o.Refused) > 0:
			row.State, row.Summary = fetcher.StateFailing, "OpenAI refuses requests"
		case n.failing > 0:
			row.State, row.Summary, row.rank = fetcher.StateFailing, fmt.Sprintf("%d of %s failing", n.failing, endpoints(n.all-n.unavailable)), 1
		case n.starting > 0:
			row.State, row.Summary, row.rank = fetcher.StateStarting, "starting", 2
		default:
			row.State, row.Summary, row.rank = fetcher.StateOK, "up to date", 3
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b IndexRow) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.spent, a.spent), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

// A Reading is some endpoints of an organization. Only those in trouble are open.
type Reading struct {
	Title     string
	Open      bool
	Endpoints []Endpoint
}

// Readings are the endpoints in trouble, and the others.
func (v view) Readings(o Organization) []Reading {
	var trouble, rest []Endpoint
	for i := range o.Endpoints {
		if e := &o.Endpoints[i]; e.State == fetcher.StateFailing || e.State == fetcher.StateStarting {
			trouble = append(trouble, *e)
		} else {
			rest = append(rest, *e)
		}
	}
	n := countOf(o.Endpoints)
	var out []Reading
	if len(trouble) > 0 {
		title := fmt.Sprintf("%s failing", endpoints(n.failing))
		if n.failing == 0 {
			title = fmt.Sprintf("%s starting", endpoints(n.starting))
		} else if n.starting > 0 {
			title += fmt.Sprintf(", %d starting", n.starting)
		}
		out = append(out, Reading{title, true, trouble})
	}
	if len(rest) > 0 {
		title := fmt.Sprintf("%s up to date", endpoints(n.all-n.unavailable-n.failing-n.starting))
		if n.unavailable > 0 {
			title += fmt.Sprintf(", %d not available", n.unavailable)
		}
		out = append(out, Reading{title, false, rest})
	}
	return out
}
