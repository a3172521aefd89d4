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

	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// The clock of a bubble starts at midnight of this day.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

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
			{name: "no page", status: 200, body: "<html>", class: fetcher.ClassBody, code: "body", says: []string{"not a valid page of embeddings"}},
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
			t.Errorf("error = %v after the key was read again %d times and sent %d times", err, key.reads, len(f.asks()))
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

func TestTheBudgetHoldsInEveryMinute(t *testing.T) {
	t.Parallel()
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
