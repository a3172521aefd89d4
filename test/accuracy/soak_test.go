//go:build soak

package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/test/process"
)

var soakTime = flag.Duration("soaktime", time.Hour, "how long the exporter is soaked, by the wall clock")

// soakStep makes the API's clock run at 60 times the speed of the wall's.
const soakStep = 60 * tick

// A gauge is something of the process that must not grow. The growth is that of the line of least squares over the
// second half of the soak, and may be a share of the mean, or so little that it says nothing.
type gauge struct {
	name, unit string
	share      float64
	slack      float64
	times      []float64 // hours of the wall clock
	values     []float64
}

func (g *gauge) add(hours, value float64) {
	g.times, g.values = append(g.times, hours), append(g.values, value)
}

// fit returns the slope of the line of least squares, an hour, and the mean.
func (g *gauge) fit() (slope, mean float64) {
	n := float64(len(g.times))
	var t, v float64
	for i := range g.times {
		t, v = t+g.times[i]/n, v+g.values[i]/n
	}
	var tv, tt float64
	for i := range g.times {
		tv += (g.times[i] - t) * (g.values[i] - v)
		tt += (g.times[i] - t) * (g.times[i] - t)
	}
	return tv / tt, v
}

// flat prints the slope and says whether the growth is within its bound.
func (g *gauge) flat(t *testing.T) {
	t.Helper()
	if len(g.times) < 30 {
		t.Fatalf("%s: %d samples are too few for a line", g.name, len(g.times))
	}
	slope, mean := g.fit()
	grown := slope * (g.times[len(g.times)-1] - g.times[0])
	bound := max(g.share*mean, g.slack)
	t.Logf("%-16s mean %8.1f %s, slope %+8.1f an hour, grown by %+6.1f over the second half, bound %.1f", g.name, mean, g.unit, slope, grown, bound)
	if grown > bound {
		t.Errorf("%s grows: by %.1f %s over the second half, more than %.1f", g.name, grown, g.unit, bound)
	}
}

func TestTheFitFindsASlope(t *testing.T) {
	g := &gauge{}
	for i := range 100 {
		g.add(float64(i)/100, 50+7*float64(i)/100+float64(i%2))
	}
	if slope, mean := g.fit(); slope < 6.9 || slope > 7.1 || mean < 53 || mean > 55 {
		t.Errorf("slope %v, mean %v; want about 7 and 54", slope, mean)
	}
}

// TestASoakEndsExactAndFlat runs the real binary at 60 times the speed of time, with faults, reloads and scrapes. In the
// first half it is killed again and again; in the second half one process lives, so that what it gathers shows.
func TestASoakEndsExactAndFlat(t *testing.T) {
	ctx := t.Context()
	conditions, err := condition{profiles: []string{"late-minutes"}}.combined()
	if err != nil {
		t.Fatal(err)
	}
	faulty, err := simulator.Profile("faulty")
	if err != nil {
		t.Fatal(err)
	}
	clock := simulator.NewClock(time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC), 0)
	sim := simulator.New(simulator.Options{Seed: 1, Clock: clock.Now, AdminKey: "sk-admin-accuracy", Lateness: conditions.Lateness})
	server := httptest.NewServer(sim.Handler())
	defer server.Close()

	dir := t.TempDir()
	key, file, data := filepath.Join(dir, "key"), filepath.Join(dir, "config.yml"), filepath.Join(dir, "data")
	process.WriteFile(t, key, "sk-admin-accuracy\n")
	text := fmt.Sprintf(exporterConfig, key, server.URL+"/v1")
	// A reload that changes something: the window that is read with every poll.
	versions := []string{text, strings.Replace(text, "usage:\n", "usage:\n  lookback: 2h\n", 1)}
	process.WriteFile(t, file, text)
	e := &exporter{binary: process.Build(t), dir: dir, args: []string{"--config.file=" + file, "--storage.path=" + data}}
	if err := e.start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() { e.kill() }()
	if err := e.until(ctx, func(m metrics) (bool, string) { return everywhere(m, nil) }); err != nil {
		t.Fatal(err)
	}
	began := clock.Now()
	baseline := truths(sim, began, began.Add(time.Minute), began)

	memory := &gauge{name: "memory", unit: "MiB", share: 0.2, slack: 16}
	goroutines := &gauge{name: "goroutines", share: 0.1, slack: 8}
	files := &gauge{name: "file descriptors", share: 0.1, slack: 8}
	state := &gauge{name: "state", unit: "MiB", share: 0.1, slack: 1}
	seen := &watch{highest: map[string]float64{}}
	kills, reloads, begin := 0, 0, time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ticks := 1; time.Since(begin) < *soakTime; ticks++ {
		<-ticker.C
		clock.Advance(soakStep)
		if ticks%20 != 0 {
			continue
		}
		second, early := ticks/20, time.Since(begin) < *soakTime/2
		seen.look(ctx, e)
		switch {
		case second%10 == 3: // Faults come and go.
			sim.SetFaults(faulty.Faults)
		case second%10 == 8:
			sim.SetFaults(simulator.Faults{})
		case second%10 == 5:
			reloads++
			process.WriteFile(t, file, versions[reloads%len(versions)])
			if err := e.program.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		case early && second%17 == 0:
			kills++
			e.kill()
			if err := e.start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if early {
			continue
		}
		hours := time.Since(begin).Hours()
		m, err := e.scrape(ctx)
		if err != nil {
			t.Fatal(err)
		}
		goroutines.add(hours, m.sum("go_goroutines"))
		memory.add(hours, anonymous(t, e)/(1<<20))
		files.add(hours, m.sum("process_open_fds"))
		state.add(hours, sizeOf(t, data)/(1<<20))
	}
	sim.SetFaults(simulator.Faults{})
	end := clock.Now().Truncate(time.Minute).Add(time.Minute)
	sim.SetEnd(end)
	for clock.Now().Before(end.Add(settling)) {
		clock.Advance(10 * time.Hour)
		if err := e.progress(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := truths(sim, began, end, time.Time{})
	for k, n := range baseline {
		want[k] = want[k].Sub(n)
	}
	if err := e.until(ctx, func(m metrics) (bool, string) {
		_, differs := compare(condition{}, m, want)
		return len(differs) == 0, strings.Join(differs[:min(len(differs), 5)], "; ")
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%s of the API's time, %d kills, %d reloads, %d scrapes, %d counters held to the truth", end.Sub(began), kills, reloads, seen.scrapes, len(want))
	if kills == 0 || reloads == 0 || seen.scrapes == 0 {
		t.Error("the soak proves nothing")
	}
	if err := seen.err(); err != nil {
		t.Error(err)
	}
	for _, g := range []*gauge{memory, goroutines, files, state} {
		g.flat(t)
	}
}

// anonymous is the memory of the process in bytes, without the pages of files, which the kernel takes back.
func anonymous(t *testing.T, e *exporter) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.program.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "RssAnon:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib * 1024
		}
	}
	t.Fatal("no RssAnon in /proc")
	return 0
}

// sizeOf is what is in a directory, in bytes. A file may go while we look.
func sizeOf(t *testing.T, dir string) float64 {
	t.Helper()
	total := 0.0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += float64(info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
