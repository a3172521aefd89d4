package backfill_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/backfill"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	testclient "github.com/openai-exporter/openai_exporter/test/client"
)

// now is the API's clock in these tests. The day is settled: nothing in the ranges below changes any more.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// A world is a simulated organization and a client of its API.
type world struct {
	*simulator.Simulator
	client *fetcher.Client
}

func newWorld(t *testing.T, o simulator.Options) *world {
	t.Helper()
	o.Clock = func() time.Time { return now }
	s := simulator.New(o)
	client := testclient.New(t, s.Handler())
	return &world{s, client}
}

var groupBy = []string{"project_id", "model", "line_item"}

// options read every endpoint of the world.
func (w *world) options(t *testing.T, from, to time.Time) backfill.Options {
	t.Helper()
	o := backfill.Options{
		Organizations: []backfill.Organization{{Name: "acme", Source: w.client}},
		Width:         api.Hour.Name, MaxLabelSets: 1000, Output: filepath.Join(t.TempDir(), "out.om"),
	}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		smallest := time.Minute
		if e.IsCosts() {
			smallest = 24 * time.Hour
		}
		o.Endpoints = append(o.Endpoints, backfill.Endpoint{Endpoint: e, GroupBy: groupBy, From: from.Truncate(smallest), To: to.Truncate(smallest)})
	}
	return o
}

// only keeps one endpoint.
func only(o backfill.Options, name string) backfill.Options {
	o.Endpoints = slices.DeleteFunc(o.Endpoints, func(e backfill.Endpoint) bool { return e.Endpoint.Name != name })
	return o
}

func run(t *testing.T, o backfill.Options) backfill.Result {
	t.Helper()
	r, err := backfill.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type sample struct {
	at    int64
	value float64
}

// parse reads OpenMetrics text and holds it to the rules of the format: families in one piece, series in one piece,
// time going forward, an end.
func parse(t *testing.T, text string) map[string][]sample {
	t.Helper()
	if !strings.HasSuffix(text, "\n# EOF\n") {
		t.Fatalf("the text does not end with # EOF but with %q", text[max(0, len(text)-80):])
	}
	out := map[string][]sample{}
	families := map[string]bool{}
	family, counter, last := "", false, ""
	for line := range strings.Lines(strings.TrimSuffix(text, "# EOF\n")) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if families[name] {
				t.Errorf("the family %s comes twice", name)
			}
			families[name], family, counter = true, name, kind == "counter"
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		brace := strings.LastIndex(line, "} ")
		series, rest := line[:brace+1], strings.Fields(line[brace+1:])
		want := family
		if counter {
			want += "_total"
		}
		if name, _, _ := strings.Cut(series, "{"); name != want {
			t.Fatalf("%s stands in the family %s", series, family)
		}
		if series != last && out[series] != nil {
			t.Errorf("the series %s comes in two pieces", series)
		}
		last = series
		v, err := strconv.ParseFloat(rest[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		at, err := strconv.ParseInt(rest[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if old := out[series]; len(old) > 0 {
			if at <= old[len(old)-1].at {
				t.Errorf("%s: time goes from %d to %d", series, old[len(old)-1].at, at)
			}
			if counter && v < old[len(old)-1].value {
				t.Errorf("%s goes down", series)
			}
		} else if counter && v != 0 {
			t.Errorf("%s begins with %v", series, v)
		}
		out[series] = append(out[series], sample{at, v})
	}
	return out
}

// truth is the value that every series has to end with.
func (w *world) truth(e backfill.Endpoint) map[string]float64 {
	sums := map[string]decimal.Fixed{}
	grouping := e.Endpoint.GroupBy(e.GroupBy)
	for _, row := range w.Final(e.Endpoint.Name, e.GroupBy, e.From, e.To) {
		for i := range e.Endpoint.Measures {
			m := &e.Endpoint.Measures[i]
			labels := []string{`organization="acme"`}
			if !e.Endpoint.IsCosts() {
				labels = append(labels, fmt.Sprintf("endpoint=%q", e.Endpoint.Name))
			}
			for name, value := range row.Labels {
				if m.By == nil && slices.Contains(grouping, name) || slices.Contains(m.By, name) {
					d, _ := e.Endpoint.Dimension(name)
					labels = append(labels, fmt.Sprintf("%s=%q", d.Label, value))
				}
			}
			slices.Sort(labels)
			k := metrics.Name(e.Endpoint, m) + "{" + strings.Join(labels, ",") + "}"
			sums[k] = sums[k].Add(row.Values[m.Name])
		}
	}
	out := map[string]float64{}
	for k, v := range sums {
		if !v.IsZero() {
			out[k] = v.Float64()
		}
	}
	return out
}

// Minutes are in minutes_test.go.
func TestEverySeriesEndsWithTheTruth(t *testing.T) {
	for _, width := range []string{"1h", "1d"} {
		t.Run(width, func(t *testing.T) { endsWithTheTruth(t, width) })
	}
}

func endsWithTheTruth(t *testing.T, width string) {
	t.Helper()
	w := newWorld(t, simulator.Options{Seed: 3, StringAmounts: true})
	// Neither edge is a full hour, and both days are cut.
	from, to := now.Add(-9*24*time.Hour).Add(17*time.Minute), now.Add(-4*24*time.Hour).Add(-53*time.Minute)
	o := w.options(t, from, to)
	o.Width = width
	result := run(t, o)
	got := parse(t, read(t, o.Output))
	if int(result.Series) != len(got) || len(got) == 0 {
		t.Errorf("%d series are said to be written, %d are", result.Series, len(got))
	}
	want := map[string]float64{}
	for _, e := range o.Endpoints {
		if e.Endpoint.Stock {
			continue
		}
		for k, v := range w.truth(e) {
			want[k] = v
		}
	}
	ends := map[string]float64{}
	for k, ss := range got {
		if strings.HasPrefix(k, "openai_usage_vector_store_bytes") {
			continue
		}
		ends[k] = ss[len(ss)-1].value
		end := to.Unix()
		if strings.HasPrefix(k, "openai_cost") {
			end = to.Truncate(24 * time.Hour).Unix()
		}
		if at := ss[len(ss)-1].at; at != end {
			t.Errorf("%s ends at %d, the range at %d", k, at, end)
		}
	}
	if diff := cmp.Diff(want, ends); diff != "" {
		t.Errorf("the truth (-) and what was written (+): %s", diff)
	}
	if _, err := os.Stat(backfill.Partial(o.Output)); err == nil {
		t.Error("what was kept for an interruption is still there")
	}
}

func TestOrganizationsShareFamiliesAndNothingElse(t *testing.T) {
	acme, initech := newWorld(t, simulator.Options{Seed: 3}), newWorld(t, simulator.Options{Seed: 4})
	o := acme.options(t, now.Add(-6*24*time.Hour), now.Add(-5*24*time.Hour))
	o.Organizations = append(o.Organizations, backfill.Organization{Name: "initech", Source: initech.client})
	run(t, o)
	got := parse(t, read(t, o.Output))
	for name, w := range map[string]*world{"acme": acme, "initech": initech} {
		want, ends := map[string]float64{}, map[string]float64{}
		for _, e := range o.Endpoints {
			if e.Endpoint.Stock {
				continue
			}
			for k, v := range w.truth(e) {
				want[strings.Replace(k, `organization="acme"`, fmt.Sprintf("organization=%q", name), 1)] = v
			}
		}
		for k, ss := range got {
			if strings.Contains(k, fmt.Sprintf("organization=%q", name)) && !strings.HasPrefix(k, "openai_usage_vector_store_bytes") {
				ends[k] = ss[len(ss)-1].value
			}
		}
		if diff := cmp.Diff(want, ends); diff != "" || len(want) == 0 {
			t.Errorf("%s: the truth (-) and what was written (+): %s", name, diff)
		}
	}
}

func TestALevelIsTheBucketsOwn(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 3})
	o := only(w.options(t, now.Add(-6*24*time.Hour), now.Add(-5*24*time.Hour)), "vector_stores")
	run(t, o)
	compared := 0
	for series, ss := range parse(t, read(t, o.Output)) {
		for _, s := range ss {
			end := time.Unix(s.at, 0)
			for _, row := range w.Final("vector_stores", groupBy, end.Add(-time.Hour), end) {
				if !strings.Contains(series, fmt.Sprintf("project_id=%q", row.Labels["project_id"])) {
					continue
				}
				compared++
				if v := row.Values["vector_store_bytes"]; s.value != v.Float64() {
					t.Errorf("%s is %v at %s, the truth is %v", series, s.value, end, v)
				}
			}
		}
	}
	if compared < 24 {
		t.Errorf("only %d levels were there to compare", compared)
	}
}

func TestASampleStandsAtTheEndOfItsBucketAndAZeroBeforeTheFirst(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 3, Begin: now.Add(-50 * time.Hour)})
	o := only(w.options(t, now.Add(-60*time.Hour), now.Add(-40*time.Hour)), "embeddings")
	run(t, o)
	for series, ss := range parse(t, read(t, o.Output)) {
		name, _, _ := strings.Cut(series, "{")
		if name != "openai_usage_requests_total" {
			continue
		}
		before := ss[0]
		if before.value != 0 || ss[1].value == 0 || before.at < now.Add(-50*time.Hour).Unix() {
			t.Errorf("%s begins with %v", series, ss[:2])
		}
		for _, s := range ss[1:] {
			if s.at-before.at != 3600 {
				t.Errorf("%s: from %d to %d is no hour", series, before.at, s.at)
			}
			sum := 0.0
			for _, row := range w.Final("embeddings", groupBy, time.Unix(before.at, 0), time.Unix(s.at, 0)) {
				if strings.Contains(series, fmt.Sprintf("model=%q", row.Labels["model"])) && strings.Contains(series, fmt.Sprintf("project_id=%q", row.Labels["project_id"])) {
					v := row.Values["requests"]
					sum += v.Float64()
				}
			}
			if s.value-before.value != sum {
				t.Errorf("%s grows by %v at %d, the hour before has %v", series, s.value-before.value, s.at, sum)
			}
			before = s
		}
	}
}

func TestARefusedDimensionIsDroppedAndTheEndpointReadAnew(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, RejectGroupBy: map[string][]string{"completions": {"model"}}})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "completions")
	run(t, o)
	e := o.Endpoints[0]
	e.GroupBy = []string{"project_id"}
	checkEnds(t, parse(t, read(t, o.Output)), w.truth(e))
}

func TestAMissingEndpointIsLeftOut(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, Missing: []string{"decisions"}})
	o := w.options(t, now.Add(-8*24*time.Hour), now.Add(-7*24*time.Hour))
	run(t, o)
	got := parse(t, read(t, o.Output))
	for series := range got {
		if strings.Contains(series, `endpoint="decisions"`) {
			t.Errorf("there is %s", series)
		}
	}
	if len(got) == 0 {
		t.Error("there is nothing else either")
	}
}

func checkEnds(t *testing.T, got map[string][]sample, want map[string]float64) {
	t.Helper()
	ends := map[string]float64{}
	for k, ss := range got {
		ends[k] = ss[len(ss)-1].value
	}
	if diff := cmp.Diff(want, ends); diff != "" {
		t.Errorf("the truth (-) and what was written (+): %s", diff)
	}
}

func TestARangeThatEndsAfterTheAPIsNowIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-2*time.Hour), now.Add(time.Hour)), "embeddings")
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "earlier --end and remove "+backfill.Partial(o.Output)) {
		t.Errorf("a range into the future gives %v", err)
	}
}

func TestTheWidthFollowsTheRange(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1m", 48 * time.Hour: "1m", 49 * time.Hour: "1h", 90 * 24 * time.Hour: "1h", 365 * 24 * time.Hour: "1d"} {
		if got := backfill.WidthFor(d); got != want {
			t.Errorf("%s is read in %s, want %s", d, got, want)
		}
	}
}
