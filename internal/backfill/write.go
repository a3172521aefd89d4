package backfill

import (
	"bufio"
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// batch is how many records are held in memory at once.
const batch = 1 << 20

// A Shortfall is an amount by which a measure's counters stand above the API at the end of the range, because a
// counter can't follow a negative amount downwards.
type Shortfall struct {
	Organization, Endpoint, Measure string
	Amount                          decimal.Fixed
}

// A writer turns a whole spool into OpenMetrics text: family by family, within a family series by series, within a
// series in the order of time, as the format demands.
type writer struct {
	ctx        context.Context // a large output takes minutes
	spool      *spool
	w          *bufio.Writer
	count      int64 // of series
	samples    int64
	shortfalls []Shortfall
	line, text []byte
}

// write writes all families, and `# EOF` behind them: a file without it is not whole, and promtool refuses it.
func (o *writer) write() error {
	for _, m := range metrics.Table() {
		if err := o.family(m); err != nil {
			return err
		}
	}
	_, err := o.w.WriteString("# EOF\n")
	return err
}

func (o *writer) family(f metrics.Metric) error {
	begun := false
	for ti, t := range o.spool.state.Tasks {
		for mi := range t.endpoint.Measures {
			if t.Records[mi] == 0 || metrics.Name(t.endpoint, &t.endpoint.Measures[mi]) != f.Name {
				continue
			}
			if !begun {
				begun = true
				o.header(f)
			}
			if err := o.series(ti, mi, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// header names a family. A counter's family has the name of its samples without "_total".
func (o *writer) header(f metrics.Metric) {
	name := f.Name
	if f.Type == metrics.Counter {
		name = strings.TrimSuffix(name, "_total")
	}
	o.w.WriteString("# HELP " + name + " " + escape.Replace(f.Help) + "\n# TYPE " + name + " " + string(f.Type) + "\n")
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// series writes a measure of a task. The records lie in the order of time; as many series as fit the memory are picked
// out of them at a time.
func (o *writer) series(ti, mi int, f metrics.Metric) error {
	t := o.spool.state.Tasks[ti]
	order, texts := make([]uint32, len(t.Series)), make([]string, len(t.Series))
	for i, labels := range t.Series {
		order[i], texts[i] = uint32(i), o.labels(t, f, labels)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Compare(texts[a], texts[b]) })
	counts, err := o.spool.counts(ti, mi)
	if err != nil {
		return err
	}
	edges := t.plan.edges()
	var short decimal.Fixed
	for len(order) > 0 {
		some := fitting(order, counts)
		held, err := o.spool.pick(ti, mi, some, counts)
		if err != nil {
			return err
		}
		if err := o.ctx.Err(); err != nil {
			return err
		}
		for i, id := range some {
			if len(held[i]) == 0 {
				continue
			}
			o.count++
			if f.Type != metrics.Counter {
				if err := o.gauge(texts[id], held[i]); err != nil {
					return err
				}
				continue
			}
			above, err := o.counter(texts[id], held[i], edges)
			if err != nil {
				return err
			}
			short = short.Add(above)
		}
		order = order[len(some):]
	}
	if !short.IsZero() {
		o.shortfalls = append(o.shortfalls, Shortfall{t.Organization, t.Endpoint, t.endpoint.Measures[mi].Name, short})
	}
	return nil
}

// fitting returns as many of the series as fit the memory together, at least one.
func fitting(order []uint32, counts []int) []uint32 {
	n := 0
	for i, id := range order {
		if n += counts[id]; i > 0 && n > batch {
			return order[:i]
		}
	}
	return order
}

// counter writes a running total: 0 where the first bucket that has the series begins, so that increase() sees the
// first value, then a sample at the end of every bucket, the first moment at which all of the bucket has happened. A
// counter does not go down: a negative amount is withheld until growth has paid it back, as it is in the live ones.
func (o *writer) counter(labels string, records []record, edges []int64) (above decimal.Fixed, err error) {
	first, _ := slices.BinarySearch(edges, records[0].end)
	var total, high decimal.Fixed
	o.text = append(o.text[:0], '0')
	if err := o.sample(labels, edges[first-1]); err != nil {
		return above, err
	}
	for _, end := range edges[first:] {
		grown := false
		for len(records) > 0 && records[0].end == end {
			total = total.Add(records[0].value)
			records = records[1:]
		}
		if total.Cmp(high) > 0 {
			high, grown = total, true
		}
		if grown {
			o.text = appendFloat(o.text[:0], high)
		}
		if err := o.sample(labels, end); err != nil {
			return above, err
		}
	}
	return high.Sub(total), nil
}

// gauge writes a level: a sample at the end of every bucket that has one.
func (o *writer) gauge(labels string, records []record) error {
	for len(records) > 0 {
		end, sum := records[0].end, decimal.Fixed{}
		for len(records) > 0 && records[0].end == end {
			sum = sum.Add(records[0].value)
			records = records[1:]
		}
		o.text = appendFloat(o.text[:0], sum)
		if err := o.sample(labels, end); err != nil {
			return err
		}
	}
	return nil
}

// appendFloat spells the float that the live exporter exposes, so that it is read back as the same.
func appendFloat(b []byte, v decimal.Fixed) []byte {
	return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
}

func (o *writer) sample(labels string, at int64) error {
	o.line = append(o.line[:0], labels...)
	o.line = append(o.line, ' ')
	o.line = append(o.line, o.text...)
	o.line = append(o.line, ' ')
	o.line = strconv.AppendInt(o.line, at, 10)
	o.line = append(o.line, '\n')
	o.samples++
	_, err := o.w.Write(o.line)
	return err
}

// labels spells a series as the live exporter names it.
func (o *writer) labels(t *task, f metrics.Metric, own []ledger.Label) string {
	labels := []ledger.Label{{Name: "organization", Value: t.Organization}}
	if !t.endpoint.IsCosts() {
		labels = append(labels, ledger.Label{Name: "endpoint", Value: t.Endpoint})
	}
	labels = append(labels, own...)
	slices.SortFunc(labels, func(a, b ledger.Label) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString(f.Name)
	for i, l := range labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(l.Name + `="` + escape.Replace(l.Value) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}

// valid makes label values valid UTF-8, as the live exporter does: label sets that become equal are added up.
func valid(labels []ledger.Label) []ledger.Label {
	for _, l := range labels {
		if !utf8.ValidString(l.Value) {
			labels = slices.Clone(labels)
			for i := range labels {
				labels[i].Value = strings.ToValidUTF8(labels[i].Value, string(utf8.RuneError))
			}
			return labels
		}
	}
	return labels
}

// seriesKey tells label sets apart.
func seriesKey(labels []ledger.Label) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(strconv.Itoa(len(l.Value)))
		b.WriteByte(' ')
		b.WriteString(l.Name)
		b.WriteByte('=')
		b.WriteString(l.Value)
	}
	return b.String()
}
