package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// perMinute is the budget of requests of each organization: the default.
const perMinute = 60

// ofMany is a configuration of n organizations with all endpoints, each polled every interval.
func ofMany(n int, url string, interval time.Duration, more string) string {
	var b strings.Builder
	b.WriteString("organizations:\n")
	for i := range n {
		name := fmt.Sprintf("organization-%04d", i)
		fmt.Fprintf(&b, "  - {name: %s, base_url: %s/%s/v1, api_key_env: OPENAI_ADMIN_KEY, requests_per_minute: %d}\n", name, url, name, perMinute)
	}
	fmt.Fprintf(&b, "usage:\n  interval: %[1]s\n  endpoints:\n    vector_stores: {interval: %[1]s}\n    code_interpreter_sessions: {interval: %[1]s}\ncosts: {interval: %[1]s}\n%[2]s", interval, more)
	return b.String()
}

// A load is what a number of organizations took.
type load struct {
	Organizations   int
	Streams         int           // of each endpoint; 0 for all of the simulator's
	Began, Resumed  time.Duration // from the start to ready, with an empty state and with all of it
	Late, Booked    []int64       // milliseconds after the tick: of the first request, and of what is on disk and shown
	Polls, Syncs    float64       // a second
	CPU             float64       // of one processor
	Memory, Peak    float64
	State           float64
	Requests        float64 // a minute, of each organization
	Most            int     // requests of one organization in any minute
	Bytes           float64 // of a scrape as text
	Scrape, Slowest time.Duration
	// Scrapes are the seconds of each scrape of the exporter, as Prometheus sees it, and Stored those of the same bytes from a
	// file server while nothing else runs.
	Scrapes, Stored []float64
}

// manyProcesses measures the real program with more and more organizations, against the API on the same machine.
func manyProcesses(ctx context.Context, w io.Writer, dir string) error {
	binary, err := buildExporter(ctx, dir, "")
	if err != nil {
		return err
	}
	small, large, watched := []int{1, 10, 100}, 1000, 2*time.Minute
	if quick {
		small, large, watched = []int{1}, 5, time.Minute
	}
	take := func(n, streams int, keep func(*load)) error {
		l := &load{Organizations: n, Streams: streams}
		if err := l.measure(ctx, filepath.Join(dir, fmt.Sprintf("many-%d-%d", n, streams)), binary, watched, n == large); err != nil {
			return fmt.Errorf("%d organizations: %w", n, err)
		}
		return known.keep(func() { keep(l) })
	}
	measure := func(n int) error { return take(n, 0, func(l *load) { known.Loads[n] = l }) }
	// The smaller ones leave so much of the machine alone that they are measured at the same time.
	errs := make([]error, len(small))
	var done sync.WaitGroup
	for i, n := range small {
		if known.Loads[n] == nil {
			done.Go(func() { errs[i] = measure(n) })
		}
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if known.Loads[large] == nil {
		if err := measure(large); err != nil {
			return err
		}
	}
	if known.Small == nil {
		if err := take(large, 1, func(l *load) { known.Small = l }); err != nil {
			return err
		}
	}
	var all []*load
	for _, n := range append(small, large) {
		all = append(all, known.Loads[n])
	}
	all = append(all, known.Small)
	tellMany(w, all, watched)
	return nil
}

func tellMany(w io.Writer, all []*load, watched time.Duration) {
	columns := []string{""}
	for _, l := range all {
		name := fmt.Sprint(l.Organizations)
		if l.Streams > 0 {
			name += ", small"
		}
		columns = append(columns, name)
	}
	t := newTable(fmt.Sprintf("Organizations with %d endpoints each, polled every minute, over %s", len(api.Endpoints), watched), columns...)
	row := func(name string, spell func(*load) string) {
		cells := []string{name}
		for _, l := range all {
			cells = append(cells, spell(l))
		}
		t.row(cells...)
	}
	quantiles := func(late []int64) string {
		return fmt.Sprintf("%s, %s", seconds(quantile(late, 0.5)), seconds(quantile(late, 0.99)))
	}
	row("Polls a second", func(l *load) string { return fmt.Sprintf("%.1f", l.Polls) })
	row("A poll's first request after its tick: median, 99th percentile", func(l *load) string { return quantiles(l.Late) })
	row("A poll on disk and shown after its tick: median, 99th percentile", func(l *load) string { return quantiles(l.Booked) })
	row("Commits a second, of two syncs each", func(l *load) string { return fmt.Sprintf("%.1f", l.Syncs) })
	row("CPU, of one processor", func(l *load) string { return fmt.Sprintf("%.1f %%", 100*l.CPU) })
	row("… for each organization", func(l *load) string { return fmt.Sprintf("%.3f %%", 100*l.CPU/float64(l.Organizations)) })
	row("Memory", func(l *load) string { return size(l.Memory) })
	row("… for each organization", func(l *load) string { return size(l.Memory / float64(l.Organizations)) })
	row("Most memory", func(l *load) string { return size(l.Peak) })
	row("State on disk", func(l *load) string { return size(l.State) })
	row("Requests a minute of each organization", func(l *load) string { return fmt.Sprintf("%.1f", l.Requests) })
	row(fmt.Sprintf("Most requests of one in any minute, of %d", perMinute), func(l *load) string { return fmt.Sprint(l.Most) })
	row("A scrape as text", func(l *load) string { return size(l.Bytes) })
	row("A scrape with gzip: median, slowest", func(l *load) string { return seconds(l.Scrape.Seconds()) + ", " + seconds(l.Slowest.Seconds()) })
	row("Prometheus' scrapes: the first", func(l *load) string { return first(l.Scrapes) })
	row("… the others: median, slowest", func(l *load) string { return afterFirst(l.Scrapes) })
	row("… of the same bytes from a file server, on an idle machine: the first", func(l *load) string { return first(l.Stored) })
	row("… the others: median, slowest", func(l *load) string { return afterFirst(l.Stored) })
	row("From an empty state to ready", func(l *load) string { return seconds(l.Began.Seconds()) })
	row("From a restart to ready", func(l *load) string { return seconds(l.Resumed.Seconds()) })
	t.write(w)
}

// quantile is a quantile of milliseconds, in seconds.
func quantile(late []int64, q float64) float64 {
	if len(late) == 0 {
		return 0
	}
	late = slices.Sorted(slices.Values(late))
	return float64(late[int(q*float64(len(late)-1)+0.5)]) / 1000
}

const patience = 20 * time.Minute // for a thousand organizations on a slow machine

// measure measures the exporter with the organizations of a load.
func (l *load) measure(ctx context.Context, dir, binary string, watched time.Duration, prometheus bool) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	url, end, err := startUpstream(ctx, upstreamOptions{Interval: time.Minute, Streams: l.Streams})
	if err != nil {
		return err
	}
	defer end()
	config := ofMany(l.Organizations, url, time.Minute, "")
	begin := time.Now()
	exporter, err := startExporter(ctx, dir, "exporter", binary, config)
	if err != nil {
		return err
	}
	defer func() { exporter.end() }()
	if err := exporter.ready(ctx, patience); err != nil {
		return err
	}
	l.Began = time.Since(begin)
	if err := exporter.settled(ctx); err != nil {
		return err
	}
	first, err := noted(ctx, url)
	if err != nil {
		return err
	}
	l.Most = first.Most
	if err := l.watch(ctx, exporter, url, watched); err != nil {
		return errors.Join(err, exporter.failed())
	}
	var stored http.Handler
	if prometheus {
		if stored, err = l.scraped(ctx, dir, exporter); err != nil {
			return err
		}
	}
	exporter.end()
	begin = time.Now()
	if exporter, err = startExporter(ctx, dir, "exporter", binary, config); err != nil {
		return err
	}
	if err := exporter.ready(ctx, patience); err != nil {
		return err
	}
	l.Resumed = time.Since(begin)
	// What the restart asks for is within the budgets, too.
	if err := sleep(ctx, min(watched, time.Minute)); err != nil {
		return err
	}
	last, err := noted(ctx, url)
	l.Most = max(l.Most, last.Most)
	if err != nil || stored == nil {
		return err
	}
	exporter.end()
	end()
	return l.storedBytes(ctx, dir, stored)
}

// settled waits until the audits of an empty state are over: until half a minute has used little more processor time
// than the one before, or less.
func (p *program) settled(ctx context.Context) error {
	const step = 30 * time.Second
	deadline := time.Now().Add(patience)
	for before := time.Duration(0); time.Now().Before(deadline); {
		from, err := p.cpu()
		if err != nil {
			return err
		}
		if err := sleep(ctx, 2*step); err != nil {
			return err
		}
		to, err := p.cpu()
		if err != nil {
			return err
		}
		used := to - from
		if before > 0 && used > before*3/4 && used < before*5/4 || quick && before > 0 || used < time.Second/4 {
			return nil
		}
		before = used
	}
	return errors.New("it does not settle")
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// watch watches the exporter for a while, and scrapes it four times a minute.
func (l *load) watch(ctx context.Context, exporter *program, url string, watched time.Duration) error {
	// Both counts are of the same time, in which every endpoint has had all its ticks but for those that are late.
	const commits, polls = "openai_exporter_state_commit_duration_seconds_count", "openai_exporter_polls_total"
	if _, err := noted(ctx, url); err != nil {
		return err
	}
	var counted [2][2]float64
	var used [2]time.Duration
	var times []time.Duration
	begin := time.Now()
	for i := range 2 {
		var err error
		if counted[i][0], err = exporter.sum(ctx, commits); err != nil {
			return err
		}
		if counted[i][1], err = exporter.sum(ctx, polls); err != nil {
			return err
		}
		if used[i], err = exporter.cpu(); err != nil {
			return err
		}
		if i == 1 {
			break
		}
		for begin = time.Now(); time.Since(begin) < watched; {
			if err := sleep(ctx, 15*time.Second); err != nil {
				return err
			}
			took, _, err := timedScrape(ctx, exporter, "gzip")
			if err != nil {
				return err
			}
			times = append(times, took)
		}
	}
	took := time.Since(begin).Seconds()
	slices.Sort(times)
	l.Scrape, l.Slowest = times[len(times)/2], times[len(times)-1]
	l.Syncs, l.Polls = (counted[1][0]-counted[0][0])/took, (counted[1][1]-counted[0][1])/took
	l.CPU = (used[1] - used[0]).Seconds() / took
	a, err := noted(ctx, url)
	if err != nil {
		return err
	}
	l.Late, l.Most = a.Late, max(l.Most, a.Most)
	l.Requests = float64(a.Requests) / took * 60 / float64(l.Organizations)
	m, err := exporter.memory()
	if err != nil {
		return err
	}
	l.Memory, l.Peak = m["RssAnon"], m["VmHWM"]
	if l.State, err = bytesBelow(filepath.Join(exporter.process.Dir, "exporter")); err != nil {
		return err
	}
	if _, l.Bytes, err = timedScrape(ctx, exporter, "identity"); err != nil {
		return err
	}
	l.Booked, err = bookedAfter(ctx, exporter, time.Minute)
	return err
}

// bookedAfter asks the status page how long after its tick each endpoint was last read.
func bookedAfter(ctx context.Context, exporter *program, interval time.Duration) (late []int64, err error) {
	text, err := body(ctx, "http://"+exporter.address+"/api/v1/status")
	if err != nil {
		return nil, err
	}
	var status struct {
		Organizations []struct {
			Name      string
			Endpoints []struct {
				Endpoint    string
				LastSuccess time.Time `json:"last_success"`
			}
		}
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, err
	}
	for _, o := range status.Organizations {
		for _, e := range o.Endpoints {
			if usage, ok := api.Find(e.Endpoint); ok {
				late = append(late, e.LastSuccess.Sub(tickBefore(e.LastSuccess, o.Name, usage.Name, interval)).Milliseconds())
			}
		}
	}
	return late, nil
}

// timedScrape scrapes as a Prometheus would that asks for text.
func timedScrape(ctx context.Context, p *program, coding string) (took time.Duration, n float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Accept-Encoding", coding)
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	size, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("scrape: %s", resp.Status)
	}
	return time.Since(begin), float64(size), err
}
