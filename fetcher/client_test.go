package fetcher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// The clock of a bubble starts at midnight of this day.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// minutes is a window of so many closed minutes before now.
func minutes(n int) ledger.Window {
	to := time.Now().UTC().Truncate(time.Minute)
	return ledger.Window{Width: api.Minute, From: to.Add(time.Duration(-n) * time.Minute), To: to}
}

func embeddings(t *testing.T, w ledger.Window) fetcher.Query {
	return fetcher.Query{Endpoint: endpoint(t, "embeddings"), GroupBy: []string{"project_id", "model"}, Window: w}
}

// book books a read of embeddings in an account of its own and returns what it counts.
func book(t *testing.T, r *ledger.Read) (requests string) {
	t.Helper()
	a := open(t, counts, ledger.FeedOptions{Endpoint: endpoint(t, "embeddings"), GroupBy: []string{"project_id", "model"}, Width: r.Window.Width, Lookback: time.Hour})
	// The feed books what it has planned itself.
	planned := a.feeds[0].PollWindow(r.AsOf)
	planned.Width, planned.From, planned.To = r.Window.Width, r.Window.From, r.Window.To
	r.Window = planned
	if err := a.feeds[0].Book(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return a.total("embeddings", "requests")
}

func TestRequestsAreSpelledAsTheAPIWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := &fake{perPage: 3}, &witness{}
		c := client(t, serve(t, f), seen)
		r, err := c.Read(t.Context(), embeddings(t, minutes(7)))
		if err != nil {
			t.Fatal(err)
		}
		if got := book(t, r); got != "7" {
			t.Errorf("counted %s requests, want 7", got)
		}
		var raw []string
		for _, a := range f.asks() {
			raw = append(raw, a.path+"?"+a.raw)
			for name, want := range map[string]string{"Authorization": "Bearer " + secret, "User-Agent": "openai_exporter/1.2.3", "Openai-Organization": ""} {
				if got := a.header.Get(name); got != want {
					t.Errorf("header %s = %q, want %q", name, got, want)
				}
			}
		}
		// The parameters are sent again with the cursor, whose = is escaped.
		const common = "/v1/organization/usage/embeddings?bucket_width=1m&end_time=946684800&group_by=project_id&group_by=model&limit=7"
		want := []string{
			common + "&start_time=946684380",
			common + "&page=page_946684560%3D%3D&start_time=946684380",
			common + "&page=page_946684740%3D%3D&start_time=946684380",
		}
		if diff := cmp.Diff(want, raw); diff != "" {
			t.Errorf("requests differ (-want +got):\n%s", diff)
		}
		if seen.count("embeddings 200") != 3 {
			t.Errorf("observed %v", seen.requests)
		}
	})
}

func TestALimitIsAlwaysSentAndNeverTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		hour := time.Hour
		for _, tc := range []struct {
			endpoint string
			window   ledger.Window
			limit    string
			end      string
		}{
			{"embeddings", ledger.Window{Width: api.Minute, From: midnight.Add(-hour)}, "62", ""},
			{"embeddings", ledger.Window{Width: api.Minute, From: midnight.Add(-30 * hour)}, "1440", ""},
			{"embeddings", ledger.Window{Width: api.Hour, From: midnight.Add(-500 * hour), To: midnight}, "168", "946684800"},
			{"embeddings", ledger.Window{Width: api.Day, From: midnight.Add(-24 * hour), To: midnight}, "1", "946684800"},
			// An end on the day of the start would be refused: the running day has none.
			{"costs", ledger.Window{Width: api.CostDay, From: midnight}, "2", ""},
			{"costs", ledger.Window{Width: api.CostDay, From: midnight.Add(-31 * 24 * hour)}, "33", ""},
		} {
			before := len(f.asks())
			if _, err := c.Read(t.Context(), fetcher.Query{Endpoint: endpoint(t, tc.endpoint), Window: tc.window}); err != nil {
				t.Fatal(err)
			}
			for _, a := range f.asks()[before:] {
				if got := a.query.Get("limit"); got != tc.limit || a.query.Get("end_time") != tc.end || a.query.Has("group_by") {
					t.Errorf("%s from %s by %s: %s, want limit %s and end %q", tc.endpoint, tc.window.From, tc.window.Width.Name, a.raw, tc.limit, tc.end)
				}
			}
		}
	})
}

func TestFiltersAreParametersOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		filters := api.Filters{"models": {"gpt-6-sol", "a&b=c"}, "project_ids": {"proj_b", "proj_a"}, "user_ids": nil}.Encode()
		if _, err := c.Read(t.Context(), fetcher.Query{Endpoint: endpoint(t, "embeddings"), Filters: filters, Window: ledger.Window{Width: api.Hour, From: midnight.Add(-time.Hour), To: midnight}}); err != nil {
			t.Fatal(err)
		}
		want := "/v1/organization/usage/embeddings?bucket_width=1h&end_time=946684800&limit=1&models=a%26b%3Dc&models=gpt-6-sol&project_ids=proj_a&project_ids=proj_b&start_time=946681200"
		if a := f.asks()[0]; a.path+"?"+a.raw != want {
			t.Errorf("asked for %s?%s, want %s", a.path, a.raw, want)
		}
	})
}

func TestAnUnalignedWindowIsNeverAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		for _, w := range []ledger.Window{
			{Width: api.Minute, From: midnight.Add(-time.Second)},
			{Width: api.Hour, From: midnight.Add(-time.Hour), To: midnight.Add(-time.Minute)},
			{Width: api.CostDay, From: midnight.Add(-time.Hour)},
			{Width: api.Hour, From: midnight, To: midnight},
		} {
			if _, err := c.Read(t.Context(), embeddings(t, w)); err == nil {
				t.Errorf("%s from %s to %s was read", w.Width.Name, w.From, w.To)
			}
		}
		if n := len(f.asks()); n != 0 {
			t.Errorf("%d requests were made", n)
		}
	})
}

func TestADimensionThatTheAPIKnowsOnlyLaterMovesTheStart(t *testing.T) {
	since := time.Date(2025, 12, 6, 0, 0, 0, 0, time.UTC)
	synctest.Test(t, func(t *testing.T) {
		<-time.After(since.AddDate(0, 0, 3).Sub(midnight))
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		q := fetcher.Query{Endpoint: endpoint(t, "costs"), GroupBy: []string{"api_key_id"}, Window: ledger.Window{Width: api.CostDay, From: since.AddDate(0, 0, -10)}}
		if _, err := c.Read(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if got := f.asks()[0].query.Get("start_time"); got != "1764979200" {
			t.Errorf("start_time = %s, want that of the dimension", got)
		}
		q.Window.To = since
		r, err := c.Read(t.Context(), q)
		if err != nil || r.Rows() != 0 || len(f.asks()) != 1 {
			t.Errorf("a window before it was asked for: %v", err)
		}
		q.GroupBy = []string{"project_id"}
		if _, err := c.Read(t.Context(), q); err != nil || len(f.asks()) != 2 {
			t.Errorf("a window without the dimension was not asked for: %v", err)
		}
	})
}

func TestARepeatedCursorEndsTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: says(200, `{"object":"page","data":[],"has_more":true,"next_page":"page_1"}`)}
		_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassBody || !strings.Contains(e.Error(), "cursor") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestPagesWithoutEndEndTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			n++
			return says(200, fmt.Sprintf(`{"object":"page","data":[],"has_more":true,"next_page":"page_%d"}`, n))(w, r)
		}}
		_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(60)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassBody || !strings.Contains(e.Error(), "more than 70 pages") {
			t.Errorf("error = %v", err)
		}
		if n != 70 {
			t.Errorf("%d requests: there will be no end the next time either", n)
		}
	})
}

func TestATornPageIsNeverCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The second of three pages is torn after some of its rows, twice.
		n := 0
		f := &fake{perPage: 2}
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("page") {
				if n++; n <= 2 {
					return torn(w, r)
				}
			}
			return false
		}
		seen := &witness{}
		r, err := client(t, serve(t, f), seen).Read(t.Context(), embeddings(t, minutes(6)))
		if err != nil {
			t.Fatal(err)
		}
		if got := book(t, r); got != "6" {
			t.Errorf("counted %s requests, want 6", got)
		}
		if seen.count("embeddings body") != 2 {
			t.Errorf("observed %v", seen.requests)
		}
	})
}

func TestTransientFaultsAreRetriedWithinTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
			"429":       says(429, `{"error":{"message":"slow down"}}`),
			"429 short": says(429, "", "Retry-After", "2"),
			"500":       says(500, `{"error":{"message":"The server had an error processing your request..."}}`),
			"502":       says(502, "<html>bad gateway</html>"),
			"503":       says(503, ""),
			"520":       says(520, "<html>cloudflare</html>"),
			"reset":     reset,
			"torn":      torn,
			"empty":     says(200, ""),
			"no body":   says(204, ""),
			"HTML":      says(200, "<html>maintenance</html>"),
			"no page":   says(200, "{}"),
		} {
			f := &fake{before: first(fault, fault)}
			begin := time.Now()
			r, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := book(t, r); got != "3" || len(f.asks()) != 3 {
				t.Errorf("%s: counted %s requests, want 3, with %d requests", name, got, len(f.asks()))
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s: took %s", name, took)
			}

			f = &fake{before: fault}
			_, err = client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Permanent() {
				t.Errorf("%s: for ever: %v", name, err)
			}
			if n := len(f.asks()); n != 4 {
				t.Errorf("%s: for ever: %d requests, want 4", name, n)
			}
		}
	})
}

func TestRetryAfterEndsTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Hour + 300*time.Millisecond)
		for value, want := range map[string]time.Duration{
			"30":                            30 * time.Second,
			"2.5":                           2500 * time.Millisecond,
			"Sat, 01 Jan 2000 01:02:00 GMT": 2 * time.Minute,
			"99999999999999999999":          24 * time.Hour,
		} {
			f := &fake{before: says(429, "", "Retry-After", value)}
			_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Class != fetcher.ClassThrottled || e.RetryAfter != want {
				t.Errorf("Retry-After: %s: %v after %s, want %s", value, err, e.RetryAfter, want)
			}
			if n := len(f.asks()); n != 1 {
				t.Errorf("Retry-After: %s: %d requests, want 1", value, n)
			}
		}
		for _, value := range []string{"soon", "-3", "0", "NaN", "Sat, 01 Jan 2000 00:00:00 GMT"} {
			f := &fake{before: first(says(429, "", "Retry-After", value))}
			if _, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3))); err != nil {
				t.Errorf("Retry-After: %s: %v", value, err)
			}
		}
	})
}

func TestAnswersThatDoNotComeTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, wait := range map[string]func(http.ResponseWriter, *http.Request) bool{
			"no header": func(_ http.ResponseWriter, r *http.Request) bool {
				<-r.Context().Done()
				return true
			},
			"no end": func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = w.Write([]byte(`{"object":"page","data":[`))
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return true
			},
		} {
			seen := &witness{}
			c := client(t, serve(t, &fake{before: wait}), seen)
			begin := time.Now()
			_, err := c.Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Class != fetcher.ClassTimeout {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begin); took < 4*fetcher.DefaultHeaderTimeout || took > 4*fetcher.DefaultRequestTimeout+time.Minute {
				t.Errorf("%s: took %s", name, took)
			}
			if seen.count("embeddings timeout") != 4 {
				t.Errorf("%s: observed %v", name, seen.requests)
			}
		}
	})
}

func TestABodyWithoutEndIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(w http.ResponseWriter, _ *http.Request) bool {
			_, err := w.Write([]byte(`{"object":"page","data":[`))
			for err == nil {
				_, err = w.Write([]byte(`{"start_time":946684800,"results":[]},`))
			}
			return true
		}}
		seen := &witness{}
		c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.MaxBody = 1 << 20 })
		_, err := c.Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassBody || !strings.Contains(e.Error(), "larger than 1048576 bytes") {
			t.Errorf("error = %v", err)
		}
		if n := len(f.asks()); n != 1 {
			t.Errorf("%d requests, want 1: the body is no shorter the next time", n)
		}
	})
}

func TestABodyOfTheGreatestLengthIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"object":"page","data":[],"has_more":false}`
		w := serve(t, &fake{before: says(200, body)})
		for n, ok := range map[int64]bool{int64(len(body)): true, int64(len(body)) - 1: false} {
			c := client(t, w, &witness{}, func(o *fetcher.ClientOptions) { o.MaxBody = n })
			if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); (err == nil) != ok {
				t.Errorf("at most %d of %d bytes: %v", n, len(body), err)
			}
		}
	})
}

func published(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryErrorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name      string
			status    int
			body      string
			class     fetcher.Class
			permanent bool
			code      string
			says      []string
			never     []string
		}{
			{
				name: "missing scope, 401", status: 401, body: published(t, "error_missing_scope_401_object.json"),
				class: fetcher.ClassScope, permanent: true, code: "401",
				says: []string{"lacks the scope api.usage.read", "create an admin key", "Admin keys"},
			},
			{
				name: "missing scope, 403, as a string", status: 403, body: published(t, "error_missing_scope_string_form.json"),
				class: fetcher.ClassScope, permanent: true, code: "403", says: []string{"lacks the scope api.model.read"},
			},
			{
				name: "missing scope that is not named", status: 403, body: `{"error":{"message":"You have insufficient permissions for this operation."}}`,
				class: fetcher.ClassScope, permanent: true, code: "403", says: []string{"lacks the scope api.usage.read"},
			},
			{
				name: "wrong key", status: 401, body: `{"error":{"message":"Incorrect API key provided: sk-admin-Zq8*****0042. You can find your API key at https://x.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
				class: fetcher.ClassUnauthorized, permanent: true, code: "401",
				says: []string{"does not accept the admin key", "Admin keys"}, never: []string{"0042", "Zq8", "Incorrect"},
			},
			{name: "401 without words", status: 401, class: fetcher.ClassUnauthorized, permanent: true, code: "401", says: []string{"does not accept"}},
			{
				name: "403 for another reason", status: 403, body: `{"error":{"message":"Country, region, or territory not supported"}}`,
				class: fetcher.ClassForbidden, permanent: true, code: "403", says: []string{"territory not supported"},
			},
			{name: "unknown endpoint", status: 404, body: "<html>", class: fetcher.ClassNotFound, permanent: true, code: "404", says: []string{"has no organization/usage/embeddings", "http://api.test/v1"}},
			{
				name: "bad parameter", status: 400, body: `{"error":{"message":"Invalid 'limit': integer above maximum value.","param":"limit"}}`,
				class: fetcher.ClassRequest, code: "400", says: []string{"parameter limit", "above maximum"},
			},
			{
				name: "a key in a message", status: 400, body: `{"error":"bad sk-proj-abc_DEF-123. and ` + secret + ` and Bearer xyz"}`,
				class: fetcher.ClassRequest, code: "400", never: []string{"abc_DEF", "Zq81", "xyz"},
			},
			{name: "a long message", status: 400, body: `{"error":"` + strings.Repeat("a\\n", 5000) + `"}`, class: fetcher.ClassRequest, code: "400", never: []string{"\n", strings.Repeat("a ", 150)}},
			{name: "a teapot", status: 418, class: fetcher.ClassRequest, code: "418", says: []string{"418"}},
			{name: "throttled", status: 429, class: fetcher.ClassThrottled, code: "429", says: []string{"throttles"}},
			{name: "server", status: 500, body: published(t, "error_server_500_costs_2025-10.json"), class: fetcher.ClassServer, code: "500", says: []string{"had an error processing"}},
			{name: "Cloudflare", status: 522, body: "<html>", class: fetcher.ClassServer, code: "522", says: []string{"Cloudflare"}},
			{name: "redirect", status: 302, class: fetcher.ClassRedirect, code: "302", says: []string{"base_url"}},
			{name: "no page", status: 200, body: "<html>", class: fetcher.ClassBody, code: "body", says: []string{"no page of embeddings"}},
			{name: "no content", status: 204, class: fetcher.ClassBody, code: "body"},
		} {
			header := []string{"X-Request-Id", "req_1"}
			if tc.status == 302 {
				header = append(header, "Location", "http://evil.test/v1")
			}
			seen := &witness{}
			_, err := client(t, serve(t, &fake{before: says(tc.status, tc.body, header...)}), seen).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) {
				t.Errorf("%s: %v", tc.name, err)
				continue
			}
			if e.Class != tc.class || e.Permanent() != tc.permanent || e.Status != tc.status || e.RequestID != "req_1" || fetcher.Code(err) != tc.code {
				t.Errorf("%s: class %s, permanent %t, status %d, request %s, code %s", tc.name, e.Class, e.Permanent(), e.Status, e.RequestID, fetcher.Code(err))
			}
			for _, want := range tc.says {
				if !strings.Contains(e.Error(), want) {
					t.Errorf("%s: %q does not say %q", tc.name, e, want)
				}
			}
			for _, never := range append(tc.never, secret) {
				if strings.Contains(fmt.Sprintf("%v %+v", e, *e), never) {
					t.Errorf("%s: %q says %q", tc.name, e, never)
				}
			}
			if strings.ContainsAny(e.Error(), "\n\r") || len(e.Error()) > 400 {
				t.Errorf("%s: %q is not one short line", tc.name, e)
			}
			if seen.count("embeddings "+tc.code) == 0 {
				t.Errorf("%s: observed %v", tc.name, seen.requests)
			}
			if len(seen.logged(secret)) > 0 {
				t.Errorf("%s: the log holds the key", tc.name)
			}
		}
	})
}

func TestTheKeyIsNeverSentElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, to := range []string{"http://evil.test/v1/organization/usage/embeddings", "https://api.test/v1/elsewhere", "http://api.test/v1/elsewhere"} {
			f := &fake{before: says(307, "", "Location", to)}
			_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Class != fetcher.ClassRedirect {
				t.Errorf("to %s: %v", to, err)
			}
			if n := len(f.asks()); n != 1 {
				t.Errorf("to %s: %d requests", to, n)
			}
		}
	})
}

func TestAnUnreachableAPIIsANetworkError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{closed: make(chan struct{})}
		_ = w.Close()
		seen := &witness{}
		_, err := client(t, w, seen).Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassNetwork || fetcher.Code(err) != "network" || !strings.Contains(e.Error(), "connection refused") {
			t.Errorf("error = %v", err)
		}
		if seen.count("embeddings network") != 4 {
			t.Errorf("observed %v", seen.requests)
		}
	})
}

func TestAReplacedKeyIsUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fresh = "sk-admin-the-new-one"
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Authorization") != "Bearer "+fresh && says(401, `{"error":{"code":"invalid_api_key"}}`)(w, r)
		}}
		key := &word{text: secret}
		seen := &witness{}
		c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.Key = key })
		if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); fetcher.Code(err) != "401" || key.reads != 1 || len(f.asks()) != 1 {
			t.Errorf("error = %v after the key was read anew %d times and sent %d times", err, key.reads, len(f.asks()))
		}
		// The key is replaced in a way that only reading it shows.
		key.set(fresh, nil)
		key.changed = false
		if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); err != nil {
			t.Error(err)
		}
		key.set("", errors.New("the file is gone"))
		_, err := c.Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassKey || !e.Permanent() || !strings.Contains(e.Error(), "the file is gone") {
			t.Errorf("error = %v", err)
		}
		key.set("", nil)
		if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); err == nil {
			t.Error("an empty key was sent")
		}
	})
}

func TestTheAPIsClockIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ahead := time.Duration(0)
		set := func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			ahead = d
		}
		f := &fake{before: func(w http.ResponseWriter, _ *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			return false
		}}
		seen := &witness{}
		c := client(t, serve(t, f), seen)
		for _, tc := range []struct{ is, follows time.Duration }{
			{0, 0},
			{20 * time.Second, 0}, // As good as right.
			{-2 * time.Hour, -2 * time.Hour},
			{-2*time.Hour + 5*time.Second, -2 * time.Hour},
			{90 * time.Minute, 90 * time.Minute},
			{0, 0},
		} {
			set(tc.is)
			r, err := c.Read(t.Context(), embeddings(t, minutes(3)))
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Until(r.AsOf); (got - tc.is).Abs() > time.Second {
				t.Errorf("%s ahead: AsOf is %s ahead", tc.is, got)
			}
			if got := time.Until(c.Now()); (got - tc.follows).Abs() > time.Second {
				t.Errorf("%s ahead: Now is %s ahead", tc.is, got)
			}
		}
		if n := len(seen.logged("level=warn")); n != 1 {
			t.Errorf("%d warnings, want 1: %v", n, seen.logged(""))
		}
		for _, date := range [][]string{nil, {"yesterday"}} {
			f.before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header()["Date"] = date
				return false
			}
			r, err := c.Read(t.Context(), embeddings(t, minutes(3)))
			if err != nil || !r.AsOf.Equal(time.Now()) {
				t.Errorf("Date %v: AsOf = %v, want the local clock's %v: %v", date, r.AsOf, time.Now(), err)
			}
		}
	})
}

func TestOnlyBucketsOfTheWindowThatHaveBegunAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := func(start time.Time) string {
			return fmt.Sprintf(`{"start_time":%d,"end_time":%d,"results":[{"num_model_requests":1}]}`, start.Unix(), start.Unix()+60)
		}
		page := func(starts ...time.Duration) string {
			var rows []string
			for _, s := range starts {
				rows = append(rows, row(midnight.Add(s)))
			}
			return `{"object":"page","data":[` + strings.Join(rows, ",") + `],"has_more":false}`
		}
		f := &fake{before: says(200, page(-4*time.Minute, -3*time.Minute, -2*time.Minute, -time.Minute, 0, time.Minute))}
		c := client(t, serve(t, f), &witness{})
		w := ledger.Window{Width: api.Minute, From: midnight.Add(-3 * time.Minute)}
		r, err := c.Read(t.Context(), embeddings(t, w))
		if err != nil {
			t.Fatal(err)
		}
		// The API's clock shows midnight: what starts then has not begun.
		if got := book(t, r); got != "3" {
			t.Errorf("counted %s requests, want 3", got)
		}
		for name, body := range map[string]string{
			"not aligned": page(-90 * time.Second),
			"too wide":    fmt.Sprintf(`{"object":"page","data":[{"results":[],"start_time":%d,"end_time":%d}],"has_more":false}`, midnight.Unix()-3600, midnight.Unix()),
		} {
			_, err := client(t, serve(t, &fake{before: says(200, body)}), &witness{}).Read(t.Context(), embeddings(t, w))
			if fetcher.Code(err) != "body" {
				t.Errorf("a bucket that is %s: %v", name, err)
			}
		}
	})
}

func TestAmountsInAnotherCurrencyAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: says(200, `{"object":"page","data":[{"start_time":946684800,"results":[{"amount":{"value":1,"currency":"eur"}}]}],"has_more":false}`)}
		<-time.After(time.Hour)
		_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), fetcher.Query{Endpoint: endpoint(t, "costs"), Window: ledger.Window{Width: api.CostDay, From: midnight}})
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassCurrency || !strings.Contains(e.Error(), `"eur"`) || len(f.asks()) != 1 {
			t.Errorf("error = %v after %d requests", err, len(f.asks()))
		}
	})
}

func TestCanceledRequestsSayNothingAboutTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}}
		seen := &witness{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := client(t, serve(t, f), seen).Read(ctx, embeddings(t, minutes(3))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		if took := time.Since(begin); took != time.Second || len(seen.requests) != 0 {
			t.Errorf("took %s, observed %v", took, seen.requests)
		}
	})
}

func TestTheBudgetHoldsInEveryMinute(t *testing.T) {
	for _, perMinute := range []int{1, 5, 60, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{before: says(200, `{"object":"page","data":[],"has_more":false}`)}
			c := client(t, serve(t, f), &witness{}, func(o *fetcher.ClientOptions) { o.RequestsPerMinute = perMinute })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() {
					// Half of them ask at once, half come in after a time of rest that saves up what may be saved up.
					if i%2 == 0 {
						<-time.After(150 * time.Second)
					}
					for ctx.Err() == nil {
						_, _ = c.Read(ctx, embeddings(t, minutes(3)))
						if i%2 == 1 {
							<-time.After(time.Second)
						}
					}
				})
			}
			all.Wait()
			asks := f.asks()
			most, from := 0, 0
			for to := range asks {
				for asks[to].at.Sub(asks[from].at) >= time.Minute {
					from++
				}
				most = max(most, to-from+1)
			}
			if allowed := max(perMinute*11/10, 1); most > allowed {
				t.Errorf("%d a minute: %d requests in one minute", perMinute, most)
			}
			if want := perMinute * 7; len(asks) < want {
				t.Errorf("%d a minute: only %d requests in ten minutes", perMinute, len(asks))
			}
		})
	}
}

func TestAClientRefusesSettingsThatItCanNotKeep(t *testing.T) {
	good := fetcher.ClientOptions{Organization: "acme", BaseURL: "https://api.test/v1/", Key: &word{text: secret}, RequestsPerMinute: 60}
	for name, change := range map[string]func(*fetcher.ClientOptions){
		"no URL":        func(o *fetcher.ClientOptions) { o.BaseURL = "" },
		"no scheme":     func(o *fetcher.ClientOptions) { o.BaseURL = "api.test/v1" },
		"bad URL":       func(o *fetcher.ClientOptions) { o.BaseURL = "http://[::1" },
		"other scheme":  func(o *fetcher.ClientOptions) { o.BaseURL = "ftp://api.test" },
		"no key":        func(o *fetcher.ClientOptions) { o.Key = nil },
		"credentials":   func(o *fetcher.ClientOptions) { o.HTTP.BearerToken = "x" },
		"no such CA":    func(o *fetcher.ClientOptions) { o.HTTP.TLSConfig.CAFile = "does/not/exist" },
		"authorization": func(o *fetcher.ClientOptions) { o.HTTP.Authorization = &promconfig.Authorization{} },
	} {
		o := good
		change(&o)
		if _, err := fetcher.NewClient(o); err == nil {
			t.Errorf("%s: a client was made", name)
		}
	}
	c, err := fetcher.NewClient(good)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestADimensionThatIsRefusedIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []string{"project_id", "user_id", "api_key_id", "model"}
		for _, tc := range []struct {
			body    string
			groupBy []string
			want    string
		}{
			{`{"error":{"message":"Invalid value: 'model'. Supported values are: 'project_id', 'user_id', and 'api_key_id'.","param":"group_by"}}`, all, "model"},
			{`{"error":{"message":"Invalid value: 'user_id'. Supported values are: 'project_id', 'model'.","param":"group_by[1]"}}`, all, "user_id"},
			{`{"error":{"message":"no such value","param":"group_by[2]"}}`, all, "api_key_id"},
			{`{"error":{"message":"no such value","param":"group_by.0"}}`, all, "project_id"},
			{`{"error":{"message":"not for this organization","param":"user_id"}}`, all, "user_id"},
			{`{"error":{"message":"Grouping by user_id together with project_id is not supported for this organization"}}`, all, "user_id"},
			{`{"error":"group_by api_key_id is only available from 2025-12-06"}`, all, "api_key_id"},
			{`{"error":{"message":"Only these can be grouped by. Supported values are: 'project_id', 'user_id', 'model'","param":"group_by"}}`, all, "api_key_id"},
			{`{"error":{"message":"Invalid group_by","param":"group_by"}}`, []string{"model"}, "model"},
			{`{"error":{"message":"Invalid group_by","param":"group_by"}}`, all, ""},
			{`{"error":{"message":"The model is overloaded","param":null}}`, all, ""},
			{`{"error":{"message":"Invalid 'limit': too large for model","param":"limit"}}`, all, ""},
			{`{"error":{"message":"the model_id is unknown to the grouping"}}`, []string{"model", "user_id"}, ""},
			{``, all, ""},
			{`{"error":{"message":"group_by must be one of: project_id, user_id, api_key_id, model","param":"group_by"}}`, []string{"model"}, ""},
			{`{"error":{"message":"group_by must be one of: project_id, user_id, api_key_id, model","param":"group_by"}}`, all, ""},
			{`{"error":{"message":"Invalid value. Supported values are: 'user_id', 'model'.","param":"group_by[1]"}}`, all, ""},
			{`{"error":{"message":"Wrong. Supported values are: 'user_id', 'model'.","param":"user_id"}}`, all, ""},
			{`{"error":{"message":"bucket_width '1m' can't be used for start_time before 2026-01-01 with group_by model","param":"bucket_width"}}`, []string{"model"}, ""},
			{`{"error":{"message":"too early to group by api_key_id","param":"start_time"}}`, all, ""},
		} {
			q := embeddings(t, minutes(3))
			q.GroupBy = tc.groupBy
			_, err := client(t, serve(t, &fake{before: says(400, tc.body)}), &witness{}).Read(t.Context(), q)
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Dimension != tc.want {
				t.Errorf("%s: dimension %q, want %q", tc.body, e.Dimension, tc.want)
			}
		}
	})
}

func TestReadsOfSeveralGoroutinesDoNotDisturbEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{perPage: 2}
		c := client(t, serve(t, f), &witness{})
		reads := make([]*ledger.Read, 8)
		var all sync.WaitGroup
		for i := range reads {
			all.Go(func() {
				var err error
				if reads[i], err = c.Read(t.Context(), embeddings(t, minutes(i+1))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i, r := range slices.All(reads) {
			if got := book(t, r); got != fmt.Sprint(i+1) {
				t.Errorf("counted %s requests, want %d", got, i+1)
			}
		}
	})
}
