package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A million series are this many label sets of completions, each of which has a counter per measure: all have once had
// tokens of every kind, since a kind that a label set has never had has no series.
const (
	seriesOfAMillion = 1_000_000
	lookback         = time.Hour
	audited          = 72 * time.Hour
	everyTenth       = 10 // an active label set has usage in every tenth minute of the lookback,
	everyNinth       = 9  // and in every ninth hour of the audit's window
	touched          = 10 // one label set in ten changes in the measured poll
)

// figures are what a stage found out, by name.
type figures map[string]float64

// time notes how long something takes, by the clock and in processor time.
func (f figures) time(name string, do func() error) error {
	begin, used := time.Now(), cpuTime()
	err := do()
	f[name], f[name+"_cpu"] = time.Since(begin).Seconds(), (cpuTime() - used).Seconds()
	return err
}

func (f figures) took(name string) string {
	return fmt.Sprintf("%s (CPU %s)", seconds(f[name]), seconds(f[name+"_cpu"]))
}

// million runs every stage in a process of its own, so that the memory of one is not that of another.
func million(ctx context.Context, w io.Writer, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	state := filepath.Join(dir, "million")
	found := make(map[string]figures)
	for _, name := range []string{"fill", "idle", "activate", "active", "identity", "gzip"} {
		cmd := exec.CommandContext(ctx, self, "-stage", name, "-dir", state)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		var f figures
		if err := json.Unmarshal(out, &f); err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		found[name] = f
	}
	idle, active, plain, gzipped := found["idle"], found["active"], found["identity"], found["gzip"]
	sets, n := idle["label_sets"], idle["series"]
	t := newTable(fmt.Sprintf("A million series: %.0f label sets of completions with %.0f counters each, by project, user, key and model", sets, n/sets),
		"", "all idle", "all active")
	both := func(name string, spell func(figures) string) { t.row(name, spell(idle), spell(active)) }
	both("Start: state opened and shown", func(f figures) string { return f.took("open") })
	both("Memory at rest", func(f figures) string { return size(f["anonymous"]) })
	both("… per label set", func(f figures) string { return fmt.Sprintf("%.0f B", f["anonymous"]/sets) })
	both("… per series", func(f figures) string { return fmt.Sprintf("%.0f B", f["anonymous"]/n) })
	both("Most memory until then", func(f figures) string { return size(f["peak"]) })
	both("State on disk", func(f figures) string { return size(f["disk"]) })
	t.row("A poll that touches a tenth: booked and on disk", "", active.took("book"))
	t.row("… written to disk", "", size(active["written"]))
	t.row("The first poll after a restart, that changes nothing: booked", "", active.took("restarted"))
	t.row("Any other poll that changes nothing: booked", "", active.took("unchanged"))
	t.write(w)
	t = newTable(fmt.Sprintf("A scrape of this million series over HTTP: %s, with gzip %s", size(plain["bytes"]), size(gzipped["bytes"])),
		"", "identity", "gzip")
	t.row("The first after a start", plain.took("first"), gzipped.took("first"))
	t.row("Every other", plain.took("again"), gzipped.took("again"))
	t.row("The first after a poll that changed nothing", plain.took("unchanged"), gzipped.took("unchanged"))
	t.row("The first after a poll that touched a tenth", plain.took("tenth"), gzipped.took("tenth"))
	t.row("Memory of the ledger, families and bytes", size(plain["served"]), size(gzipped["served"]))
	t.write(w)
	return nil
}

func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
	return fmt.Sprintf("%.1f s", s)
}

// The label sets are first seen on a day and idle from then on, until they are active four days later.
var (
	born     = time.Date(2026, 11, 10, 12, 30, 20, 0, time.UTC)
	measured = born.Add(96 * time.Hour)
)

func runStage(ctx context.Context, w io.Writer, name, dir string) error {
	stages := map[string]func(context.Context, string) (figures, error){
		"fill": fillState, "idle": restIdle, "activate": activate, "active": restActive, "identity": serve("identity"), "gzip": serve("gzip"),
	}
	if stages[name] == nil {
		return fmt.Errorf("there is no stage %q", name)
	}
	f, err := stages[name](ctx, dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(f)
}

// fillState makes a million idle series.
func fillState(ctx context.Context, dir string) (figures, error) {
	o, err := open(dir)
	if err != nil {
		return nil, err
	}
	minute := born.Truncate(time.Minute)
	all := func(_ int, at time.Time) int64 {
		if at.Equal(minute) {
			return 1
		}
		return 0
	}
	for _, step := range []struct {
		at  time.Time
		has func(int, time.Time) int64
	}{{born.Add(-time.Minute), nothing}, {born, all}, {measured.Add(-time.Minute), all}} {
		if err := o.poll(ctx, step.at, step.has, nothing); err != nil {
			return nil, err
		}
	}
	return figures{}, o.ledger.Close()
}

// rest opens the state and says what that took, and what it holds when it is at rest.
func rest(dir string) (*organization, figures, error) {
	debug.FreeOSMemory()
	before, err := resident()
	if err != nil {
		return nil, nil, err
	}
	f := figures{}
	var o *organization
	if err := f.time("open", func() (err error) {
		o, err = open(dir)
		return err
	}); err != nil {
		return nil, nil, err
	}
	for _, s := range o.ledger.View().Feeds[0].Series {
		f["label_sets"]++
		f["series"] += float64(len(s.Values))
		for i := range s.Values {
			if s.Absent.Has(i) || s.Values[i].IsZero() {
				return nil, nil, fmt.Errorf("a label set has no %s", o.ledger.View().Feeds[0].Endpoint.Measures[s.Measures[i]].Name)
			}
		}
	}
	debug.FreeOSMemory()
	after, err := resident()
	if err != nil {
		return nil, nil, err
	}
	f["anonymous"] = after["RssAnon"] - before["RssAnon"]
	f["peak"] = after["VmHWM"]
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		f["disk"], err = bytesBelow(dir)
	}
	if f["series"] < seriesOfAMillion {
		err = errors.Join(err, fmt.Errorf("there are only %.0f series", f["series"]))
	}
	return o, f, err
}

func restIdle(_ context.Context, dir string) (figures, error) {
	o, f, err := rest(dir)
	if err != nil {
		return nil, err
	}
	return f, o.ledger.Close()
}

func activate(ctx context.Context, dir string) (figures, error) {
	o, err := open(dir)
	if err != nil {
		return nil, err
	}
	if err := o.poll(ctx, measured, spread(time.Minute, everyTenth), spread(time.Hour, everyNinth)); err != nil {
		return nil, err
	}
	return figures{}, o.ledger.Close()
}

// newest is a read of what is there, and of more by some in the newest minute: those that have usage in it are a tenth of
// all label sets.
func (o *organization) newest(more int64) *ledger.Read {
	usual, newest := spread(time.Minute, everyTenth), measured.Truncate(time.Minute)
	return o.fill(o.feed.PollWindow(measured), measured, func(i int, at time.Time) int64 {
		n := usual(i, at)
		if at.Equal(newest) && n > 0 {
			n += more
		}
		return n
	})
}

// Each stage that polls finds what the one before has booked.
var growth = map[string][2]int64{"active": {0, 1000}, "identity": {1000, 2000}, "gzip": {2000, 3000}}

func restActive(ctx context.Context, dir string) (figures, error) {
	o, f, err := rest(dir)
	if err != nil {
		return nil, err
	}
	// A bucket can be passed over once this process has read it.
	first := o.newest(growth["active"][0])
	if err := f.time("restarted", func() error { return o.feed.Book(ctx, first) }); err != nil {
		return nil, err
	}
	same, more := o.newest(growth["active"][0]), o.newest(growth["active"][1])
	if err := f.time("unchanged", func() error { return o.feed.Book(ctx, same) }); err != nil {
		return nil, err
	}
	written, err := writtenBytes()
	if err != nil {
		return nil, err
	}
	if err := f.time("book", func() error { return o.feed.Book(ctx, more) }); err != nil {
		return nil, err
	}
	after, err := writtenBytes()
	if err != nil {
		return nil, err
	}
	f["written"] = after - written
	return f, o.ledger.Close()
}

// fresh is longer than a large answer is handed out without a look at what has changed since. No poll makes it again here.
const fresh = 16 * time.Second

// silent has no endpoints to tell of.
type silent struct{}

func (silent) Status() []fetcher.Status { return nil }

// serve scrapes the state after a poll, and then again.
func serve(coding string) func(context.Context, string) (figures, error) {
	return func(ctx context.Context, dir string) (figures, error) {
		o, f, err := rest(dir)
		if err != nil {
			return nil, err
		}
		srv := httptest.NewServer(collector.New(collector.Options{Views: o.ledger, Statuses: silent{}}).Handler())
		defer srv.Close()
		if err := f.time("first", func() error {
			n, err := scrape(srv, coding)
			f["bytes"] = float64(n)
			return err
		}); err != nil {
			return nil, err
		}
		again, err := compare(ctx, []side{{coding, nil, func() error {
			_, err := scrape(srv, coding)
			return err
		}}})
		if err != nil {
			return nil, err
		}
		f["again"], f["again_cpu"] = again[0].time.Seconds(), again[0].cpu.Seconds()
		debug.FreeOSMemory()
		now, err := resident()
		if err != nil {
			return nil, err
		}
		f["served"] = now["RssAnon"]
		if err := o.feed.Book(ctx, o.newest(growth[coding][0])); err != nil {
			return nil, err
		}
		if err := sleep(ctx, fresh); err != nil {
			return nil, err
		}
		if _, err := scrape(srv, coding); err != nil {
			return nil, err
		}
		for i, name := range []string{"unchanged", "tenth"} {
			if err := o.feed.Book(ctx, o.newest(growth[coding][i])); err != nil {
				return nil, err
			}
			if err := sleep(ctx, fresh); err != nil {
				return nil, err
			}
			if err := f.time(name, func() error {
				_, err := scrape(srv, coding)
				return err
			}); err != nil {
				return nil, err
			}
		}
		return f, o.ledger.Close()
	}
}
