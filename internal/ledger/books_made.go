package ledger

import (
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// makeBooks makes the books of a state of an older version, which kept no more than the buckets of its series. What their
// labels do not tell, because they are folded or not grouped by project, is not known.
func (f *Feed) makeBooks() error {
	if f.options.Endpoint.Stock {
		return nil
	}
	for _, sp := range f.spans {
		for _, b := range sp.buckets {
			cells, _, priced, err := f.layouts.decodeCells(b.cells)
			if err != nil {
				return err
			}
			a := newAccount()
			a.split = slices.Contains(f.groupBy, "project_id")
			a.closed = b.start+sp.width <= f.meta.ReadThrough
			if f.options.Endpoint.IsCosts() {
				f.rememberBill(a, cells)
			} else if !priced {
				continue
			}
			for i := range cells {
				if usd := cells[i].derived[api.DerivedCost]; !usd.IsZero() {
					a.attribute(f.seriesOf(cells[i].id), Amounts{Estimated: usd})
				}
			}
			a.blur()
			f.books.pieces[bucketKey{b.start, sp.width}] = a.encode(f.books.symbols)
		}
	}
	return nil
}

func (f *Feed) seriesOf(id uint32) *series { return f.list[f.position[id]] }

// attribute adds amounts of a series to its project.
func (a *account) attribute(s *series, by Amounts) {
	project := valueOf(s.labels, "project_id")
	a.split = a.split && project != Other
	a.charge(project, by)
}

// blur leaves one sum where the projects are not known.
func (a *account) blur() {
	if a.split {
		return
	}
	var sum Amounts
	for _, by := range a.projects {
		sum = sum.add(by)
	}
	a.projects = map[string]Amounts{}
	a.charge("", sum)
}

// rememberBill takes what the series of the bill say of a day: amounts by project and line item, quantities by line item
// and unit.
func (f *Feed) rememberBill(a *account, cells []cell) {
	e := f.options.Endpoint
	a.mark = f.meta.ReadAt
	a.itemized = slices.Contains(f.groupBy, "line_item")
	usd := map[string]decimal.Fixed{}
	units := map[string][]string{}
	for i := range cells {
		s := f.seriesOf(cells[i].id)
		item := valueOf(s.labels, "line_item")
		a.itemized = a.itemized && item != Other
		for _, m := range f.group(s.group).measures {
			v := cells[i].values[m]
			switch name := e.Measures[m].Name; {
			case name == api.MeasureCost && v.Sign() < 0:
				a.attribute(s, Amounts{Credited: v.Neg()})
			case name == api.MeasureCost:
				a.attribute(s, Amounts{Charged: v})
				usd[item] = usd[item].Add(v)
			case name == api.MeasureCostQuantity && !v.IsZero():
				unit := valueOf(s.labels, "unit")
				units[item] = append(units[item], unit)
				a.sales[Item{item, unit}] = Sale{Quantity: v}
			}
		}
	}
	for item, v := range usd {
		// Nobody can tell what was paid for which of several units.
		key := Item{LineItem: item}
		if len(units[item]) == 1 {
			key.Unit = units[item][0]
		}
		a.sales[key] = a.sales[key].add(Sale{USD: v})
	}
	for key, sale := range a.sales {
		if sale.USD.IsZero() && len(units[key.LineItem]) == 1 {
			a.sales[key] = Sale{Free: sale.Quantity}
		}
	}
	if !a.itemized {
		a.sales = nil
	}
}
