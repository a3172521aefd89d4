package pricing

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// learnDays is how many of the newest days that have a quantity a price is made of.
const learnDays = 3

// A Charge is a row of a closed day of the bill, as it was grouped by line item. Rows may repeat.
type Charge struct {
	Day      time.Time // the UTC day's start
	LineItem string
	Unit     string // quantity_unit, "" for null
	USD      decimal.Fixed
	Quantity decimal.Fixed
}

// An EffectivePrice is what a line item really cost, per unit of the bill.
type EffectivePrice struct {
	LineItem, Unit string
	USD            decimal.Fixed
}

// Learned are the prices that a bill teaches. They do not change once learned.
type Learned struct {
	models    map[string]*learnedModel // by canonical name; products by the name of the bill
	snapshots map[string][]string      // models that have a date, by their name without it, newest first
	effective []EffectivePrice
	unparsed  []string
	through   time.Time
}

// learnedModel holds a model's prices by tier, and under anyTier the blend of all tiers.
type learnedModel struct{ tiers map[Tier]*table }

// agreeOnModalities lets a tier know that another one tells modalities apart: it is the same model.
func (m *learnedModel) agreeOnModalities() {
	split := false
	for _, t := range m.tiers {
		split = split || t.split
	}
	for _, t := range m.tiers {
		t.split = split
	}
}

// units are the units of the bill: what they count, and how many of it one is.
var units = map[string]struct {
	unit string
	of   int64
}{
	"tokens":           {tokens, 1},
	"1000_tokens":      {tokens, 1000},
	"duration_seconds": {audioSeconds, 1},
	"duration_minutes": {audioSeconds, 60},
	"duration_hours":   {audioSeconds, 3600},
	"gibibyte_hours":   {storage, 1},
	"images":           {images, 1},
	"characters":       {characters, 1},
}

// A sum is what something cost on a day.
type sum struct{ usd, quantity decimal.Fixed }

func (s sum) add(t sum) sum { return sum{s.usd.Add(t.usd), s.quantity.Add(t.quantity)} }

// days are sums by the start of their day in Unix seconds.
type days map[int64]sum

// price is the amount over the quantity of the newest days.
func (d days) price() decimal.Fixed {
	newest := slices.SortedFunc(maps.Keys(d), func(a, b int64) int { return cmp.Compare(b, a) })
	var s sum
	for _, day := range newest[:min(learnDays, len(newest))] {
		s = s.add(d[day])
	}
	return s.usd.Quo(s.quantity)
}

// learnKey is something whose price is learned: a slot of a model in a tier.
type learnKey struct {
	model string
	tier  Tier
	slot
}

// Learn makes prices of the bill of closed days. A price is the amount over the quantity of the newest days on which
// there is a quantity. Usage that was free counts, since it makes the average cheaper; what is negative does not, since
// it is a credit and no price. Long context is not told apart by usage, so it is a part of the price of its kind.
func Learn(charges []Charge) *Learned {
	l := &Learned{models: map[string]*learnedModel{}, snapshots: map[string][]string{}}
	type itemKey struct{ item, unit string }
	items := map[itemKey]days{}
	slots := map[learnKey]days{}
	unparsed := map[string]bool{}
	book := func(k learnKey, day int64, s sum) {
		if slots[k] == nil {
			slots[k] = days{}
		}
		slots[k][day] = slots[k][day].add(s)
	}
	for _, c := range charges {
		if c.LineItem == "" {
			continue // A credit or a tax: nothing was bought.
		}
		if end := c.Day.UTC().Add(24 * time.Hour); end.After(l.through) {
			l.through = end
		}
		item, ok := ParseLineItem(c.LineItem)
		s, key, fits := item.slot(c)
		if !ok || !fits {
			unparsed[c.LineItem] = true
		}
		if c.USD.Sign() < 0 || c.Quantity.Sign() <= 0 {
			continue
		}
		day := c.Day.Unix()
		k := itemKey{c.LineItem, c.Unit}
		if items[k] == nil {
			items[k] = days{}
		}
		items[k][day] = items[k][day].add(sum{c.USD, c.Quantity})
		if !ok || !fits || key.unit == "" {
			continue
		}
		book(key, day, s)
		if key.unit == tokens {
			key.tier = anyTier
			book(key, day, s)
		}
	}
	for k, d := range slots {
		l.set(k, d.price())
	}
	for k, d := range items {
		l.effective = append(l.effective, EffectivePrice{k.item, k.unit, d.price()})
	}
	slices.SortFunc(l.effective, func(a, b EffectivePrice) int {
		return cmp.Or(cmp.Compare(a.LineItem, b.LineItem), cmp.Compare(a.Unit, b.Unit))
	})
	for _, m := range l.models {
		m.agreeOnModalities()
	}
	l.unparsed = slices.Sorted(maps.Keys(unparsed))
	for name := range l.models {
		if base, date := undated(name); date != "" {
			l.snapshots[base] = append(l.snapshots[base], name)
		}
	}
	for _, names := range l.snapshots {
		slices.Sort(names)
		slices.Reverse(names) // Dates sort as texts.
	}
	return l
}

// slot says what a charge of the item teaches the price of, and by how much. The unit is empty where it teaches none:
// an item that does not say whether its tokens went in or came out. It does not fit where the unit is not what the item
// is counted in.
func (l LineItem) slot(c Charge) (s sum, k learnKey, fits bool) {
	s = sum{c.USD, c.Quantity}
	k = learnKey{model: canonical(l.Model), tier: Standard}
	if l.Product != "" {
		k.model = l.Product
	}
	natural := l.unit
	if natural == "" && l.Kind != "" {
		natural = tokens
	}
	if c.Unit == "" || c.Unit == "others" {
		// A bare number is a number of what the item is counted in, unless that has several units.
		switch {
		case natural == "":
			return s, k, true
		case natural == audioSeconds, natural == storage, natural == tokens && c.Unit != "":
			return s, k, c.Quantity.IsZero()
		}
		k.unit = natural
	} else {
		u, ok := units[c.Unit]
		if !ok || natural != "" && u.unit != natural && (l.unit != "" || l.Kind != Input) {
			return s, k, c.Quantity.IsZero()
		}
		k.unit = u.unit
		s.quantity = s.quantity.Mul(decimal.FromInt(u.of))
	}
	switch {
	case k.unit != tokens:
		// What is not a token has one price, in whatever tier.
	case l.Kind == "":
		k.unit = ""
	default:
		k.tier, k.modality, k.kind = l.Tier, l.Modality, l.Kind
	}
	return s, k, true
}

func (l *Learned) set(k learnKey, usd decimal.Fixed) {
	m := l.models[k.model]
	if m == nil {
		m = &learnedModel{tiers: map[Tier]*table{}}
		l.models[k.model] = m
	}
	if m.tiers[k.tier] == nil {
		m.tiers[k.tier] = &table{}
	}
	m.tiers[k.tier].set(k.slot, usd)
}

// Effective is what line items really cost, in the order of their names.
func (l *Learned) Effective() []EffectivePrice {
	if l == nil {
		return nil
	}
	return slices.Clone(l.effective)
}

// Unparsed are the line items that teach nothing because their spelling or their unit is not known.
func (l *Learned) Unparsed() []string {
	if l == nil {
		return nil
	}
	return slices.Clone(l.unparsed)
}

// Through is the end of the newest day that was learned from, zero if there was none.
func (l *Learned) Through() time.Time {
	if l == nil {
		return time.Time{}
	}
	return l.through
}

// find returns what the bill says of a model, the best name first: the exact one, then the one that lacks usage's
// date, or where usage has none the newest snapshot of the bill. Two snapshots are never taken for each other, since
// they have had different prices before.
func (l *Learned) find(name string) []*learnedModel {
	if l == nil {
		return nil
	}
	var out []*learnedModel
	name = canonical(name)
	if m := l.models[name]; m != nil {
		out = append(out, m)
	}
	base, date := undated(name)
	switch {
	case date != "":
		if m := l.models[base]; m != nil {
			out = append(out, m)
		}
	case len(l.snapshots[name]) > 0:
		out = append(out, l.models[l.snapshots[name][0]])
	}
	return out
}
