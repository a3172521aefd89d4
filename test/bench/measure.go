package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A side is one of the ways to do the same work.
type side struct {
	name string
	// before is called before each turn and not measured; a side that has it does its work once in a turn, and has some turns
	// in a round. It may be nil.
	before func()
	do     func() error
}

// A cost is what doing it once takes.
type cost struct {
	time   time.Duration
	cpu    time.Duration // of all processors
	allocs float64
	bytes  float64
}

const (
	// rounds is odd, so that there is a median.
	rounds = 7
	// Each side has this long in each round, or one run where that takes longer.
	turn = 150 * time.Millisecond
	// singles is how many turns in a round those sides have that do their work once in a turn: that is short, and what else
	// the machine did then weighs more.
	singles = 3
)

// compare lets the sides take turns and returns the median of each. What else runs on the machine slows down all of
// them alike, so that their ratios hold where the times do not, those of the processor time above all.
func compare(ctx context.Context, sides []side) ([]cost, error) {
	times := make([]int, len(sides))
	for i, s := range sides {
		// The first run makes what is made once, the second tells how many fit into a turn.
		if err := s.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		begin := time.Now()
		if err := s.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if times[i] = 1; s.before == nil {
			times[i] = max(1, int(turn/max(time.Since(begin), time.Microsecond)))
		}
	}
	all := make([][]cost, len(sides))
	for range rounds {
		for pass := range singles {
			for i, s := range sides {
				if pass > 0 && s.before == nil {
					continue
				}
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				c, err := once(s, times[i])
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
				all[i] = append(all[i], c)
			}
		}
	}
	out := make([]cost, len(sides))
	for i, costs := range all {
		out[i] = cost{
			time:   median(costs, func(c cost) time.Duration { return c.time }),
			cpu:    median(costs, func(c cost) time.Duration { return c.cpu }),
			allocs: median(costs, func(c cost) float64 { return c.allocs }),
			bytes:  median(costs, func(c cost) float64 { return c.bytes }),
		}
	}
	return out, nil
}

func once(s side, times int) (cost, error) {
	if s.before != nil {
		s.before()
	}
	var before, after runtime.MemStats
	// One side's garbage must not be collected in another's time.
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin, used := time.Now(), cpuTime()
	for range times {
		if err := s.do(); err != nil {
			return cost{}, err
		}
	}
	took := time.Since(begin)
	used = cpuTime() - used
	runtime.ReadMemStats(&after)
	n := float64(times)
	return cost{took / time.Duration(times), used / time.Duration(times), float64(after.Mallocs-before.Mallocs) / n, float64(after.TotalAlloc-before.TotalAlloc) / n}, nil
}

// cpuTime is the processor time that this process has used. Unlike the clock it does not go on while another program has
// the processor.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median[T float64 | time.Duration](costs []cost, of func(cost) T) T {
	var all []T
	for _, c := range costs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// A table is a Markdown table whose columns line up.
type table struct {
	title string
	rows  [][]string
}

func newTable(title string, columns ...string) *table {
	return &table{title, [][]string{columns}}
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, r := range t.rows {
		for i, c := range r {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	fmt.Fprintf(w, "\n%s\n\n", t.title)
	for n, r := range t.rows {
		for i, c := range r {
			fmt.Fprintf(w, "| %s%s ", c, strings.Repeat(" ", widths[i]-len([]rune(c))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprintf(w, "| %s ", strings.Repeat("-", width))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// ms, count and size spell numbers with as many digits as they deserve.
func ms(d time.Duration) string {
	f := float64(d) / float64(time.Millisecond)
	if f < 10 {
		return fmt.Sprintf("%.2f ms", f)
	}
	return fmt.Sprintf("%.0f ms", f)
}

func count(f float64) string {
	if f >= 10_000 {
		return fmt.Sprintf("%.0f k", f/1000)
	}
	return fmt.Sprintf("%.0f", f)
}

func size(f float64) string {
	switch {
	case f >= 100<<20:
		return fmt.Sprintf("%.0f MiB", f/(1<<20))
	case f >= 1<<20:
		return fmt.Sprintf("%.1f MiB", f/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", f/(1<<10))
}

func ratio(f float64) string {
	if f >= 10 {
		return fmt.Sprintf("%.0f ×", f)
	}
	return fmt.Sprintf("%.2f ×", f)
}

func over(a, b time.Duration) string { return ratio(float64(a) / float64(b)) }
