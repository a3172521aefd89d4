// Command mutation changes the code that decides numbers, in one random place at a time, and runs the tests that should
// notice. It prints the share that was noticed and every change that was not. Nothing in the checkout is touched: the
// changed file reaches the compiler as an overlay.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const simulation = "./test/simulation"

// targets are the packages that are changed, and the tests that hold what they decide.
var targets = []struct {
	dir   string
	tests []string
}{
	{"internal/ledger", []string{"./internal/ledger", "./fetcher", simulation}},
	{"internal/decimal", []string{"./internal/decimal", "./internal/ledger"}},
	{"internal/pricing", []string{"./internal/pricing", "./internal/spend"}},
	{"internal/spend", []string{"./internal/spend", "./collector", "./internal/server"}},
	{"internal/budget", []string{"./internal/budget", "./internal/spend"}},
	{"fetcher", []string{"./fetcher"}},
}

// files of the fetcher that decide no number: its pace, its words and its look-ups.
var others = map[string]bool{
	"fetcher/refusal.go": true, "fetcher/errors.go": true, "fetcher/lookup.go": true, "fetcher/members.go": true,
	"fetcher/allowance.go": true, "fetcher/budget.go": true, "fetcher/pace.go": true, "fetcher/trouble.go": true,
	"internal/ledger/inspect.go": true,
}

// lengthy are the tests of a package that take longer than the others, and those that -quick leaves out since they take
// seconds each. They run last, since most changes are noticed without them.
var lengthy = map[string][2]string{
	"./internal/ledger": {
		"TestWhatIsBeforeFinalIsOnRecordWholeOrNotAtAll|TestDowntimeOfAnyLengthLosesNothing|TestRandomHistoriesAgreeWhateverIsPassedOver" +
			"|TestAStateOfTheFirstVersionGoesOnWhenItIsReadFine|TestALongerLookbackCountsNoFoldedHourAgain|TestEachOfManyFeedsCostsNoMore" +
			"|TestClockJumpsNeitherLoseNorDouble|TestAWrongDateForAWhileLosesNothing|TestAHoleInTheFirstReadOfAShapeIsMetLater" +
			"|TestAnEndpointThatWasOffIsAcquittedWithTheOthers",
		"TestADamagedStateIsRefusedOrWhole|TestRandomHistoriesEndExact|TestAPowerCutLeavesTheOldBooksOrTheNew" +
			"|TestACommitThatFailsChangesNothingThatIsFoundLater|TestAnOrganizationWithNewProjectsOnlyIsItself" +
			"|TestAnHourThatTheAPINoLongerHasDoesNotEndAllAudits|TestTheBooksOfAThousandProjectsAreSmall",
	},
}

// limit ends tests that a change has made endless, where it is not known how long they take without one.
const limit = 4 * time.Minute

func main() {
	n := flag.Int("n", 50, "how many changes to try")
	seed := flag.Uint64("seed", uint64(time.Now().Unix()), "what decides which")
	pkg := flag.String("package", "", "the only package to change, such as internal/ledger")
	quick := flag.Bool("quick", false, "run only the quick tests of the changed package; what survives them is tried again without this, with -at")
	at := flag.String("at", "", "the only places to change, as FILE:LINE, with commas between them")
	deliberate := flag.Bool("bugs", false, "make the deliberate bugs instead, and live through simulated seeds with each, or run the tests of its package")
	lives := flag.Int("lives", 6, "how many seeds to live through with a deliberate bug, from -seed on")
	name := flag.String("bug", "", "the only deliberate bugs to make: those with this in their name")
	flag.Parse()
	try := func() error { return run(*n, *seed, choice{*pkg, *at, *quick}) }
	if *deliberate {
		try = func() error { return tryBugs(*seed, *lives, *name) }
	}
	if err := try(); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

// A choice is what to change, and what to run.
type choice struct {
	pkg, at string
	quick   bool
}

func run(n int, seed uint64, c choice) error {
	all, tests, err := candidates(c.pkg)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if c.at != "" {
		all = slices.DeleteFunc(all, func(p place) bool {
			return !slices.Contains(strings.Split(c.at, ","), fmt.Sprintf("%s:%d", p.file, p.line))
		})
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	_, _ = fmt.Fprintf(os.Stdout, "%d places to change, seed %d\n", len(all), seed)
	b, err := newBench(dir, all[:min(len(all), n+n/4+8)], c.quick) // Some don't build.
	if err != nil {
		return err
	}
	var sum score
	var survivors []string
	for number, p := range all {
		if sum.tried == n {
			break
		}
		verdict, err := b.try(number+1, p, tests[p.file])
		if err != nil {
			return err
		}
		if verdict == "does not build" {
			continue
		}
		if a, found := acceptedFor(p); verdict == survived && found {
			verdict = "accepted, since " + a.why + ":"
		} else if verdict == survived {
			survivors = append(survivors, p.String())
		}
		sum.add(verdict)
		_, _ = fmt.Fprintf(os.Stdout, "%3d %-8s %s\n", sum.tried, verdict, p)
	}
	_, _ = fmt.Fprintf(os.Stdout, "\n%s\n", sum)
	for _, s := range survivors {
		_, _ = fmt.Fprintln(os.Stdout, "survived:", s)
	}
	return nil
}

const (
	survived = "SURVIVED"
	noticed  = "noticed"
	endless  = "endless"
)

// A score is how many changes were tried and what became of them.
type score struct{ tried, noticed, endless, accepted int }

func (s *score) add(verdict string) {
	s.tried++
	switch verdict {
	case noticed:
		s.noticed++
	case endless:
		s.endless++
	case survived:
	default:
		s.accepted++
	}
}

// String is the share of all, and that of those for which nobody has given a reason.
func (s score) String() string {
	share := func(of int) string {
		return fmt.Sprintf("%d of %d (%.0f %%)", s.noticed, of, 100*float64(s.noticed)/float64(max(of, 1)))
	}
	// On a busy machine tests may not end in time although nothing is wrong with them, so that those prove less.
	return fmt.Sprintf("noticed %s, and %s without the %d that are accepted; the tests of %d more did not end", share(s.tried), share(s.tried-s.accepted), s.accepted, s.endless)
}

// candidates are the places of one package or of all, and the tests of each file.
func candidates(only string) (all []place, tests map[string][]string, err error) {
	tests = map[string][]string{}
	for _, t := range targets {
		if only != "" && t.dir != only {
			continue
		}
		files, err := filepath.Glob(filepath.Join(t.dir, "*.go"))
		if err != nil {
			return nil, nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || others[filepath.ToSlash(file)] {
				continue
			}
			found, err := places(file)
			if err != nil {
				return nil, nil, err
			}
			all = append(all, found...)
			tests[file] = t.tests
		}
	}
	if len(all) == 0 {
		return nil, nil, errors.New("there is nothing to change: run it at the root of the repository, with -package one of the list in tools/mutation")
	}
	return all, tests, nil
}
