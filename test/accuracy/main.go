// Command accuracy measures how exact the exporter is: it runs the real binary against the simulator under one unkind
// condition after the other and compares every counter with the truth.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/openai-exporter/openai_exporter/test/process"
)

func main() {
	only := flag.String("only", "", "measure only the conditions whose name contains this")
	parallel := flag.Int("parallel", 2, "conditions measured at a time")
	seed := flag.Uint64("seed", 1, "seed of the simulated organization")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ok, err := run(ctx, os.Stdout, *only, *parallel, *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, only string, parallel int, seed uint64) (bool, error) {
	dir, err := os.MkdirTemp("", "accuracy-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	binary, err := process.Compile(ctx, dir)
	if err != nil {
		return false, err
	}
	results := make([]result, len(conditions))
	failures := make([]error, len(conditions))
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, c := range conditions {
		if !strings.Contains(c.name, only) {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i], failures[i] = measure(ctx, binary, c, seed+uint64(i))
		})
	}
	all.Wait()
	return report(w, results, failures), nil
}

// report prints the table of docs/accuracy.md.
func report(w io.Writer, results []result, failures []error) bool {
	ok := true
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| Condition\t| Usage, counted ÷ truth\t| Cost, counted ÷ truth\t| Counters compared\t| Polls\t| Failed polls\t|")
	fmt.Fprintln(t, "| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|")
	for i, r := range results {
		if r.condition.name == "" && failures[i] == nil {
			continue
		}
		fmt.Fprintf(t, "| %s\t| %.6f\t| %.6f\t| %d\t| %.0f\t| %.0f\t|\n", conditions[i].name, r.usage.value(), r.cost.value(), r.labelSets, r.polls, r.failed)
	}
	_ = t.Flush() // Where the table can't be printed, the exit code still tells.
	for i, err := range failures {
		if err != nil {
			ok = false
			fmt.Fprintf(w, "%s: %v\n", conditions[i].name, err)
		}
	}
	return ok
}
