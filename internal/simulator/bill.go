package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A billItem is one kind of traffic of one stream as the bill sees it.
type billItem struct {
	id     uint64
	line   string
	unit   string // "" where the bill names none
	src    *source
	stream int
	leaf   []int
	price  int64 // 10⁻¹² USD per leaf
	free   int64 // share that costs nothing, in 1024ths
	stock  bool  // the leaf is bytes, billed by the GiB-hour
}

// A billed is a row of a day's bill before it is grouped.
type billed struct {
	item   int
	free   bool
	micro  int64 // quantity in 10⁻⁶ of its unit
	amount int64 // 10⁻¹² USD
}

const micro = 1_000_000

// bill lists what all streams are billed for. The extra label sets of load tests are not billed.
func (o *organization) bill() []billItem {
	var items []billItem
	for _, src := range o.ordered() {
		for si, st := range src.dense {
			for _, it := range lines(src, st) {
				it.src, it.stream = src, si
				it.id = hashOf(st.id, "bill", it.line)
				it.price = it.price * discount / 1000
				items = append(items, it)
			}
		}
	}
	return items
}

// tierPrices are what other tiers cost than the standard one, in thousandths of its price.
var tierPrices = map[string]int64{"flex": 500, "priority": 2000, "fast": 2000, "ultrafast": 6000}

// tierOf is how line items spell the tier of a stream, and what it makes of the price, in thousandths.
func tierOf(st *stream) (prefix string, times int64) {
	tier := st.labels["service_tier"]
	switch {
	case st.labels["batch"] == "true":
		return "batch | ", 500
	case tierPrices[tier] > 0:
		return tier + " | ", tierPrices[tier]
	}
	return "", 1000
}

// lines are the line items of a stream, spelled as bills spell them: [prefix " | "] model [" " modality] ", " kind.
func lines(src *source, st *stream) []billItem {
	e := src.endpoint
	for _, key := range []string{e.Name + " " + st.labels["model"], e.Name + " "} {
		if p, ok := products[key]; ok {
			return []billItem{{line: p.line, unit: p.unit, leaf: []int{leafUnits}, price: p.price, stock: e.Stock}}
		}
	}
	if st.model == nil || len(st.means) == 0 || st.means[0].leaf == leafUnits {
		return nil // Moderations are free, and images made of tokens are billed by their tokens.
	}
	m := st.model
	prefix, times := tierOf(st)
	many := m.audio != modality{} || m.image != modality{}
	var out []billItem
	for _, mod := range []struct {
		name                      string
		price                     modality
		input, cached, write, gen []int
	}{
		{"text", m.text, []int{leafInText}, []int{leafCachedText}, []int{leafWrite30m, leafWrite12h}, []int{leafOutText}},
		{"audio", m.audio, []int{leafInAudio}, []int{leafCachedAudio}, nil, []int{leafOutAudio}},
		{"image", m.image, []int{leafInImage}, []int{leafCachedImage}, nil, []int{leafOutImage}},
	} {
		name := m.bill
		if many {
			name += " " + mod.name
		}
		if name != "" {
			name += ", "
		}
		for _, kind := range []struct {
			name  string
			leaf  []int
			price int64
			long  int64 // what long context makes of the price, in thousandths
		}{
			{"input", mod.input, mod.price.input, 2000},
			{"cached input", mod.cached, mod.price.cached, 2000},
			{"cache writes", mod.write, mod.price.write, 2000},
			{"output", mod.gen, mod.price.output, 1500},
		} {
			if !st.has(kind.leaf) {
				continue
			}
			it := billItem{line: prefix + name + kind.name + m.suffix, unit: "tokens", leaf: kind.leaf, price: kind.price * times / 1000, free: m.free}
			if st.long {
				it.line += ", long context"
				it.price = it.price * kind.long / 1000
			}
			if m.unitless {
				it.unit = ""
			}
			out = append(out, it)
		}
	}
	return out
}

func (st *stream) has(leaf []int) bool {
	return slices.ContainsFunc(st.means, func(m leafMean) bool { return slices.Contains(leaf, m.leaf) })
}

// ordered are the sources in the order of their names, so that the bill has one order.
func (o *organization) ordered() []*source {
	var out []*source
	for _, src := range o.sources {
		out = append(out, src)
	}
	slices.SortFunc(out, func(a, b *source) int { return cmp.Compare(a.endpoint.Name, b.endpoint.Name) })
	return out
}

// billOf is the bill of a day as it stands at asOf. It follows final usage, once that has reached the bill.
func (v *view) billOf(day, asOf int64) []billed {
	lag := int64(v.o.Lateness.Costs / time.Second)
	if asOf >= (day+1)*86400+v.billSettles() {
		return cached(v.cache, v.cache.bills, cachedBills, day, func() []billed { return v.drawBill(day, forever, 0) })
	}
	return v.drawBill(day, asOf, lag)
}

func (v *view) drawBill(day, asOf, lag int64) []billed {
	sums := make(map[*source][]cell)
	for _, it := range v.s.org.items {
		if sums[it.src] == nil {
			sums[it.src] = v.billable(it.src, day, asOf, lag)
		}
	}
	times := v.priced(day)
	restated, until := chance(v.o.Restate.Costs), int64(v.o.Restate.costsUntil()/time.Second)
	var out []billed
	for i := range v.s.org.items {
		it := &v.s.org.items[i]
		var raw int64
		for _, l := range it.leaf {
			raw += sums[it.src][it.stream][l]
		}
		if h := mix2(it.id^saltBillRestate, uint64(day)); asOf != forever && h&0xffff < restated && asOf < (day+1)*86400+int64(h>>17%uint64(until+1)) {
			by := v.o.Restate.by()
			if h>>16&1 == 0 {
				by = -by
			}
			raw += raw * by / 1024
		}
		if raw == 0 {
			continue
		}
		if it.stock {
			// raw is byte-hours in KiB.
			hours := raw * micro >> 20
			price := it.price * times / 1000
			// Whole hours apart, since their product with the price is more than the integers hold.
			out = append(out, billed{item: i, micro: hours, amount: hours/micro*price + hours%micro*price/micro})
			continue
		}
		free := raw * it.free / 1024
		if free > 0 {
			out = append(out, billed{item: i, free: true, micro: free * micro})
		}
		out = append(out, billed{item: i, micro: (raw - free) * micro, amount: (raw - free) * (it.price * times / 1000)})
	}
	return out
}

// priced is what has become of all prices on a day, in thousandths.
func (v *view) priced(day int64) int64 {
	times := int64(1000)
	for _, c := range v.o.Prices {
		if c.From.Unix() <= day*86400 {
			times = c.Factor
		}
	}
	return times
}

// billable is the usage of a day that has reached the bill. It is not to be changed.
func (v *view) billable(src *source, day, asOf, lag int64) []cell {
	r := v.final(asOf)
	from, to := max(day*86400, r.begin), min((day+1)*86400, r.end, asOf)
	out := make([]cell, len(src.dense))
	if src.endpoint.Stock {
		for i, st := range src.dense {
			for h := from / 3600; h*3600 < to; h++ {
				if lag == 0 || (h+1)*3600+v.billLag(st, h, lag) <= asOf {
					out[i][leafUnits] += st.bytes(h) >> 10
				}
			}
		}
		return out
	}
	if asOf >= (day+1)*86400+lag {
		return v.day(src, day) // All of it.
	}
	if lag == 0 {
		each := make([]int32, len(src.dense)+len(src.sparse))
		for i := range each {
			each[i] = int32(i)
			if i >= len(src.dense) {
				each[i] = -1
			}
		}
		v.sum(r, src, each, out, from, to)
		return out
	}
	for h := from / 3600; h*3600 < to; h++ {
		if (h+1)*3600 > asOf {
			break
		}
		cells := v.hour(src, h)
		for i, st := range src.dense {
			if (h+1)*3600+v.billLag(st, h, lag) <= asOf {
				out[i].add(&cells[i])
			}
		}
	}
	return out
}

func (v *view) billLag(st *stream, hour, lag int64) int64 {
	return int64(mix2(st.id^saltBillLag, uint64(hour)) % uint64(lag+1))
}

// A number is a value and how the API prints it. The value is what a reader makes of the print, so that a truth made of
// numbers is exactly what can be read.
type number struct {
	text  []byte
	value decimal.Fixed
}

// amount prints 10⁻¹² USD. As a JSON number it is the shortest spelling of the nearest float, in Python's manner; as a
// string it has 39 decimals, some of which no float could hold.
func amount(pico int64, asString bool, h uint64) number {
	b := decimals(pico, 12)
	if !asString {
		f, _ := strconv.ParseFloat(string(b), 64) // decimals writes nothing else than a number.
		return parsed(appendFloat(nil, f))
	}
	if pico == 0 {
		return parsed([]byte("0E-6176"))
	}
	// Digits that no reader keeps, but that decide how the last one it keeps is rounded.
	tail := uint64(0)
	if h%8 == 0 {
		tail = mix(h)
	}
	for place := 13; place <= 39; place++ {
		digit := byte('0')
		if place > decimal.Places && tail != 0 {
			digit += byte(tail % 10)
			tail /= 10
		}
		b = append(b, digit)
	}
	return parsed(b)
}

// quantity prints 10⁻⁶ of a unit.
func quantity(m int64, asString bool) number {
	f, _ := strconv.ParseFloat(string(decimals(m, 6)), 64) // As above.
	b := appendFloat(nil, f)
	if asString && !slices.Contains(b, '.') && !slices.Contains(b, 'e') {
		b = append(b, '.', '0') // Organizations with string amounts have quantities spelled as floats.
	}
	return parsed(b)
}

func parsed(b []byte) number {
	f, _ := decimal.Parse(b) // What the callers print is always a number in range.
	return number{b, f}
}

func appendFloat(b []byte, f float64) []byte {
	format := byte('f')
	if a := max(f, -f); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// decimals spells n·10⁻ᵖˡᵃᶜᵉˢ with all its places.
func decimals(n int64, places int) []byte {
	b := make([]byte, 0, 64)
	u := uint64(n)
	if n < 0 {
		b, u = append(b, '-'), -u
	}
	var room [32]byte
	digits := strconv.AppendUint(room[:0], u, 10)
	if len(digits) <= places {
		b = append(b, '0')
	} else {
		b = append(b, digits[:len(digits)-places]...)
		digits = digits[len(digits)-places:]
	}
	b = append(b, '.')
	for range places - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}
