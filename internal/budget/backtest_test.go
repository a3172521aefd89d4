// It adds up years of bills and shares nothing, so the race detector would see nothing.

//go:build !race

package budget_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/forecast.md")

const (
	months = 8 // of each seed, after one that is only learned from
	before = 35
)

var (
	// Neither these organizations nor these months were looked at when the numbers of the method were chosen.
	seeds = []uint64{201, 202, 203, 204, 205, 206}
	first = utc(2025, 5, 1)
	asked = []int{3, 7, 14, 21, 28}
)

// A bill is what one scope was billed each day, and how much of the days that are asked about by noon.
type bill struct {
	months     int
	first      time.Time
	days, noon map[time.Time]float64
}

func newBill(first time.Time, months int) *bill {
	return &bill{first: first, months: months, days: make(map[time.Time]float64), noon: make(map[time.Time]float64)}
}

// simulated are the final bills of simulated organizations and of their projects. They are made once.
var simulated = sync.OnceValues(func() (organizations, projects []*bill) {
	organizations = make([]*bill, len(seeds))
	parts := make([][]*bill, len(seeds))
	var all sync.WaitGroup
	for i, seed := range seeds {
		all.Go(func() { organizations[i], parts[i] = simulate(seed) })
	}
	all.Wait()
	return organizations, slices.Concat(parts...)
})

func simulate(seed uint64) (organization *bill, projects []*bill) {
	s := simulator.New(simulator.Options{Seed: seed})
	organization = newBill(first, months)
	parts := map[string]*bill{}
	add := func(rows []simulator.Row, at time.Time, of func(*bill) map[time.Time]float64) {
		for _, r := range rows {
			id := r.Labels["project_id"]
			if parts[id] == nil {
				parts[id] = newBill(first, months)
			}
			x := r.Values["cost_usd"].Float64()
			of(organization)[at] += x
			of(parts[id])[at] += x
		}
	}
	for at := first.AddDate(0, 0, -before); at.Before(first.AddDate(0, months, 0)); at = at.Add(day) {
		add(s.Final("costs", []string{"project_id"}, at, at.Add(day)), at, func(b *bill) map[time.Time]float64 { return b.days })
		if slices.Contains(asked, at.Day()) && !at.Before(first) {
			noon := at.Add(day / 2)
			add(s.Truth("costs", []string{"project_id"}, at, noon, noon), at, func(b *bill) map[time.Time]float64 { return b.noon })
		}
	}
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		projects = append(projects, parts[id])
	}
	return organization, projects
}

// times returns the bill with every day multiplied.
func (b *bill) times(factor func(time.Time) float64) *bill {
	out := newBill(b.first, b.months)
	for at, x := range b.days {
		out.days[at] = x * factor(at)
	}
	for at, x := range b.noon {
		out.noon[at] = x * factor(at)
	}
	return out
}

// growing is one percent more every day.
func growing(at time.Time) float64 { return math.Pow(1.01, float64(at.Sub(first)/day)) }

// jumping doubles on the 25th of every other month and halves on the 25th of the ones between.
func jumping(at time.Time) float64 {
	if month := int(at.AddDate(0, 0, -24).Month()); month%2 == 0 {
		return 2
	}
	return 1
}

// published is a bill of 31 days that somebody published, as the month of March that begins on the same weekday. How much of a
// day was billed by noon nobody knows, so that it is asked about at the day's end.
func published(t *testing.T) *bill {
	t.Helper()
	data, err := os.ReadFile("../../fetcher/testdata/samples/costs_1d_numbers_2025-02.json")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Data []struct {
			Start   int64 `json:"start_time"`
			Results []struct {
				Amount struct{ Value float64 }
			}
		}
	}
	if err := json.Unmarshal(data, &page); err != nil {
		t.Fatal(err)
	}
	b := newBill(utc(2025, 3, 1), 1)
	b.noon = nil
	for _, bucket := range page.Data {
		for _, r := range bucket.Results {
			b.days[time.Unix(bucket.Start, 0).UTC().AddDate(0, 0, 49)] += r.Amount.Value
		}
	}
	if len(b.days) != 31 || b.days[utc(2025, 3, 31)] == 0 {
		t.Fatalf("%d days, not those of March", len(b.days))
	}
	return b
}

// off is how far both forecasts of a day of a month are from what the month was billed, as a share of that.
func (b *bill) off(first time.Time, dayOfMonth, history int) (ours, straight float64) {
	today := first.AddDate(0, 0, dayOfMonth-1)
	now, end := today.Add(day/2), first.AddDate(0, 1, 0)
	if b.noon == nil {
		today = today.Add(day)
		now = today
	}
	var days []budget.Day
	for at := first.AddDate(0, 0, -history); at.Before(today); at = at.Add(day) {
		days = append(days, budget.Day{Start: at, Charged: usd(b.days[at]), HasBill: true, Estimated: usd(b.days[at]), HasEstimate: true})
	}
	days = append(days, budget.Day{Start: today, Estimated: usd(b.noon[today]), HasEstimate: true})
	spend := budget.Month(days, now, now)
	total := 0.0
	for at := first; at.Before(end); at = at.Add(day) {
		total += b.days[at]
	}
	line := spend.Spent().Float64() * float64(end.Sub(first)) / float64(now.Sub(first))
	return math.Abs(spend.Forecast.Float64()-total) / total, math.Abs(line-total) / total
}

// errors are the mean, the median and the 90th percentile of what forecasts were off.
type errors [3]float64

func errorsOf(off []float64) errors {
	off = slices.Sorted(slices.Values(off))
	sum := 0.0
	for _, x := range off {
		sum += x
	}
	quantile := func(q float64) float64 {
		at := q * float64(len(off)-1)
		low := int(at)
		return off[low] + (off[min(low+1, len(off)-1)]-off[low])*(at-float64(low))
	}
	return errors{sum / float64(len(off)), quantile(0.5), quantile(0.9)}
}

// A trial is one line of bills in the table.
type trial struct {
	what    string
	bills   []*bill
	history int
	// wins are the days on which the straight line is further off, in the mean. docs/forecast.md speaks of the others.
	wins []int
}

func trials(t *testing.T) []trial {
	organizations, projects := simulated()
	all := func(bills []*bill, factor func(time.Time) float64) []*bill {
		var out []*bill
		for _, b := range bills {
			out = append(out, b.times(factor))
		}
		return out
	}
	return []trial{
		{"organization", organizations, before, []int{3, 7, 21, 28}},
		{"project", projects, before, asked},
		{"organization, new this month", organizations, 0, []int{3, 7, 21, 28}},
		{"project, new this month", projects, 0, asked},
		{"organization, growing 1 % a day", all(organizations, growing), before, []int{3, 21, 28}},
		{"project, growing 1 % a day", all(projects, growing), before, asked},
		{"organization, doubling or halving on the 25th", all(organizations, jumping), before, asked},
		{"project, doubling or halving on the 25th", all(projects, jumping), before, asked},
		{"a published bill of bursts", []*bill{published(t)}, 0, nil},
	}
}

func (tr trial) at(dayOfMonth int) (ours, straight errors, n int) {
	var a, b []float64
	for _, bill := range tr.bills {
		for m := range bill.months {
			x, y := bill.off(bill.first.AddDate(0, m, 0), dayOfMonth, tr.history)
			a, b = append(a, x), append(b, y)
		}
	}
	return errorsOf(a), errorsOf(b), len(a)
}

func TestForecastIsNearerThanTheStraightLine(t *testing.T) {
	for _, tr := range trials(t) {
		for _, d := range tr.wins {
			ours, straight, n := tr.at(d)
			if n < 40 {
				t.Errorf("%s, day %d: %d months prove nothing", tr.what, d, n)
			}
			if !(ours[0] < straight[0]) {
				t.Errorf("%s, day %d: %.1f %% off in the mean, the straight line %.1f %%", tr.what, d, 100*ours[0], 100*straight[0])
			}
		}
	}
}

const (
	begin     = "<!-- The table is written by go test ./internal/budget -update. -->\n"
	yearBegin = "<!-- The table of years is written by go test ./internal/budget -update. -->\n"
	end       = "<!-- end of the table -->\n"
)

func TestTablesOfMeasuredErrorsAreCurrent(t *testing.T) {
	const name = "../../docs/forecast.md"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := string(data)
	for mark, table := range map[string]string{begin: table(t), yearBegin: yearTable()} {
		head, rest, ok := strings.Cut(want, mark)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table %q", name, mark)
		}
		want = head + mark + table + end + tail
	}
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		data = []byte(want)
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, diff)
	}
}

func table(t *testing.T) string {
	var b bytes.Buffer
	b.WriteString("\n| bills | day | months | mean | median | 90th | straight line: mean | median | 90th |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, tr := range trials(t) {
		for _, d := range asked {
			ours, straight, n := tr.at(d)
			fmt.Fprintf(&b, "| %s | %d | %d |", tr.what, d, n)
			for i := range ours {
				if bold := ours[0] < straight[0]; bold && i == 0 {
					fmt.Fprintf(&b, " **%.1f %%** |", 100*ours[i])
				} else {
					fmt.Fprintf(&b, " %.1f %% |", 100*ours[i])
				}
			}
			for i := range straight {
				fmt.Fprintf(&b, " %.1f %% |", 100*straight[i])
			}
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	return b.String()
}
