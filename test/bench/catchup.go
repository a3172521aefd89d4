package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// catchUp lets an exporter be away for a week, and says what it takes to read what it has missed.
func catchUp(ctx context.Context, w io.Writer, dir string) error {
	const away = 7 * 24 * time.Hour
	used := traffic{LabelSets: 200, Every: 1}
	if quick {
		used.LabelSets = 10
	}
	binary, err := buildExporter(ctx, dir, "")
	if err != nil {
		return err
	}
	behind := time.Now().Add(-away)
	url, end, err := startUpstream(ctx, upstreamOptions{Behind: away, Interval: time.Minute, Traffic: &used})
	if err != nil {
		return err
	}
	defer end()
	start := behind.UTC().Truncate(time.Hour)
	config := onlyCompletions(url, "acme", 10*time.Second, time.Hour, 72*time.Hour, start.Format(time.RFC3339))
	exporter, err := startExporter(ctx, dir, "catchup", binary, config)
	if err != nil {
		return err
	}
	defer func() { exporter.end() }()
	// counted waits until the counters have every request of a minute that has just passed or runs.
	counted := func(behind time.Duration) error {
		return until(ctx, 30*time.Minute, func() error {
			got, err := exporter.sum(ctx, "openai_usage_requests_total")
			if err != nil {
				return err
			}
			now := time.Now().Add(-behind)
			for _, asOf := range []time.Time{now, now.Add(-time.Minute)} {
				if want := used.total(start, asOf); got == float64(want) {
					return nil
				}
			}
			return fmt.Errorf("%.0f requests are counted, want %d", got, used.total(start, now))
		})
	}
	if err := exporter.ready(ctx, 5*time.Minute); err != nil {
		return err
	}
	if err := counted(away); err != nil {
		return errors.Join(err, exporter.failed())
	}
	exporter.end()
	if err := advance(ctx, url, away); err != nil {
		return err
	}
	if _, err := noted(ctx, url); err != nil {
		return err
	}
	begin := time.Now()
	if exporter, err = startExporter(ctx, dir, "catchup", binary, config); err != nil {
		return err
	}
	if err := counted(0); err != nil {
		return errors.Join(err, exporter.failed())
	}
	took := time.Since(begin)
	a, err := noted(ctx, url)
	if err != nil {
		return err
	}
	return tellCatchUp(w, exporter, a, took, fmt.Sprintf("A week that was missed: %d label sets, each with usage in all of its %d minutes; the counters have all of it", used.LabelSets, int(away.Minutes())))
}

func tellCatchUp(w io.Writer, exporter *program, a arrivals, took time.Duration, title string) error {
	cpu, err := exporter.cpu()
	if err != nil {
		return err
	}
	m, err := exporter.memory()
	if err != nil {
		return err
	}
	t := newTable(title, "", "")
	t.row("From the start until all is counted", seconds(took.Seconds()))
	t.row("CPU", seconds(cpu.Seconds()))
	t.row("Requests", fmt.Sprint(a.Requests))
	t.row("Read", size(float64(a.Bytes)))
	t.row("Most memory", size(m["VmHWM"]))
	t.write(w)
	return nil
}

func advance(ctx context.Context, url string, by time.Duration) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/_advance?by="+by.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("move the API's clock: %s", resp.Status)
	}
	return nil
}
