package official

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// specification loads the published specification, served where the simulator is.
func specification(t *testing.T, base string) routers.Router {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: base}}
	// The specification says nullable here and there, which OpenAPI 3.1 does not know.
	router, err := legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// ask asks the simulator, and returns the request and the body.
func ask(t *testing.T, url string) (*http.Request, int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-admin-test")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, resp.StatusCode, body
}

// validate holds a request and its answer against the specification.
func validate(router routers.Router, r *http.Request, status int, body []byte) error {
	route, params, err := router.FindRoute(r)
	if err != nil {
		return err
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options,
	})
}

// rows calls f with every row of a page and puts the page together again.
func rows(t *testing.T, body []byte, f func(bucket, row map[string]any)) []byte {
	t.Helper()
	var page map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&page); err != nil {
		t.Fatal(err)
	}
	for _, b := range page["data"].([]any) {
		bucket := b.(map[string]any)
		for _, key := range []string{"results", "result"} {
			list, _ := bucket[key].([]any)
			for _, r := range list {
				f(bucket, r.(map[string]any))
			}
		}
	}
	out, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withoutNulls takes away measures that are null, which the specification does not allow for and the API is seen to
// send.
func withoutNulls(t *testing.T, e *api.Endpoint, body []byte) []byte {
	return rows(t, body, func(_, row map[string]any) {
		for _, m := range e.Measures {
			for _, f := range m.Fields {
				if v, ok := row[f]; ok && v == nil && m.Name != api.MeasureCostQuantity {
					delete(row, f)
				}
			}
		}
	})
}

// groupable are the dimensions that the published specification lets the endpoint group by. It does not know
// api_source, nor user_id of costs, which the official client knows.
func groupable(e *api.Endpoint) string {
	q := ""
	for _, d := range e.Dimensions {
		if d.Name == "api_source" || e.IsCosts() && d.Name == "user_id" || slices.Contains(ahead, d.Name) {
			continue
		}
		q += "&group_by=" + d.Name
	}
	return q
}

func TestAnswersAreWhatTheSpecificationSays(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	_, _, base := start(t, simulator.Options{Seed: 11, Lateness: c.Lateness, Restate: c.Restate})
	router := specification(t, base)
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Name == "decisions" || slices.Contains(ahead, e.Name) {
			continue // Newer than the specification; see the table of what it does not know yet.
		}
		for _, w := range e.Widths {
			from := noon.Add(-3 * w.Duration)
			for _, query := range []string{"", groupable(e)} {
				r, status, body := ask(t, base+"/"+e.Path+"?limit=7&bucket_width="+w.Name+"&start_time="+unix(from)+query)
				if status != http.StatusOK {
					t.Fatalf("%s: %d %s", r.URL, status, body)
				}
				if err := validate(router, r, status, withoutNulls(t, e, body)); err != nil {
					t.Errorf("%s: %.2000v", r.URL, err)
				}
			}
		}
	}
}

func TestLookUpsAreWhatTheSpecificationSays(t *testing.T) {
	s, _, base := start(t, simulator.Options{Seed: 11})
	router := specification(t, base)
	paths := []string{"projects?include_archived=true&limit=3", "users", "admin_api_keys", "spend_limit"}
	for _, p := range s.Projects() {
		paths = append(paths, "projects/"+p.ID+"/api_keys?owner_project_access=any", "projects/"+p.ID+"/rate_limits?limit=100")
		if p.Archived == 0 {
			paths = append(paths, "projects/"+p.ID+"/service_accounts", "projects/"+p.ID+"/users")
		}
		if p.SpendLimitCents != 0 {
			paths = append(paths, "projects/"+p.ID+"/spend_limit")
		}
	}
	for _, path := range paths {
		r, status, body := ask(t, base+"/organization/"+path)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if err := validate(router, r, status, body); err != nil {
			t.Errorf("%s: %.2000v", path, err)
		}
	}
}

// The specification is behind what the API does. Each of these answers is one that organizations really get; it has to
// fail against the specification, and to pass once what is new about it is taken away. One that no longer fails is a
// sign that the specification has caught up.
func TestWhatTheSpecificationDoesNotKnowYet(t *testing.T) {
	for _, tc := range []struct {
		name     string
		endpoint string
		options  simulator.Options
		query    string
		says     string // of the failure
		undo     func(t *testing.T, e *api.Endpoint, body []byte) []byte
	}{
		{
			name: "token fields are null in some rows", endpoint: "completions", query: "&group_by=model", says: "Value is not nullable",
			undo: withoutNulls,
		},
		{
			name: "amounts are strings for some organizations since 2026", endpoint: api.Costs, options: simulator.Options{StringAmounts: true}, query: "&group_by=line_item", says: "/amount/value",
			undo: func(t *testing.T, _ *api.Endpoint, body []byte) []byte {
				return rows(t, body, func(_, row map[string]any) {
					amount := row["amount"].(map[string]any)
					amount["value"] = 0
				})
			},
		},
		{
			name: "the list of rows was once documented as result", endpoint: "embeddings", options: simulator.Options{ResultKey: "result"}, says: "results",
			undo: func(_ *testing.T, _ *api.Endpoint, body []byte) []byte {
				return bytes.ReplaceAll(body, []byte(`"result":`), []byte(`"results":`))
			},
		},
		{name: "decisions are in the official client only", endpoint: "decisions", says: "no matching operation"},
		{name: "grouping by api_source is in the official client only", endpoint: "completions", query: "&group_by=api_source", says: "group_by"},
		{name: "grouping costs by user is in the official client only", endpoint: api.Costs, query: "&group_by=user_id", says: "group_by"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.options.Seed = 11
			_, _, base := start(t, tc.options)
			router := specification(t, base)
			e, _ := api.Find(tc.endpoint)
			r, status, body := ask(t, base+"/"+e.Path+"?bucket_width=1d&start_time="+unix(noon.Add(-3*24*time.Hour))+tc.query)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			err := validate(router, r, status, body)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the specification says %.1000v, want something about %q", err, tc.says)
			}
			if tc.undo == nil {
				return
			}
			if err := validate(router, r, status, tc.undo(t, e, body)); err != nil {
				t.Errorf("without what is new: %.2000v", err)
			}
		})
	}
}
