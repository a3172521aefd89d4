//go:build e2e

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// A rest is a span of time in which the exporter, if it runs, shows what the API says, and every server has recorded it.
type rest struct {
	from, to time.Time
	is       totals
}

// A life is an exporter that goes through faults, kills and a downtime before several servers, and its rests.
type life struct {
	api, exporter string
	args          []string
	binary        string
	program       *process.Program
	begin         totals
	servers       []server
	rests         []rest
}

// The API's clock stands still but for the steps, so that between them the truth is one.
func TestInWindowsQueriesSayWhatTheAPISays(t *testing.T) {
	l := startLife(t)
	l.settle(t, "at the beginning")
	for _, step := range []struct {
		by         string
		kill, down bool
	}{
		{by: "20m"},
		{by: "35m", kill: true},
		{by: "15m"},
		{by: "2h", down: true}, // Two hours that nobody reads until it is back.
		{by: "40m", kill: true},
		{by: "25m"},
		{by: "1h", kill: true},
	} {
		if step.down {
			l.program.End(t, syscall.SIGKILL)
			l.holdOut(t, "0")
		}
		l.control(t, "advance?by="+step.by)
		if step.kill {
			l.program.End(t, syscall.SIGKILL)
		}
		if step.kill || step.down {
			l.program = process.Start(t, l.binary, l.args...)
		}
		l.settle(t, step.by+" later")
	}

	l.keepsStarts(t, l.servers[slices.IndexFunc(l.servers, func(s server) bool { return s.features == startsStored })])
	windows := l.windows(30)
	if born := l.born(windows); born < 50 {
		t.Errorf("series were born inside of windows %d times, which proves little", born)
	}
	var table []measured
	for _, s := range l.servers {
		for _, f := range s.forms {
			m := measured{server: s.name, form: f}
			for _, w := range windows {
				m.compare(t, s.prometheus, w)
			}
			t.Logf("%s %s: %d of %d answers exact, %.6f and %.6f are the farthest from 1", s.name, f.name, m.exact, m.answers, m.series, m.sums)
			if m.answers < 1000 {
				t.Errorf("%s: only %d answers to %s", s.name, m.answers, f.name)
			}
			table = append(table, m)
		}
	}
	document(t, table)
}

func startLife(t *testing.T) *life {
	t.Helper()
	dir, target := t.TempDir(), process.FreeAddress(t)
	l := &life{api: "http://" + process.FreeAddress(t), exporter: "http://" + target, binary: process.Build(t)}
	process.Start(t, l.binary, "simulate", "--listen-address="+strings.TrimPrefix(l.api, "http://"),
		"--admin-key="+adminKey, "--start="+morning, "--speed=1e-9", "--scale=0.1", "--label-sets=60", "--lateness=minutes")
	process.Eventually(t, 3*time.Minute, "the simulator answers", func() error {
		_, err := apiNow(t, l.api)
		return err
	})
	l.control(t, "advance?by=30m")
	l.begin = l.truth(t)
	l.control(t, "faults?profile=faulty")
	process.WriteFile(t, filepath.Join(dir, "key"), adminKey+"\n")
	process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations: [{name: acme, api_key_file: key, base_url: %q, requests_per_minute: 6000}]
usage:
  interval: 1s
  lookback: 1h
  audit: {interval: 5s, window: 12h}
  endpoints:
    vector_stores: {bucket_width: 1h, interval: 5s}
    code_interpreter_sessions: {bucket_width: 1h, interval: 2s}
costs: {interval: 2s}
names: {enabled: false}
limits: {enabled: false}
counters: {zero_hold: 10s}
`, l.api+"/v1"))
	l.args = []string{"--config.file=" + filepath.Join(dir, "exporter.yml"), "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + target}
	l.program = process.Start(t, l.binary, l.args...)
	l.servers = startServers(t, dir, target)
	return l
}

func (l *life) control(t *testing.T, path string) {
	t.Helper()
	if _, err := process.Post(t.Context(), l.api+"/_simulator/"+path); err != nil {
		t.Fatal(err)
	}
}

func (l *life) truth(t *testing.T) totals {
	t.Helper()
	began, err := time.Parse(time.RFC3339, morning)
	if err != nil {
		t.Fatal(err)
	}
	is, err := truth(t, l.api, began.Truncate(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// settle waits until the exporter and every server have what the API says, and stays with it for some scrapes.
func (l *life) settle(t *testing.T, when string) {
	t.Helper()
	want := l.truth(t).minus(l.begin)
	process.Eventually(t, 3*time.Minute, "the exporter shows the truth "+when, func() error {
		got, err := exposed(t, l.exporter)
		if err != nil {
			return err
		}
		return equal(want, got)
	})
	for _, s := range l.servers {
		process.Eventually(t, 3*time.Minute, s.name+" has recorded it", func() error {
			got, err := s.recorded(t)
			if err != nil {
				return err
			}
			return equal(want, got)
		})
	}
	l.rests = append(l.rests, rest{from: time.Now(), is: want})
	l.holdOut(t, "1")
}

// holdOut lets the rest go on for some scrapes, which succeed or not.
func (l *life) holdOut(t *testing.T, up string) {
	t.Helper()
	at := float64(time.Now().Add(2 * time.Second).Unix())
	for _, s := range l.servers {
		process.Eventually(t, 3*time.Minute, s.name+" has scraped on", func() error {
			samples, err := s.query(t, `up{job="openai"}[10s]`)
			if err != nil || len(samples) != 1 {
				return fmt.Errorf("%d series: %v", len(samples), err)
			}
			last := samples[0].Values[len(samples[0].Values)-1]
			if last.at() < at || last[1] != up {
				return fmt.Errorf("the last scrape is %v", last)
			}
			return nil
		})
	}
	l.rests[len(l.rests)-1].to = time.Now()
}

// A window reaches from somewhere in a rest to somewhere in a later one. Its truth is what has come in between.
type window struct {
	start, end  time.Time
	first, last totals
}

func (w window) truth() totals { return w.last.minus(w.first) }

func (l *life) windows(n int) []window {
	random := rand.New(rand.NewPCG(1, 2))
	within := func(r rest) time.Time {
		return r.from.Add(time.Duration(random.Int64N(int64(r.to.Sub(r.from))))).Truncate(time.Millisecond)
	}
	var all []window
	for range n {
		i := random.IntN(len(l.rests) - 1)
		j := i + 1 + random.IntN(len(l.rests)-1-i)
		all = append(all, window{within(l.rests[i]), within(l.rests[j]), l.rests[i].is, l.rests[j].is})
	}
	return all
}

// born counts the series that windows have the beginning of.
func (l *life) born(windows []window) int {
	n := 0
	for _, w := range windows {
		for k, v := range w.last {
			if _, known := w.first[k]; !known && v > 0 {
				n++
			}
		}
	}
	return n
}
