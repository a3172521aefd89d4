//go:build browser && pictures

package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// TestPicturesOfDashboards makes the pictures of docs/dashboards.md again: a simulated week, and some minutes of trouble.
// `make docs-pictures` runs it. Grafana itself is not needed: its own components draw the dashboards.
func TestPicturesOfDashboards(t *testing.T) {
	binary := process.Build(t)
	t.Run("week", func(t *testing.T) {
		t.Parallel()
		w := liveThroughWeek(t, binary)
		v := view(t, w.prometheus(t), w.now)
		v.draw(t, "spend", 7*24*time.Hour, time.Hour)
		v.draw(t, "budget", 7*24*time.Hour, time.Hour)
		v.draw(t, "usage", fine, often)
		v.draw(t, "limits", fine, often)
		v.draw(t, "reconcile", 24*time.Hour, 20*time.Minute)
	})
	t.Run("trouble", func(t *testing.T) {
		t.Parallel()
		url := liveThroughTrouble(t, binary)
		view(t, url, time.Now()).draw(t, "health", troubled, 4*time.Second)
	})
}

// A viewer serves the page that draws dashboards, beside the Prometheus that it asks.
type viewer struct {
	url string
	now time.Time
}

func view(t *testing.T, prometheus string, now time.Time) *viewer {
	t.Helper()
	built := os.Getenv("VIEWER")
	if built == "" {
		t.Fatal("the viewer is needed: run this test by `make docs-pictures`")
	}
	target, err := url.Parse(prometheus)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(built)))
	mux.Handle("/deploy/", http.StripPrefix("/deploy/", http.FileServer(http.Dir(filepath.Join(root, "deploy")))))
	mux.Handle("/prometheus/", http.StripPrefix("/prometheus", httputil.NewSingleHostReverseProxy(target)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &viewer{server.URL, now.UTC()}
}

// told is what the viewer writes into the document about its queries.
var told = regexp.MustCompile(`<html[^>]* data-asked="(\d+)" data-answered="(\d+)" data-errors="([^"]*)"`)

// draw makes the picture of a dashboard at its whole height. Each of its queries has to be answered.
func (v *viewer) draw(t *testing.T, name string, span, scrape time.Duration) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Type    string
			GridPos struct{ Y, H int }
			Targets []struct{ Expr string }
		}
	}
	path := "deploy/grafana/dashboards/" + name + ".json"
	if name == "reconcile" {
		path = "deploy/prometheus/reconcile/dashboard.json" // It stands beside its rules.
	}
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	lines, queries := 0, 0
	for _, p := range dashboard.Panels {
		lines = max(lines, p.GridPos.Y+p.GridPos.H)
		queries += len(p.Targets)
	}
	out, err := filepath.Abs(filepath.Join(root, "docs/images/dashboard-"+name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	const wide, line, head = 1600, 38, 94 // A line of Grafana's grid, and what is above the first one, in pixels.
	address := v.url + "/?" + url.Values{
		"dashboard": {"/" + path}, "theme": {"dark"}, "scrape": {strconv.Itoa(int(scrape.Seconds()))},
		"from": {v.now.Add(-span).Format(time.RFC3339)}, "to": {v.now.Format(time.RFC3339)},
	}.Encode()
	process.Eventually(t, 5*time.Minute, "the picture of "+name, func() error {
		said, _, err := run(t, 2*time.Minute, address, setting{dark: true}, "--dump-dom", "--screenshot="+out,
			fmt.Sprintf("--window-size=%d,%d", wide, head+line*lines), "--virtual-time-budget=30000")
		if err != nil {
			return err
		}
		is := told.FindStringSubmatch(said)
		switch {
		case is == nil:
			return fmt.Errorf("the viewer did not start: %s", process.Tail(said, 2000))
		case is[3] != "":
			t.Fatalf("%s: %s", name, is[3])
		case strings.Contains(said, "unexpected error"):
			return fmt.Errorf("a panel of %s is not drawn", name) // On a machine that is busy some need another try.
		case is[1] != is[2]:
			return fmt.Errorf("%s queries of %s are answered", is[2], is[1])
		}
		if asked, err := strconv.Atoi(is[1]); err != nil || asked < queries {
			return fmt.Errorf("%d queries of %d are asked, %v", asked, queries, err)
		}
		return nil
	})
}
