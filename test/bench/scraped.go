package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// How often Prometheus scrapes, and how often it does so before it is asked how long that took.
const (
	between    = 15 * time.Second
	scrapesOf  = 13
	asProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// scraped lets a real Prometheus scrape the exporter. It returns what hands out the same bytes, nil without a Prometheus.
func (l *load) scraped(ctx context.Context, dir string, exporter *program) (stored http.Handler, err error) {
	if _, err := exec.LookPath(os.Getenv("PROMETHEUS")); err != nil {
		return nil, nil // The table has no lines of it.
	}
	if l.Scrapes, err = durations(ctx, filepath.Join(dir, "scrapes"), exporter.address); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+exporter.address+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", asProtobuf)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("scrape: %s", resp.Status)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Content-Type", "Content-Encoding"} {
			w.Header().Set(name, resp.Header.Get(name))
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(answer))
	}), err
}

// storedBytes lets a real Prometheus scrape a file server: nobody's scrape of these bytes can take less.
func (l *load) storedBytes(ctx context.Context, dir string, stored http.Handler) (err error) {
	files := httptest.NewServer(stored)
	defer files.Close()
	l.Stored, err = durations(ctx, filepath.Join(dir, "stored"), strings.TrimPrefix(files.URL, "http://"))
	return err
}

// durations lets a new Prometheus scrape for a while and returns how many seconds each scrape took, as it says itself. One that
// failed took as long as may pass between two.
func durations(ctx context.Context, dir, target string) ([]float64, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	prometheus, err := startPrometheus(ctx, os.Getenv("PROMETHEUS"), dir, target, between)
	if err != nil {
		return nil, err
	}
	defer prometheus.end()
	q := query{ctx, "http://" + prometheus.address}
	if err := until(ctx, 10*time.Minute, func() error {
		n, err := q.number(`count_over_time(up[1h])`)
		if err == nil && n < scrapesOf {
			err = fmt.Errorf("%v scrapes", n)
		}
		return err
	}); err != nil {
		return nil, errors.Join(err, prometheus.failed())
	}
	return q.samples(`scrape_duration_seconds[1h]`)
}

// first is the first scrape, which makes every series there.
func first(took []float64) string {
	if len(took) == 0 {
		return ""
	}
	return seconds(took[0])
}

// afterFirst are the other scrapes: their median and the slowest.
func afterFirst(all []float64) string {
	if len(all) < 2 {
		return ""
	}
	rest := slices.Sorted(slices.Values(all[1:]))
	return seconds(rest[len(rest)/2]) + ", " + seconds(rest[len(rest)-1])
}
