//go:build !race

// Package simulation_test lives through weeks of the whole program in seconds: configuration, plan, scheduler, client,
// ledger on a real file, and exposition, against simulated organizations whose truth is known to the last digit. A seed
// decides everything that happens.
package simulation_test

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 1, "the first seed")
	seeds     = flag.Int("seeds", 1, "how many seeds")
	lifetime  = flag.Int("days", 4, "simulated days of a seed, before the days in which it settles")
	only      = flag.String("only", "", "the only kinds of events to have, comma-separated")
	skip      = flag.String("skip", "", "kinds of events to leave out, to make a failing seed small")
	verbose   = flag.Bool("trace", false, "print what happens")
)

func source(seed, n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }

// TestASeedOfEverythingEndsExact lives through each seed and holds the contract at every scrape and at the end.
func TestASeedOfEverythingEndsExact(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *firstSeed + i
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			w := &world{seed: seed, rng: source(seed, 0), only: set(*only), skip: set(*skip)}
			began := time.Now()
			synctest.Test(t, func(t *testing.T) {
				w.t = t
				w.live(*lifetime)
			})
			w.t = t
			if t.Failed() || *verbose {
				w.report()
			}
			var occurred []string
			for _, name := range slices.Sorted(maps.Keys(w.occurred)) {
				occurred = append(occurred, name+"="+strconv.Itoa(w.occurred[name]))
			}
			t.Logf("seed %d: %.1f days in %s, %d scrapes, %d events (%s), trace %s", seed,
				w.end.Add(settling).Sub(w.begin).Hours()/24, time.Since(began).Round(time.Millisecond), w.scrapes, w.events, strings.Join(occurred, " "), w.sum())
		})
	}
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
