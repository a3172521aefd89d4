// Command mutation changes the code that decides numbers, in one random place at a time, and runs the tests that should
// notice. It prints the share that was noticed and every change that was not. Nothing in the checkout is touched: the
// changed file reaches the compiler as an overlay.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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

// lengthy are the tests of a package that take seconds each. They run last, since most changes are noticed without them.
var lengthy = map[string]string{
	"./internal/ledger": "^(TestADamagedStateIsRefusedOrWhole|TestRandomHistoriesEndExact|TestAPowerCutLeavesTheOldBooksOrTheNew" +
		"|TestACommitThatFailsChangesNothingThatIsFoundLater|TestAnOrganizationWithNewProjectsOnlyIsItself" +
		"|TestAnHourThatTheAPINoLongerHasDoesNotEndAllAudits|TestTheBooksOfAThousandProjectsAreSmall)$",
}

// limit ends tests that a change has made endless.
const limit = 4 * time.Minute

func main() {
	n := flag.Int("n", 50, "how many changes to try")
	seed := flag.Uint64("seed", uint64(time.Now().Unix()), "what decides which")
	pkg := flag.String("package", "", "the only package to change, such as internal/ledger")
	quick := flag.Bool("quick", false, "run only the quick tests of the changed package; what survives them is tried again without this, with -at")
	at := flag.String("at", "", "the only place to change, as FILE:LINE")
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
		all = slices.DeleteFunc(all, func(p place) bool { return fmt.Sprintf("%s:%d", p.file, p.line) != c.at })
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	_, _ = fmt.Fprintf(os.Stdout, "%d places to change, seed %d\n", len(all), seed)
	tried, noticed, endless := 0, 0, 0
	var survivors []string
	for _, p := range all {
		if tried == n {
			break
		}
		verdict, err := try(dir, p, tests[p.file], c.quick)
		if err != nil {
			return err
		}
		if verdict == "does not build" {
			continue
		}
		tried++
		switch verdict {
		case "noticed":
			noticed++
		case "endless":
			endless++
		default:
			survivors = append(survivors, p.String())
		}
		_, _ = fmt.Fprintf(os.Stdout, "%3d %-8s %s\n", tried, verdict, p)
	}
	// On a busy machine tests may not end in time although nothing is wrong with them, so that those prove less.
	_, _ = fmt.Fprintf(os.Stdout, "\nnoticed %d of %d (%.0f %%); the tests of %d more did not end\n", noticed, tried, 100*float64(noticed)/float64(max(tried, 1)), endless)
	for _, s := range survivors {
		_, _ = fmt.Fprintln(os.Stdout, "survived:", s)
	}
	return nil
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

// try runs the tests with one change.
func try(dir string, p place, tests []string, quick bool) (verdict string, err error) {
	changed, err := p.apply()
	if err != nil {
		return "", err
	}
	list, err := overlay(dir, p.file, changed)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-overlay", list, "./"+filepath.Dir(p.file)).CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("build %s: %w: %s", p.file, err, out)
		}
		return "does not build", nil
	}
	for _, tested := range tests {
		if verdict, err := test(ctx, dir, list, tested, quick); verdict != "" || err != nil {
			return verdict, err
		}
		if quick {
			break
		}
	}
	return "SURVIVED", nil
}

// test builds the tests of a package once and runs the quick ones, then the slow ones. It says nothing if all pass.
func test(ctx context.Context, dir, list, tested string, quick bool) (verdict string, err error) {
	binary := filepath.Join(dir, "tests")
	// The simulation is a module of its own. Vet would refuse some changes for what they look like, which no test has to do.
	if out, err := exec.CommandContext(ctx, "go", "-C", tested, "test", "-vet=off", "-c", "-o", binary, "-overlay", list, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the tests of %s: %w: %s", tested, err, out)
	}
	stages := [][]string{nil}
	if late := lengthy[tested]; late != "" {
		stages = [][]string{{"-test.skip", late}, {"-test.run", late}}
	}
	for _, stage := range stages {
		c := exec.CommandContext(ctx, binary, append(stage, "-test.failfast", "-test.timeout", (limit-10*time.Second).String())...)
		c.Dir = tested
		if verdict := outcome(ctx, c); verdict != "" || quick {
			return verdict, nil
		}
	}
	return "", nil
}

// outcome runs tests. It is empty if they pass.
func outcome(ctx context.Context, c *exec.Cmd) string {
	out, err := c.CombinedOutput()
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil || bytes.Contains(out, []byte("panic: test timed out after")):
		return "endless"
	}
	return "noticed"
}
