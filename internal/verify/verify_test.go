package verify_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/internal/verify"
	testclient "github.com/openai-exporter/openai_exporter/test/client"
)

var (
	now  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	from = time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)
	to   = time.Date(2026, 11, 15, 0, 0, 0, 0, time.UTC)
)

type sample struct {
	at    int64
	value float64
}

type series struct {
	labels  map[string]string
	samples []sample
}

// A database answers the queries that a verification makes, as Prometheus answers them.
type database struct {
	series []series
	most   int // samples of one answer
	asked  []string
}

var (
	matcher = regexp.MustCompile(`(\w+)(=~?)("(?:[^"\\]|\\.)*")`)
	window  = regexp.MustCompile(`\[(\d+)s\]`)
)

func (d *database) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.FormValue("query")
	d.asked = append(d.asked, q)
	at, _ := strconv.ParseInt(r.FormValue("time"), 10, 64)
	seconds, _ := strconv.ParseInt(window.FindStringSubmatch(q)[1], 10, 64)
	type result struct {
		Metric map[string]string `json:"metric"`
		Values [][2]any          `json:"values,omitempty"`
		Value  *[2]any           `json:"value,omitempty"`
	}
	kind := "matrix"
	if strings.HasPrefix(q, "last_over_time") {
		kind = "vector"
	}
	out := []result{}
	n := 0
	for _, s := range d.series {
		fits := true
		for _, m := range matcher.FindAllStringSubmatch(q, -1) {
			want, _ := strconv.Unquote(m[3])
			if m[2] == "=" {
				want = regexp.QuoteMeta(want)
			}
			fits = fits && regexp.MustCompile("^(?:"+want+")$").MatchString(s.labels[m[1]])
		}
		if !fits {
			continue
		}
		res := result{Metric: s.labels}
		for _, v := range s.samples {
			if v.at > at-seconds && v.at <= at {
				res.Values = append(res.Values, [2]any{v.at, strconv.FormatFloat(v.value, 'g', -1, 64)})
			}
		}
		if len(res.Values) == 0 {
			continue
		}
		if kind == "vector" {
			res.Value, res.Values = &res.Values[len(res.Values)-1], nil
		}
		n += len(res.Values)
		out = append(out, res)
	}
	if d.most > 0 && n > d.most {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": out}})
}

type world struct {
	*simulator.Simulator
	database *database
	options  verify.Options
}

// newWorld has a simulated organization and a database that has recorded the truth about it hour by hour.
func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	s := simulator.New(simulator.Options{Seed: 4, Clock: func() time.Time { return now }})
	client := testclient.New(t, s.Handler())
	w := &world{Simulator: s, database: &database{}}
	w.options = verify.Options{Organizations: []verify.Organization{{Name: "acme", Source: client}}, From: from, To: to}
	for _, name := range names {
		e, ok := api.Find(name)
		if !ok {
			t.Fatalf("there is no endpoint %s", name)
		}
		w.options.Endpoints = append(w.options.Endpoints, verify.Endpoint{Endpoint: e, GroupBy: []string{"project_id", "model", "line_item"}})
		w.record(e)
	}
	prometheus := httptest.NewServer(w.database)
	t.Cleanup(prometheus.Close)
	var err error
	if w.options.Prometheus, err = verify.NewPrometheus(prometheus.URL, promconfig.DefaultHTTPClientConfig, `job="openai"`); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) record(e *api.Endpoint) {
	step := time.Hour
	if e.IsCosts() {
		step = 24 * time.Hour
	}
	byKey := map[string]*series{}
	totals := map[string]float64{}
	for at := from.Add(-2 * 24 * time.Hour); at.Before(to); at = at.Add(step) {
		grouping := e.GroupBy([]string{"project_id", "model", "line_item"})
		for _, row := range w.Final(e.Name, grouping, at, at.Add(step)) {
			for i := range e.Measures {
				m := &e.Measures[i]
				labels := map[string]string{"__name__": metrics.Name(e, m), "organization": "acme", "job": "openai"}
				if !e.IsCosts() {
					labels["endpoint"] = e.Name
				}
				for name, value := range row.Labels {
					if m.By == nil && slices.Contains(grouping, name) || slices.Contains(m.By, name) {
						d, _ := e.Dimension(name)
						labels[d.Label] = value
					}
				}
				k := fmt.Sprint(labels)
				if byKey[k] == nil {
					byKey[k] = &series{labels, []sample{{at.Unix(), 0}}}
				}
				s, v := byKey[k], row.Values[m.Name]
				totals[k] += v.Float64()
				if next := (sample{at.Add(step).Unix(), totals[k]}); s.samples[len(s.samples)-1].at == next.at {
					s.samples[len(s.samples)-1] = next
				} else {
					s.samples = append(s.samples, next)
				}
			}
		}
	}
	for _, s := range byKey {
		w.database.series = append(w.database.series, *s)
	}
}

func (w *world) run(t *testing.T) []verify.Sum {
	t.Helper()
	sums, err := verify.Run(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	if len(sums) == 0 {
		t.Fatal("nothing was compared")
	}
	return sums
}

func different(sums []verify.Sum, tolerance float64) (out []verify.Sum) {
	for _, s := range sums {
		if !s.Equal(tolerance) {
			out = append(out, s)
		}
	}
	return out
}

func TestWhatWasRecordedRightIsEqual(t *testing.T) {
	w := newWorld(t, "completions", "images", api.Costs)
	sums := w.run(t)
	if d := different(sums, 0); len(d) > 0 {
		t.Errorf("%d of %d sums differ, first %+v", len(d), len(sums), d[0])
	}
	days, measures := map[time.Time]bool{}, map[string]bool{}
	for _, s := range sums {
		days[s.Day], measures[s.Endpoint+" "+s.Measure] = true, true
	}
	if len(days) != 3 || !measures["completions input_tokens"] || !measures["images images"] || !measures["costs cost_usd"] || !measures["costs cost_quantity"] {
		t.Errorf("compared were %v on %d days", measures, len(days))
	}
}

func TestACounterResetIsNoDifference(t *testing.T) {
	w := newWorld(t, "completions")
	for i := range w.database.series {
		ss := w.database.series[i].samples
		if len(ss) < 40 {
			continue
		}
		// As after a lost state: from zero, and on from there.
		base := ss[30].value
		for j := 31; j < len(ss); j++ {
			ss[j].value -= base
		}
		w.database.series[i].samples = slices.Insert(ss, 31, sample{ss[30].at + 15, 0})
	}
	if d := different(w.run(t), 0); len(d) > 0 {
		t.Errorf("%d sums differ, first %+v", len(d), d[0])
	}
}

func TestWhatWasNotRecordedIsFound(t *testing.T) {
	w := newWorld(t, "embeddings")
	// An hour of the second day is missing from one project.
	var project string
	hour := from.Add(30 * time.Hour).Unix()
	lost := map[string]float64{}
	for _, s := range w.database.series {
		at := slices.IndexFunc(s.samples, func(v sample) bool { return v.at == hour })
		if at < 1 || project != "" && s.labels["project_id"] != project {
			continue
		}
		by := s.samples[at].value - s.samples[at-1].value
		if by == 0 {
			continue
		}
		project = s.labels["project_id"]
		lost[s.labels["__name__"]] += by
		for i := at; i < len(s.samples); i++ {
			s.samples[i].value -= by
		}
	}
	d := different(w.run(t), 0)
	if len(d) != len(lost) || len(d) == 0 {
		t.Fatalf("%d sums differ, %d have lost something: %+v", len(d), len(lost), d)
	}
	for _, s := range d {
		if s.Project != project || !s.Day.Equal(from.Add(24*time.Hour)) || math.Abs(s.Difference()+lost["openai_usage_"+s.Measure+"_total"]) > 1e-6 {
			t.Errorf("found %+v", s)
		}
		if s.Share() >= 0 || !s.Equal(-s.Share()+1e-12) || s.Equal(-s.Share()/2) {
			t.Errorf("its share is %v", s.Share())
		}
	}
	w.options.Range = true
	if d := different(w.run(t), 0); len(d) != len(lost) || !d[0].Day.Equal(from) {
		t.Errorf("over the range %d sums differ", len(d))
	}
}

func TestWhatTheAPIDoesNotKnowIsFound(t *testing.T) {
	w := newWorld(t, "embeddings")
	w.database.series = append(w.database.series, series{
		map[string]string{"__name__": "openai_usage_requests_total", "organization": "acme", "endpoint": "embeddings", "project_id": "proj_ghost", "job": "openai"},
		[]sample{{from.Unix(), 0}, {from.Unix() + 60, 5}},
	})
	d := different(w.run(t), 0.5)
	if len(d) != 1 || d[0].Project != "proj_ghost" || d[0].Recorded != 5 || !math.IsInf(d[0].Share(), 1) {
		t.Errorf("found %+v", d)
	}
}

func TestOtherSeriesAreNotCountedIn(t *testing.T) {
	w := newWorld(t, "embeddings")
	for label, value := range map[string]string{"organization": "another", "endpoint": "moderations", "job": "replica"} {
		labels := map[string]string{"__name__": "openai_usage_requests_total", "organization": "acme", "endpoint": "embeddings", "job": "openai"}
		labels[label] = value
		w.database.series = append(w.database.series, series{labels, []sample{{from.Unix(), 0}, {from.Unix() + 60, 1e9}}})
	}
	if d := different(w.run(t), 0); len(d) > 0 {
		t.Errorf("found %+v", d)
	}
}

func TestQueriesShrinkWhereThereAreTooManySamples(t *testing.T) {
	w := newWorld(t, "embeddings")
	want := w.run(t)
	queries := len(w.database.asked)
	w.database.most = 2 * len(w.database.series)
	if diff := cmp.Diff(want, w.run(t)); diff != "" {
		t.Error(diff)
	}
	if len(w.database.asked) < 3*queries {
		t.Errorf("%d queries were enough where samples are few, %d where they are many", queries, len(w.database.asked)-queries)
	}
}

func TestATroubleWithPrometheusIsNamed(t *testing.T) {
	w := newWorld(t, "embeddings")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "who are you?")
	}))
	defer broken.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, want := range map[string]string{broken.URL: "refuses: client_error: client error: 401", gone.URL: "can't be reached: dial tcp"} {
		var err error
		if w.options.Prometheus, err = verify.NewPrometheus(url, promconfig.DefaultHTTPClientConfig, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.Run(t.Context(), w.options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("said %v, want %q", err, want)
		}
	}
	if _, err := verify.NewPrometheus("localhost:9090", promconfig.DefaultHTTPClientConfig, ""); err == nil || !strings.Contains(err.Error(), "http://localhost:9090") {
		t.Errorf("an address without a scheme gives %v", err)
	}
}

func TestTheTableShowsDifferencesAndTotals(t *testing.T) {
	sums := []verify.Sum{
		{Day: from, Organization: "acme", Endpoint: "completions", Project: "proj_a", Measure: "requests", API: 1000, Recorded: 1000},
		{Day: from, Organization: "acme", Endpoint: "completions", Project: "proj_b", Measure: "requests", API: 200, Recorded: 150},
		{Day: from, Organization: "acme", Endpoint: "costs", Project: "proj_a", Measure: "cost_usd", API: 12.5, Recorded: 12.500000000000002},
		{Day: from, Organization: "acme", Endpoint: "costs", Project: "", Measure: "cost_usd", API: 0, Recorded: 1},
	}
	for all, want := range map[bool]string{
		false: `
         DAY  ORGANIZATION     ENDPOINT  PROJECT   MEASURE  API  RECORDED  DIFFERENCE           SHARE
  2026-11-12          acme  completions   proj_b  requests  200       150         -50      -25.0000 %
  2026-11-12          acme        costs        –  cost_usd    0         1          +1  not in the API

         ORGANIZATION     ENDPOINT  PROJECT   MEASURE   API  RECORDED  DIFFERENCE      SHARE
  total          acme  completions      all  requests  1200      1150         -50  -4.1667 %
  total          acme        costs      all  cost_usd  12.5      13.5          +1  +8.0000 %
`,
		true: `
         DAY  ORGANIZATION     ENDPOINT  PROJECT   MEASURE   API  RECORDED  DIFFERENCE           SHARE
  2026-11-12          acme  completions   proj_a  requests  1000      1000           0             0 %
  2026-11-12          acme  completions   proj_b  requests   200       150         -50      -25.0000 %
  2026-11-12          acme        costs   proj_a  cost_usd  12.5      12.5           0             0 %
  2026-11-12          acme        costs        –  cost_usd     0         1          +1  not in the API

         ORGANIZATION     ENDPOINT  PROJECT   MEASURE   API  RECORDED  DIFFERENCE      SHARE
  total          acme  completions      all  requests  1200      1150         -50  -4.1667 %
  total          acme        costs      all  cost_usd  12.5      13.5          +1  +8.0000 %
`,
	} {
		var b strings.Builder
		v, err := verify.Print(&b, sums, 0.01, all)
		if err != nil || v != (verify.Verdict{Compared: 4, Different: 2}) {
			t.Errorf("the verdict is %+v, %v", v, err)
		}
		if diff := cmp.Diff(want, "\n"+b.String()); diff != "" {
			t.Errorf("all=%v: %s", all, diff)
		}
	}
}
