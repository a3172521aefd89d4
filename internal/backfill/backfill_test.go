package backfill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/backfill"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// now is the API's clock in these tests. The day is settled: nothing in the ranges below changes any more.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type key string

func (k key) Get() (string, error)  { return string(k), nil }
func (k key) Read() (string, error) { return string(k), nil }
func (k key) Changed() bool         { return false }

// A world is a simulated organization and a client of its API.
type world struct {
	*simulator.Simulator
	client *fetcher.Client
}

func newWorld(t *testing.T, o simulator.Options) *world {
	t.Helper()
	o.Clock = func() time.Time { return now }
	s := simulator.New(o)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	client, err := fetcher.NewClient(fetcher.ClientOptions{
		Organization: "acme", BaseURL: server.URL + "/v1", Key: key("sk-admin-0123456789"), RequestsPerMinute: 1 << 20,
		HTTP: promconfig.DefaultHTTPClientConfig,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
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
			k := collector.Name(e.Endpoint, m) + "{" + strings.Join(labels, ",") + "}"
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

func TestEverySeriesEndsWithTheTruth(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 3, StringAmounts: true})
	// Neither edge is a full hour, and both days are cut.
	from, to := now.Add(-9*24*time.Hour).Add(17*time.Minute), now.Add(-4*24*time.Hour).Add(-53*time.Minute)
	for _, width := range []string{"1m", "1h", "1d"} {
		t.Run(width, func(t *testing.T) {
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
		})
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

// A limited source gives up after so many reads, as somebody who presses ctrl-C.
type limited struct {
	backfill.Source
	left   int
	cancel context.CancelFunc
}

func (l *limited) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	if l.left--; l.left < 0 {
		l.cancel()
		return nil, ctx.Err()
	}
	return l.Source.Read(ctx, q)
}

func TestAnInterruptedBackfillGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour))
	run(t, o)
	want := read(t, o.Output)

	o = w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour))
	interruptions := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		o.Organizations[0].Source = &limited{w.client, 3, cancel}
		_, err := backfill.Run(ctx, o)
		cancel()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "interrupted") || !strings.Contains(err.Error(), "run the same command again") {
			t.Fatalf("an interruption says %q", err)
		}
		if _, err := os.Stat(o.Output); err == nil {
			t.Fatal("there is an output that is not whole")
		}
		// A page that was under way has left something behind.
		files, err := filepath.Glob(filepath.Join(backfill.Partial(o.Output), "0*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(f, append([]byte(read(t, f)), "torn"...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if interruptions++; interruptions > 100 {
			t.Fatal("it does not get on")
		}
	}
	if interruptions < 5 {
		t.Fatalf("it was interrupted only %d times", interruptions)
	}
	if got := read(t, o.Output); got != want {
		t.Error("what was written after interruptions differs from what is written in one go")
	}
}

func TestWhatWasBegunWithOtherParametersIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Organizations[0].Source = &limited{w.client, 1, cancel}
	if _, err := backfill.Run(ctx, o); err == nil {
		t.Fatal("it was not interrupted")
	}
	o.Width = api.Day.Name
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "other parameters") {
		t.Errorf("other parameters give %v", err)
	}
}

func TestADirectoryOfTheUserIsLeftAlone(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	precious := filepath.Join(backfill.Partial(o.Output), "precious")
	if err := os.Mkdir(backfill.Partial(o.Output), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "holds something else") {
		t.Errorf("a directory of the user gives %v", err)
	}
	if read(t, precious) != "precious" {
		t.Error("it was overwritten")
	}
}

func TestAnOutputThatExistsIsLeftAlone(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour))
	if err := os.WriteFile(o.Output, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("an existing output gives %v", err)
	}
	if read(t, o.Output) != "precious" {
		t.Error("it was overwritten")
	}
}

func TestStdoutGetsAllOfItOrNothing(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "completions")
	file := o
	run(t, file)
	var out bytes.Buffer
	o.Output, o.Stdout = backfill.Stdout, &out
	run(t, o)
	if out.String() != read(t, file.Output) {
		t.Error("the standard output differs from a file")
	}
	out.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Organizations[0].Source = &limited{w.client, 1, cancel}
	if _, err := backfill.Run(ctx, o); err == nil || out.Len() > 0 {
		t.Errorf("an interrupted run gives %v and %d bytes", err, out.Len())
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

func TestPastTheLimitLabelSetsAreFoldedAndTheSumStaysExact(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, LabelSets: 300})
	o := only(w.options(t, now.Add(-7*24*time.Hour), now.Add(-5*24*time.Hour)), "completions")
	o.MaxLabelSets = 20
	result := run(t, o)
	if result.Folded == 0 {
		t.Error("nothing was folded")
	}
	got, want := map[string]float64{}, map[string]float64{}
	labelSets := map[string]bool{}
	for k, ss := range parse(t, read(t, o.Output)) {
		name, labels, _ := strings.Cut(k, "{")
		got[name] += ss[len(ss)-1].value
		labelSets[labels] = true
	}
	for k, v := range w.truth(o.Endpoints[0]) {
		name, _, _ := strings.Cut(k, "{")
		want[name] += v
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(labelSets) != o.MaxLabelSets+1 || !labelSets[`endpoint="completions",model="other",organization="acme",project_id="other"}`] {
		t.Errorf("there are %d label sets", len(labelSets))
	}
}

func TestNegativeAmountsAreWithheldAndSaid(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, Credits: true})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), api.Costs)
	result := run(t, o)
	var sum decimal.Fixed
	for _, row := range w.Final(api.Costs, groupBy, o.Endpoints[0].From, o.Endpoints[0].To) {
		sum = sum.Add(row.Values[api.MeasureCost])
	}
	written := 0.0
	for k, ss := range parse(t, read(t, o.Output)) {
		if strings.HasPrefix(k, "openai_cost_usd_total") {
			written += ss[len(ss)-1].value
		}
	}
	if len(result.Shortfalls) != 1 || result.Shortfalls[0].Measure != api.MeasureCost {
		t.Fatalf("shortfalls are %v", result.Shortfalls)
	}
	if short := result.Shortfalls[0].Amount.Float64(); short <= 0 || math.Abs(written-short-sum.Float64()) > 1e-9 {
		t.Errorf("%v were written and %v withheld, the API says %v", written, short, sum)
	}
}

// A failing source fails so many times first.
type failing struct {
	backfill.Source
	err  error
	left int
}

func (f *failing) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	if f.left--; f.left >= 0 {
		return nil, f.err
	}
	return f.Source.Read(ctx, q)
}

func TestTroubleThatPassesIsWaitedOutAndOtherTroubleIsNot(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	var pauses []time.Duration
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	o.Pause = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}
	o.Organizations[0].Source = &failing{w.client, &fetcher.Error{Class: fetcher.ClassThrottled, RetryAfter: 7 * time.Second}, 3}
	run(t, o)
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 10 * time.Second, 20 * time.Second}, pauses); diff != "" {
		t.Error(diff)
	}

	o = only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	unauthorized := &fetcher.Error{Class: fetcher.ClassUnauthorized, Status: 401}
	o.Organizations[0].Source = &failing{w.client, unauthorized, 1}
	if _, err := backfill.Run(t.Context(), o); !errors.Is(err, unauthorized) {
		t.Errorf("a refused key gives %v", err)
	}
}

func TestARangeThatEndsAfterTheAPIsNowIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-2*time.Hour), now.Add(time.Hour)), "embeddings")
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "earlier --end and remove "+backfill.Partial(o.Output)) {
		t.Errorf("a range into the future gives %v", err)
	}
}

func TestPagesStaySmallWhereBucketsAreLarge(t *testing.T) {
	const labelSets = 400
	w := newWorld(t, simulator.Options{Seed: 5, LabelSets: labelSets})
	longest := time.Duration(0)
	o := only(w.options(t, now.Add(-12*24*time.Hour), now.Add(-2*24*time.Hour)), "completions")
	o.Organizations[0].Source = observed{w.client, func(q fetcher.Query) { longest = max(longest, q.Window.To.Sub(q.Window.From)) }}
	run(t, o)
	// Every label set has 17 measures and is in every hour; a page is to hold some 100,000 numbers.
	if most := 24 * time.Hour; longest > most {
		t.Errorf("a page was %s long, with %d label sets it should be %s at most", longest, labelSets, most)
	}
}

type observed struct {
	backfill.Source
	see func(fetcher.Query)
}

func (o observed) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	o.see(q)
	return o.Source.Read(ctx, q)
}

func TestProgressIsABarOnATerminalAndLinesElsewhere(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	for _, onTerminal := range []bool{true, false} {
		var terminal, lines bytes.Buffer
		o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
		logger := log.NewLogfmtLogger(&lines)
		o.Progress = backfill.NewProgress(nil, logger)
		if onTerminal {
			o.Progress = backfill.NewProgress(&terminal, logger)
		}
		run(t, o)
		if onTerminal {
			steps := strings.Split(terminal.String(), "\r\x1b[2K")
			if len(steps) < 4 || !strings.Contains(steps[len(steps)-1], "100 %") || !strings.Contains(steps[len(steps)-1], "72/72 buckets") {
				t.Errorf("the bar says %q", steps)
			}
			for _, s := range steps {
				if n := len([]rune(strings.TrimSuffix(s, "\n"))); n > 79 {
					t.Errorf("the bar has %d columns", n)
				}
			}
			continue
		}
		if !strings.Contains(lines.String(), "buckets=72 of=72") || strings.ContainsAny(lines.String(), "\r\x1b█") {
			t.Errorf("the lines say %q", lines.String())
		}
	}
}

func TestTheWidthFollowsTheRange(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1m", 48 * time.Hour: "1m", 49 * time.Hour: "1h", 90 * 24 * time.Hour: "1h", 365 * 24 * time.Hour: "1d"} {
		if got := backfill.WidthFor(d); got != want {
			t.Errorf("%s is read in %s, want %s", d, got, want)
		}
	}
}
