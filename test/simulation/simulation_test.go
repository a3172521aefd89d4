//go:build !race

// Package simulation_test lives through weeks of the whole program in seconds: configuration, plan, scheduler, client,
// ledger on a real file, and exposition, against simulated organizations whose truth is known to the last digit. A seed
// decides everything that happens, down to the pause before a retry, so that what it finds is found again.
package simulation_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 1, "the first seed")
	seeds     = flag.Int("seeds", 1, "how many seeds")
	lifetime  = flag.Int("days", 6, "simulated days of a seed, before the days in which it settles; 0 draws 20 to 60")
	lasting   = flag.Duration("for", 0, "go on with seeds for so long")
	only      = flag.String("only", "", "the only kinds of events to have, comma-separated")
	skip      = flag.String("skip", "", "kinds of events to leave out")
	omit      = flag.String("omit", "", "numbers of events to leave out")
	falling   = flag.Bool("falls", false, "only lives in which the API corrects downwards")
	verbose   = flag.Bool("trace", false, "print what happens")
	shrinking = flag.Int("shrink", 60, "how often a failing seed is lived through again to find the fewest events that fail")
)

// TestASeedOfEverythingEndsExact lives through each seed and holds the contract at every scrape and at the end.
func TestASeedOfEverythingEndsExact(t *testing.T) {
	begin, before := time.Now(), processorTime()
	var mu sync.Mutex
	lives, days := 0, 0.0
	t.Run("seeds", func(t *testing.T) {
		for i := uint64(0); *lasting > 0 && time.Since(begin) < *lasting || *lasting == 0 && i < uint64(*seeds); i++ {
			seed := *firstSeed + i
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				if *lasting == 0 {
					t.Parallel()
				}
				l := live(t, seed, numbers(*omit))
				mu.Lock()
				lives, days = lives+1, days+l.days
				mu.Unlock()
				t.Logf("seed %d: %s", seed, l)
				if *verbose {
					t.Log(strings.Join(l.trace, "\n"))
				}
				if len(l.faults) > 0 {
					shrink(t, seed, l)
				}
			})
		}
	})
	spent := processorTime() - before
	t.Logf("%d seeds, %.0f simulated days in %s of processor time: %.1f days a second", lives, days, spent.Round(time.Second), days/spent.Seconds())
}

// TestASeedRepeatsItself lives through a seed twice. What is shown must be the same each time, byte for byte: else no
// fault that a seed finds could be found again.
func TestASeedRepeatsItself(t *testing.T) {
	for _, seed := range []uint64{*firstSeed + 1, *firstSeed + 2} {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			one := live(t, seed, nil)
			other := live(t, seed, nil)
			if one.hash == other.hash && len(one.trace) > 0 {
				return
			}
			for i := range min(len(one.trace), len(other.trace)) {
				if one.trace[i] != other.trace[i] {
					t.Fatalf("line %d of %d was\n%s\nand is\n%s", i, len(one.trace), one.trace[i], other.trace[i])
				}
			}
			t.Fatalf("the trace had %d lines and has %d", len(one.trace), len(other.trace))
		})
	}
}

// A lived seed is what came of it.
type lived struct {
	days     float64
	took     time.Duration
	scrapes  int
	exact    [6]int // totals that were exact, those that a bound was held to, estimates, days of usage, months of money, levels
	occurred []occurrence
	faults   []string
	trace    []string
	hash     string
}

// An occurrence is an event that happened.
type occurrence struct {
	number int
	name   string
}

func (l lived) String() string {
	kinds := map[string]int{}
	for _, o := range l.occurred {
		kinds[o.name]++
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, name+"="+strconv.Itoa(kinds[name]))
	}
	return fmt.Sprintf("%.1f days in %s, %d scrapes, %v exact totals, bounds, estimates, days of usage, months and levels, %d events (%s), %d faults, trace %s",
		l.days, l.took.Round(time.Millisecond), l.scrapes, l.exact, len(l.occurred), strings.Join(all, " "), len(l.faults), l.hash)
}

// live lives through a seed without the events of those numbers, in a bubble of its own in which weeks pass in seconds.
func live(t *testing.T, seed uint64, omit map[int]bool) lived {
	t.Helper()
	w := &world{seed: seed, rng: source(seed, 0), only: set(*only), skip: set(*skip), omit: omit, dir: t.TempDir()}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		w.live(*lifetime)
	})
	w.lived.took = time.Since(began)
	w.lived.hash = w.sum()
	return w.lived
}

// shrink finds the fewest events with which a seed still fails, and prints the command that repeats it.
func shrink(t *testing.T, seed uint64, l lived) {
	t.Helper()
	fewest, last := l.occurred, l
	omitted := numbers(*omit)
	tries := 0
	// Parts are left out, half of the events first and then ever smaller ones, as long as the seed still fails.
	for size := max(len(fewest)/2, 1); tries < *shrinking && len(fewest) > 0; {
		shrunk := false
		for at := 0; at < len(fewest) && tries < *shrinking; {
			part := fewest[at:min(at+size, len(fewest))]
			without := maps.Clone(omitted)
			for _, o := range part {
				without[o.number] = true
			}
			tries++
			again := live(t, seed, without)
			if len(again.faults) == 0 {
				at += size
				continue
			}
			fewest, last, omitted, shrunk = again.occurred, again, without, true
		}
		if size == 1 && !shrunk {
			break
		}
		size = max(size/2, 1)
	}
	list := make([]string, 0, len(omitted))
	for _, n := range slices.Sorted(maps.Keys(omitted)) {
		list = append(list, strconv.Itoa(n))
	}
	var happened []string
	for _, line := range last.trace {
		if *verbose || !strings.Contains(line, " scrape ") {
			happened = append(happened, line)
		}
	}
	t.Errorf("%d faults with %d events, %d after %d more lives:\n%s\n\nagain: make simulation SEED=%d SEEDS=1 DAYS=%d ARGS='-shrink 0 -omit %s%s'\n\n%s",
		len(l.faults), len(l.occurred), len(fewest), tries, strings.Join(last.faults[:min(len(last.faults), 20)], "\n"),
		seed, *lifetime, strings.Join(list, ","), narrowed(), strings.Join(happened, "\n"))
}

// narrowed are the flags that decide what may happen, as they were given.
func narrowed() (args string) {
	for name, value := range map[string]string{"only": *only, "skip": *skip} {
		if value != "" {
			args += fmt.Sprintf(" -%s=%q", name, value)
		}
	}
	if *falling {
		args += " -falls"
	}
	return args
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // It fails for a wrong first argument alone.
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func set(list string) map[string]bool {
	out := map[string]bool{}
	for s := range strings.SplitSeq(list, ",") {
		if s != "" {
			out[s] = true
		}
	}
	return out
}

func numbers(list string) map[int]bool {
	out := map[int]bool{}
	for s := range set(list) {
		if n, err := strconv.Atoi(s); err == nil {
			out[n] = true
		}
	}
	return out
}
