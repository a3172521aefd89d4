//go:build !race

package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// namedKeys is the key that costs the most, with its name and its project's.
var namedKeys = regexp.MustCompile(`"top_keys_today":\s*\[\s*\{\s*"api_key_id":\s*"key_\w+",\s*"name":\s*"[a-z-]+",\s*"project":\s*"[A-Z]\w+`)

var (
	// ratio is a project's, or that of the whole organization.
	ratio = regexp.MustCompile(`(?m)^openai_(?:organization_)?estimated_to_billed_ratio\{organization="demo"(?:,project_id="([^"]+)")?\} (\S+)$`)
	// charged is a project that the bill has something for.
	charged = regexp.MustCompile(`(?m)^openai_cost_usd_total\{[^}]*project_id="([^"]+)"`)
)

// Every series is stored and asked for by somebody. The demo is of a small company, and shows most late in the day, when
// everything has been billed of it. With the default grouping its estimate is its bill to 1 %, if the bill is read before usage
// no longer waits for it: with the race detector, on a busy machine, it is not.
func TestTheDemoHasFewSeriesAndAnEstimateLikeItsBill(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // Others may run a demo of their own on this machine.
	listening := make(chan string, 1)
	var once sync.Once
	logger := log.LoggerFunc(func(pairs ...any) error {
		if at := slices.Index(pairs, any("metrics")); at >= 0 {
			once.Do(func() { listening <- fmt.Sprint(pairs[at+1]) })
		}
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Demo: true, demoStart: time.Date(2026, 11, 18, 23, 20, 0, 0, time.UTC), Addresses: []string{"127.0.0.1:0"}, TelemetryPath: "/metrics",
			Logger: logger, WebLogger: slog.New(slog.DiscardHandler),
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var url string
	select {
	case url = <-listening:
	case err := <-ended:
		ended <- err
		t.Fatal("the demo has ended")
	}
	settled := regexp.MustCompile(`(?s)openai_cost_today_usd\{.*openai_exporter_polls_total\{endpoint="completions",organization="demo",outcome="success"\} [2-9]`)
	process.Eventually(t, 3*time.Minute, "everything was polled", func() error {
		text, err := process.Get(t.Context(), url)
		if err != nil {
			return err
		}
		series, up := 0, 0
		for line := range bytes.Lines(text) {
			if line[0] != '#' {
				series++
			}
			if bytes.HasPrefix(line, []byte("openai_up{")) && bytes.HasSuffix(line, []byte(" 1\n")) {
				up++
			}
		}
		// Besides the endpoints, five things are looked up.
		if up != len(api.Endpoints)+5 || !settled.Match(text) || !bytes.Contains(text, []byte("openai_project_info{")) {
			return fmt.Errorf("%d endpoints are up, %d series are shown", up, series)
		}
		if err := offBy(text); err != nil {
			return err
		}
		// Who spends it is told by name, although nothing of it is a series.
		status, err := process.Get(t.Context(), strings.TrimSuffix(url, "metrics")+"api/v1/status")
		if err != nil {
			return err
		}
		if !namedKeys.Match(status) {
			return errors.New("no API key is named with its cost of today")
		}
		t.Logf("%d series", series)
		if series >= 1100 {
			t.Errorf("the demo has %d series", series)
		}
		return nil
	})
}

// offBy fails where the estimate of a closed day is not within 1 % of its bill, for each project and for all together.
func offBy(text []byte) error {
	missing := map[string]bool{"": true}
	for _, m := range charged.FindAllSubmatch(text, -1) {
		missing[string(m[1])] = true
	}
	if len(missing) < 6 {
		return fmt.Errorf("only %d projects are billed", len(missing)-1)
	}
	for _, m := range ratio.FindAllSubmatch(text, -1) {
		if is, err := strconv.ParseFloat(string(m[2]), 64); err != nil || math.Abs(is-1) > 0.01 {
			return fmt.Errorf("the estimate of project %q is %s of its bill, %v", m[1], m[2], err)
		}
		delete(missing, string(m[1]))
	}
	if len(missing) > 0 {
		return fmt.Errorf("there is no ratio of %v", slices.Sorted(maps.Keys(missing)))
	}
	return nil
}
