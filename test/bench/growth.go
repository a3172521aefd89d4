package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A point is what something of a size costs.
type point struct{ Size, Cost float64 }

// A curve is how a cost grows.
type curve struct {
	Name   string // of the size
	Unit   string // of the cost
	Points []point
}

// slope is the exponent between the last two points, and that of all of them: 1 is linear.
func (c *curve) slope() (last, all float64) {
	n := len(c.Points)
	if n < 2 {
		return math.NaN(), math.NaN()
	}
	var x, y, xx, xy float64
	for _, p := range c.Points {
		lx, ly := math.Log(p.Size), math.Log(p.Cost)
		x, y, xx, xy = x+lx, y+ly, xx+lx*lx, xy+lx*ly
	}
	a, b := c.Points[n-2], c.Points[n-1]
	return math.Log(b.Cost/a.Cost) / math.Log(b.Size/a.Size), (float64(n)*xy - x*y) / (float64(n)*xx - x*x)
}

// growths measures how a poll's cost grows with what is to be read, and that of all polls with organizations.
func growths(ctx context.Context, w io.Writer, dir string) error {
	binary, err := buildExporter(ctx, dir, "")
	if err != nil {
		return err
	}
	for name, measure := range map[string]func(context.Context, io.Writer, string, string) (*curve, error){"sets": byLabelSets, "lookback": byLookback} {
		if known.Curves[name] != nil {
			continue
		}
		c, err := measure(ctx, w, dir, binary)
		if err == nil {
			err = known.keep(func() { known.Curves[name] = c })
		}
		if err != nil {
			return err
		}
	}
	if len(known.Loads) < 2 {
		if err := manyProcesses(ctx, w, dir); err != nil {
			return err
		}
	}
	byOrganizations := &curve{Name: "organizations", Unit: "CPU of all polls, % of a processor"}
	for _, n := range slices.Sorted(maps.Keys(known.Loads)) {
		byOrganizations.Points = append(byOrganizations.Points, point{float64(n), 100 * known.Loads[n].CPU})
	}
	curves := []*curve{byOrganizations, known.Curves["sets"], known.Curves["lookback"]}
	t := newTable("How cost grows: the exponent, where 1 is linear", "With", "between the two largest", "over all")
	for _, c := range curves {
		last, all := c.slope()
		t.row(c.Name, fmt.Sprintf("%.2f", last), fmt.Sprintf("%.2f", all))
	}
	t.write(w)
	picture := filepath.Join("..", "..", "docs", "images", "growth.svg")
	if quick {
		picture = filepath.Join(os.TempDir(), "growth.svg")
	}
	fmt.Fprintf(w, "\nDrawn: %s\n", picture)
	return os.WriteFile(picture, draw(curves), 0o644)
}

const unitOfPolls = "CPU of a poll, ms"

func byLabelSets(ctx context.Context, w io.Writer, dir, binary string) (*curve, error) {
	sizes, bySets := []int{100, 1000, 10_000, 100_000}, &curve{Name: "label sets", Unit: unitOfPolls}
	if quick {
		sizes = []int{10, 100}
	}
	t := newTable("A poll of an hour by label sets: each has usage in one minute of it, and a quarter of them has changed", "Label sets", "CPU of a poll", "… per label set", "Memory", "… per label set")
	for _, n := range sizes {
		c, err := pollOf(ctx, dir, fmt.Sprint("sets-", n), binary, n, time.Hour)
		if err != nil {
			return nil, fmt.Errorf("%d label sets: %w", n, err)
		}
		bySets.Points = append(bySets.Points, point{float64(n), c.cpu.Seconds() * 1000})
		t.row(fmt.Sprint(n), ms(c.cpu), fmt.Sprintf("%.1f µs", c.cpu.Seconds()*1e6/float64(n)), size(c.memory), fmt.Sprintf("%.1f KiB", c.memory/float64(n)/1024))
	}
	t.write(w)
	return bySets, nil
}

func byLookback(ctx context.Context, w io.Writer, dir, binary string) (*curve, error) {
	const labelSets = 1000
	lookbacks, byHours := []time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour}, &curve{Name: "lookback, h", Unit: unitOfPolls}
	if quick {
		lookbacks = lookbacks[:2]
	}
	t := newTable(fmt.Sprintf("A poll of %d label sets by lookback: each has usage once an hour, and what is younger than a quarter of an hour has changed", labelSets), "Lookback", "Rows", "CPU of a poll", "… per row", "Memory")
	for _, d := range lookbacks {
		c, err := pollOf(ctx, dir, fmt.Sprint("lookback-", int(d.Hours())), binary, labelSets, d)
		if err != nil {
			return nil, fmt.Errorf("lookback %s: %w", d, err)
		}
		rows := labelSets * d.Hours()
		byHours.Points = append(byHours.Points, point{d.Hours(), c.cpu.Seconds() * 1000})
		t.row(fmt.Sprintf("%.0f h", d.Hours()), fmt.Sprintf("%.0f", rows), ms(c.cpu), fmt.Sprintf("%.1f µs", c.cpu.Seconds()*1e6/rows), size(c.memory))
	}
	t.write(w)
	return byHours, nil
}

// pollOf is what a poll of completions takes.
func pollOf(ctx context.Context, dir, name, binary string, labelSets int, lookback time.Duration) (pollCost, error) {
	rows := labelSets * int(lookback.Hours())
	interval, polls := 2*time.Second, 15
	switch {
	case rows >= 100_000:
		interval, polls = 15*time.Second, 4
	case rows >= 10_000:
		interval, polls = 5*time.Second, 10
	}
	if quick {
		polls = 2
	}
	url, end, err := startUpstream(ctx, upstreamOptions{Interval: interval, Traffic: &traffic{LabelSets: labelSets, Every: 60, Changing: true}})
	if err != nil {
		return pollCost{}, err
	}
	defer end()
	p, err := startExporter(ctx, dir, name, binary, onlyCompletions(url, "acme", interval, lookback, lookback+2*time.Hour, "now"))
	if err != nil {
		return pollCost{}, err
	}
	defer p.end()
	if err := p.ready(ctx, patience); err != nil {
		return pollCost{}, err
	}
	// The first polls and the audit have more to do.
	if _, err := costOfPolls(ctx, []*program{p}, interval, 2); err != nil {
		return pollCost{}, err
	}
	// A poll of some milliseconds after a pause of seconds costs what else the machine has done meanwhile, too: what it costs
	// by itself is the least.
	var least pollCost
	for range 3 {
		costs, err := costOfPolls(ctx, []*program{p}, interval, polls)
		if err != nil {
			return pollCost{}, err
		}
		if least.polls == 0 || costs[0].cpu < least.cpu {
			least = costs[0]
		}
	}
	return least, nil
}
