package faults_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestPollsGoOnUnderScrapersOfEveryKind has a hundred scrapers that ask all the time, readers that do not read,
// connections that say nothing or half of something, and requests that are too large, all at once.
func TestPollsGoOnUnderScrapersOfEveryKind(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 21, LabelSets: 2000})
	e := configured(t, w.baseURL(), adminKey, counting).listen()
	w.polled(e)
	address := strings.TrimPrefix(e.url, "http://")
	before, err := e.scrape()
	if err != nil {
		t.Fatal(err)
	}
	goroutines := before.sum("go_goroutines")

	var idle []net.Conn
	for i := range 300 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
		say := []string{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "", "GET /metrics HTTP/1.1\r\nHo"}[i%3]
		if _, err := io.WriteString(c, say); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	var scrapes, failures, late, slowest atomic.Int64
	done := make(chan struct{})
	for i := range 100 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				begin := time.Now()
				resp, _, err := e.get("/metrics", "Accept-Encoding", []string{"identity", "gzip", "zstd"}[i%3])
				if err != nil || resp.StatusCode != http.StatusOK {
					failures.Add(1)
				}
				scrapes.Add(1)
				if time.Since(begin) > 10*time.Second { // Prometheus has given up by then.
					late.Add(1)
				}
				if took := int64(time.Since(begin)); took > slowest.Load() {
					slowest.Store(took) // Another one may be lost to a race, which matters little.
				}
			}
		})
	}
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if resp, _, err := e.get("/", "X-Large", strings.Repeat("x", 200<<10)); err == nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				failures.Add(1)
			}
		}
	})
	w.live(*faulttime, nil)
	close(done)
	all.Wait()
	t.Logf("%d scrapes, the slowest in %s, peak %d MiB", scrapes.Load(), time.Duration(slowest.Load()), e.peak()>>20)
	if failures.Load() > 0 {
		t.Errorf("%d of %d scrapes failed", failures.Load(), scrapes.Load())
	}
	if late.Load() > scrapes.Load()/100 {
		t.Errorf("%d of %d scrapes took longer than Prometheus waits", late.Load(), scrapes.Load())
	}
	if peak := e.peak(); peak > 800<<20 {
		t.Errorf("the process has had %d MiB", peak>>20)
	}
	after, err := e.scrape()
	if err != nil {
		t.Fatal(err)
	}
	polls := func(f families) float64 { return f.sum("openai_exporter_polls_total", "outcome", "success") }
	// With two cores for a hundred scrapers on both sides, a poll takes longer than otherwise.
	if more := polls(after) - polls(before); more < 12*(*faulttime).Seconds()/10 {
		t.Errorf("only %v polls in %s", more, *faulttime)
	}
	for _, c := range idle {
		c.Close()
	}
	eventually(t, "goroutines to end", func() error {
		if now := e.sum("go_goroutines"); now > goroutines+20 {
			return fmt.Errorf("%v goroutines, before %v", now, goroutines)
		}
		return nil
	})
}
