package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// source stands at the ledger's and the scheduler's end.
type source struct {
	view     atomic.Pointer[ledger.View]
	statuses atomic.Pointer[[]fetcher.Status]
}

func (s *source) View() *ledger.View { return s.view.Load() }

func (s *source) Status() []fetcher.Status {
	if p := s.statuses.Load(); p != nil {
		return *p
	}
	return nil
}

// Allowances are those of an organization that has made some requests.
func (s *source) Allowances() map[string]fetcher.Allowance {
	return map[string]fetcher.Allowance{"acme": {PerMinute: 60, Used: 14, Waiting: 3}}
}

func (s *source) set(statuses ...fetcher.Status) { s.statuses.Store(&statuses) }

func amount(t *testing.T, v string) decimal.Fixed {
	t.Helper()
	f, err := decimal.Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// organization is a source with one of each state.
func organization(t *testing.T) *source {
	t.Helper()
	s := new(source)
	s.set(
		fetcher.Status{Organization: "acme", Endpoint: "completions", State: fetcher.StateOK, LastPoll: noon.Add(-12 * time.Second), LastSuccess: noon.Add(-12 * time.Second), NextPoll: noon.Add(48 * time.Second)},
		fetcher.Status{Organization: "acme", Endpoint: "images", State: fetcher.StateFailing, LastPoll: noon.Add(-20 * time.Second), LastSuccess: noon.Add(-200 * time.Second), NextPoll: noon.Add(4 * time.Minute), Failures: 3, Error: "HTTP 502 <b>Bad Gateway</b>: OpenAI is in trouble; it is tried again"},
		fetcher.Status{Organization: "acme", Endpoint: "decisions", State: fetcher.StateUnavailable, LastPoll: noon.Add(-time.Minute), NextPoll: noon.Add(14 * time.Minute), Error: "HTTP 404: this organization does not have the endpoint; switch it off with enabled: false"},
		fetcher.Status{Organization: "acme", Endpoint: "costs", State: fetcher.StateOK, LastPoll: noon.Add(-5 * time.Minute), LastSuccess: noon.Add(-5 * time.Minute), NextPoll: noon.Add(10 * time.Minute)},
	)
	completions, _ := api.Find("completions")
	costs, _ := api.Find(api.Costs)
	changes := make([]ledger.MeasureView, len(completions.Measures))
	changes[1] = ledger.MeasureView{Withheld: amount(t, "1234"), RestatedUp: amount(t, "56789"), RestatedDown: amount(t, "2000"), AuditUp: amount(t, "321")}
	s.view.Store(&ledger.View{
		Generation:    1,
		Organizations: []ledger.OrganizationView{{Name: "acme", LabelSets: 1312, Limit: 20000, Overflow: 4}},
		Feeds: []*ledger.FeedView{
			{
				Organization: "acme", Endpoint: completions, GroupBy: []string{"project_id", "model"}, Dropped: []string{"user_id"}, ReadThrough: noon.Add(-72 * time.Second),
				CountsFrom: noon.Add(-20 * time.Hour),
				Series: []*ledger.Series{{
					Labels:   []ledger.Label{{Name: "project_id", Value: "proj_a"}, {Name: "model", Value: `gpt "5"\n`}},
					Measures: []int{0, 1}, Values: []decimal.Fixed{amount(t, "3"), amount(t, "27444")}, Born: noon,
				}},
				ByMeasure: changes,
			},
			{
				Organization: "acme", Endpoint: costs, ReadAt: noon, ReadThrough: noon.Truncate(24 * time.Hour), ByMeasure: make([]ledger.MeasureView, 2),
				Days: []ledger.Day{
					{Start: noon.AddDate(0, 0, -1).Truncate(24 * time.Hour), Rows: []ledger.Row{{Measures: []int{0}, Values: []decimal.Fixed{amount(t, "4321.1")}}}},
					{Start: noon.Truncate(24 * time.Hour), Rows: []ledger.Row{
						{Labels: []ledger.Label{{Name: "project_id", Value: "proj_a"}, {Name: "line_item", Value: "whisper"}}, Measures: []int{0}, Values: []decimal.Fixed{amount(t, "4")}},
						{Labels: []ledger.Label{{Name: "project_id", Value: "proj_a"}, {Name: "line_item", Value: "tts"}}, Measures: []int{0}, Values: []decimal.Fixed{amount(t, "5.99")}},
						{Labels: []ledger.Label{{Name: "line_item", Value: "tts"}}, Measures: []int{0}, Values: []decimal.Fixed{amount(t, "2.5")}},
						{Labels: []ledger.Label{{Name: "project_id", Value: "<proj_b>"}}, Measures: []int{0}, Values: []decimal.Fixed{amount(t, "0.01")}},
					}},
				},
				Books: []*ledger.DayBook{
					ledger.NewDayBook(noon.AddDate(0, 0, -1).Truncate(24*time.Hour), noon, 0, map[string]ledger.Amounts{"": {Charged: amount(t, "4321.1")}}, nil),
					ledger.NewDayBook(noon.Truncate(24*time.Hour), noon, 0, map[string]ledger.Amounts{
						"proj_a": {Charged: amount(t, "9.99")}, "": {Charged: amount(t, "2.5")}, "<proj_b>": {Charged: amount(t, "0.01")},
					}, map[ledger.Item]ledger.Sale{{LineItem: "whisper"}: {USD: amount(t, "4")}, {LineItem: "tts"}: {USD: amount(t, "8.49")}, {}: {USD: amount(t, "0.01")}}),
				},
			},
		},
	})
	return s
}

// running is a server under test.
type running struct {
	addresses []net.Addr
	url       string // of the first address
	client    *http.Client
	stop      context.CancelFunc
	ended     chan error
}

// start serves until the test ends or stop is called.
func start(t *testing.T, o server.Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	bound := make(chan []net.Addr, 1)
	o.Listening = func(a []net.Addr) { bound <- a }
	if o.Addresses == nil {
		o.Addresses = []string{"127.0.0.1:0"}
	}
	if o.Metrics == nil {
		o.Metrics = http.NotFoundHandler()
	}
	if o.Statuses == nil {
		s := organization(t)
		o.Views, o.Statuses = s, s
	}
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	var underWay atomic.Int64
	metrics := o.Metrics
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		underWay.Add(1)
		defer underWay.Add(-1)
		metrics.ServeHTTP(w, r)
	})
	r := &running{client: &http.Client{Transport: &http.Transport{}}, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- server.New(o).Serve(ctx) }()
	select {
	case a := <-bound:
		r.addresses, r.url = a, "http://"+a[0].String()
	case err := <-r.ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		cancel()
		if err := <-r.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		// Who has gone is answered to the end all the same, which takes seconds where a large answer is made on a busy machine.
		eventually(t, time.Minute, "the answers under way to end", func() bool { return underWay.Load() == 0 })
	})
	return r
}

// wait returns what Serve returned, and leaves it for the end of the test.
func (r *running) wait() error {
	err := <-r.ended
	r.ended <- err
	return err
}

type answer struct {
	code   int
	header http.Header
	body   string
}

func (r *running) do(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func TestPathsAndMethods(t *testing.T) {
	r := start(t, server.Options{})
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/", 200},
		{http.MethodHead, "/", 200},
		{http.MethodPost, "/", 405},
		{http.MethodDelete, "/metrics", 405},
		{http.MethodGet, "/-/healthy", 200},
		{http.MethodPost, "/-/healthy", 405},
		{http.MethodGet, "/-/ready", 200},
		{http.MethodGet, "/demo/gateway", 404}, // This is no demo.
		{http.MethodGet, "/-/reload", 405},
		{http.MethodPut, "/-/reload", 405},
		{http.MethodPost, "/-/reload", 403},
		{http.MethodGet, "/api/v1/status", 200},
		{http.MethodGet, "/nothing", 404},
		{http.MethodGet, "/api", 404},
		{http.MethodGet, "/-/", 404},
		{http.MethodPost, "/-/quit", 404},
		{http.MethodGet, "/debug/pprof/", 404},
	} {
		a := r.do(t, tc.method, tc.path)
		if a.code != tc.want {
			t.Errorf("%s %s: status %d, want %d", tc.method, tc.path, a.code, tc.want)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", tc.method, tc.path, name, got, want)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s %s: policy %q", tc.method, tc.path, csp)
		}
	}
}

func TestReadyOnceEveryEndpointWasPolledOrSaysWhyNot(t *testing.T) {
	s := new(source)
	r := start(t, server.Options{Views: s, Statuses: s})
	step := func(code int, body string) {
		t.Helper()
		if a := r.do(t, http.MethodGet, "/-/ready"); a.code != code || a.body != body+"\n" {
			t.Errorf("ready answers %d %q, want %d %q", a.code, a.body, code, body)
		}
		if a := r.do(t, http.MethodGet, "/-/healthy"); a.code != http.StatusOK {
			t.Errorf("healthy answers %d", a.code)
		}
	}
	step(503, "Not ready: polling has not begun")
	one, two := fetcher.Status{Organization: "acme", Endpoint: "completions", State: fetcher.StateStarting}, fetcher.Status{Organization: "beta", Endpoint: "costs", State: fetcher.StateStarting}
	s.set(one, two)
	step(503, "Not ready: waiting for the first poll of acme/completions, beta/costs")
	one.State = fetcher.StateOK
	s.set(one, two)
	step(503, "Not ready: waiting for the first poll of beta/costs")
	two.State, two.Error = fetcher.StateFailing, "HTTP 401: the key was revoked"
	s.set(one, two)
	step(200, "Ready")
	two.State = fetcher.StateUnavailable
	s.set(one, two)
	step(200, "Ready")
}

func TestReloadSaysHowItEnded(t *testing.T) {
	var failure error
	r := start(t, server.Options{EnableLifecycle: true, Reload: func(context.Context) error { return failure }})
	if a := r.do(t, http.MethodPost, "/-/reload"); a.code != http.StatusOK {
		t.Errorf("status %d %s", a.code, a.body)
	}
	failure = errors.New("exporter.yml:3: unknown key intervall")
	if a := r.do(t, http.MethodPost, "/-/reload"); a.code != http.StatusInternalServerError || !strings.Contains(a.body, failure.Error()) {
		t.Errorf("status %d %s", a.code, a.body)
	}
	if a := r.do(t, http.MethodPost, "/-/reload", "Origin", "https://elsewhere.example"); a.code != http.StatusForbidden {
		t.Errorf("a page elsewhere can reload: status %d", a.code)
	}
}

func TestReloadGivesUpWithItsClient(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	r := start(t, server.Options{EnableLifecycle: true, Reload: func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/-/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-begun
		cancel()
	}()
	if resp, err := r.client.Do(req); err == nil {
		resp.Body.Close()
		t.Error("the request was answered")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("reload ended with %v", err)
	}
}
