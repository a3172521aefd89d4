// Command bench measures what scrapes, decoding and a million series cost, beside what others pay for the same, and
// prints the tables of docs/performance.md.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
)

// A part is one of the tables.
type part struct {
	name string
	run  func(ctx context.Context, w io.Writer, dir string) error
}

var parts = []part{
	{"scrape", scrapes},
	{"organizations", organizations},
	{"organizations", manyProcesses},
	{"decode", decoding},
	{"fine", fine},
	{"million", million},
	{"prometheus", withPrometheus},
	{"poll", steadyPolls},
	{"catchup", catchUp},
	{"growth", growths},
	{"others", others},
}

// quick makes the parts that take long short, and their figures worthless.
var quick bool

func main() {
	only := flag.String("only", "", "run only the parts with these names, separated by commas")
	stage := flag.String("stage", "", "run one stage of a part in a process of its own; the program calls itself with it")
	dir := flag.String("dir", "", "directory of the state that a stage works on")
	options := flag.String("options", "", "options of a stage")
	flag.BoolVar(&quick, "quick", false, "measure little, to try the program and not the exporter")
	kept := flag.String("results", "", "file that keeps what was measured of organizations and growth, to go on from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	switch *stage {
	case "":
		if *kept != "" {
			err = known.open(*kept)
		}
		if err == nil {
			err = run(ctx, os.Stdout, *only)
		}
	case "upstream", "foxdalas", "client":
		err = process(ctx, *stage, *options)
	default:
		err = runStage(ctx, os.Stdout, *stage, *dir)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, only string) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(w, "Commit %s on: %s, %d processors, %s, %s/%s\n", commit(ctx), processor(), runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	found := false
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		found = true
		if err := p.run(ctx, w, dir); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if !found {
		return fmt.Errorf("there is no part %q", only)
	}
	return nil
}

// process is one that does the work of an API or of another exporter.
func process(ctx context.Context, stage, options string) error {
	switch stage {
	case "foxdalas":
		return newest(ctx, options)
	case "client":
		return official(ctx, options)
	}
	return upstreamMain(os.Stdin, os.Stdout, options)
}

// commit is the one that is measured.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// processor is what the kernel calls it, where it does.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, text, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(text)
		}
	}
	return "unknown processor"
}
