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
	"os/signal"
	"runtime"
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
	{"decode", decoding},
	{"fine", fine},
	{"million", million},
	{"prometheus", withPrometheus},
}

func main() {
	only := flag.String("only", "", "run only the part with this name")
	stage := flag.String("stage", "", "run one stage of the million series; the program calls itself with it")
	dir := flag.String("dir", "", "directory of the state that a stage works on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *stage != "" {
		err = runStage(ctx, os.Stdout, *stage, *dir)
	} else {
		err = run(ctx, os.Stdout, *only)
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
	fmt.Fprintf(w, "Machine: %s, %d processors, %s, %s/%s\n", processor(), runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	found := false
	for _, p := range parts {
		if only != "" && only != p.name {
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
