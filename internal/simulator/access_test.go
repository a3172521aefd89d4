package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestOnlyTheAdminKeyIsLetIn(t *testing.T) {
	const key = "sk-admin-0123456789abcdef"
	s, _ := at(monday, simulator.Options{AdminKey: key})
	path, q := find(t, "completions").Path, query("start_time", seconds(monday))
	for _, tc := range []struct {
		key    string
		status int
	}{{key, 200}, {"", 401}, {"sk-admin-another-and-secret-key", 401}, {"short", 401}} {
		status, _, body := getAs(t, s, tc.key, path, q)
		if status != tc.status {
			t.Errorf("%q: status %d", tc.key, status)
		}
		if tc.status == http.StatusUnauthorized && tc.key != "" && (strings.Contains(string(body), tc.key) || !strings.Contains(string(body), `"invalid_api_key"`)) {
			t.Errorf("%q: %s", tc.key, body)
		}
	}
	s.SetAdminKey("sk-admin-rotated")
	if status, _, _ := getAs(t, s, key, path, q); status != http.StatusUnauthorized {
		t.Errorf("the old key after rotation: status %d", status)
	}
}

func TestAMissingScopeIsSaidInEveryShape(t *testing.T) {
	const key = "sk-proj-weak"
	shapes := map[string]bool{}
	for seed := range uint64(8) {
		s, _ := at(monday, simulator.Options{Seed: seed + 1, KeysWithoutScope: []string{key}, KeysWithoutManagement: []string{"sk-usage-only"}})
		for i := range api.Endpoints {
			status, _, body := getAs(t, s, key, api.Endpoints[i].Path, query("start_time", seconds(monday)))
			var e struct {
				Error any `json:"error"`
			}
			if err := json.Unmarshal(body, &e); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(body), "Missing scopes: api.usage.read") {
				t.Errorf("%d %s", status, body)
			}
			shapes[fmt.Sprintf("%d %T", status, e.Error)] = true
		}
		for key, want := range map[string]int{"sk-usage-only": http.StatusForbidden, "sk-strong": http.StatusOK} {
			if status, _, body := getAs(t, s, key, "organization/projects", nil); status != want || want == http.StatusForbidden && !strings.Contains(string(body), "api.management.read") {
				t.Errorf("projects with %s: %d %s", key, status, body)
			}
			if status, _, _ := getAs(t, s, key, "organization/costs", query("start_time", seconds(monday))); status != http.StatusOK {
				t.Errorf("costs with %s: %d", key, status)
			}
		}
	}
	for _, want := range []string{"401 map[string]interface {}", "403 map[string]interface {}", "403 string"} {
		if !shapes[want] {
			t.Errorf("the shape %q does not occur in %v", want, shapes)
		}
	}
}

func TestWhatTheOrganizationDoesNotHaveIsNotFound(t *testing.T) {
	s, _ := at(monday, simulator.Options{Missing: []string{"decisions", "users"}})
	for path, want := range map[string]int{
		"organization/usage/decisions":              404,
		"organization/users":                        404,
		"organization/usage/completions":            400, // no start_time
		"organization/usage/thoughts":               404,
		"organization/projects/proj_x/api_keys":     404,
		"organization":                              404,
		"organization/projects/proj_x/api_keys/key": 404,
		"models": 404,
	} {
		status, h, body := get(t, s, path, nil)
		if status != want || !json.Valid(body) || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	s.SetMissing()
	if status, _, _ := get(t, s, "organization/users", nil); status != http.StatusOK {
		t.Errorf("users once they are there: %d", status)
	}
}

func TestEveryAnswerCarriesTheClockAndAnID(t *testing.T) {
	s, clock := at(monday, simulator.Options{Faults: simulator.Faults{Throttle: 0.3, Gateway: 0.3}})
	ids := map[string]bool{}
	for i := range 30 {
		_, h, _ := get(t, s, find(t, "costs").Path, query("start_time", seconds(monday)))
		if got := h.Get("Date"); got != clock.Now().Format(http.TimeFormat) {
			t.Errorf("Date %q at %s", got, clock.Now())
		}
		id := h.Get("X-Request-Id")
		if !strings.HasPrefix(id, "req_") || ids[id] {
			t.Errorf("request %d: id %q", i, id)
		}
		ids[id] = true
		clock.Advance(time.Hour)
	}
}

// listAll follows a list to its end in pages of limit.
func listAll(t *testing.T, s *simulator.Simulator, path string, q url.Values, limit int) (ids []string, objects []map[string]any) {
	t.Helper()
	if q == nil {
		q = url.Values{}
	}
	q.Set("limit", fmt.Sprint(limit))
	for {
		status, _, body := get(t, s, path, q)
		var p struct {
			Object  string
			Data    []map[string]any
			FirstID *string `json:"first_id"`
			LastID  *string `json:"last_id"`
			HasMore bool    `json:"has_more"`
		}
		if err := json.Unmarshal(body, &p); err != nil || status != http.StatusOK || p.Object != "list" || p.Data == nil {
			t.Fatalf("%s: %d %v %s", path, status, err, body)
		}
		if len(p.Data) > limit || p.HasMore && len(p.Data) < limit {
			t.Fatalf("%s: a page of %d rows, limit %d, has_more %t", path, len(p.Data), limit, p.HasMore)
		}
		for _, o := range p.Data {
			ids = append(ids, o["id"].(string))
		}
		objects = append(objects, p.Data...)
		if len(p.Data) > 0 && (*p.FirstID != p.Data[0]["id"] || *p.LastID != p.Data[len(p.Data)-1]["id"]) {
			t.Fatalf("%s: first_id and last_id are not those of the page", path)
		}
		if !p.HasMore {
			return ids, objects
		}
		q.Set("after", *p.LastID)
	}
}

func TestLookUpsArePaged(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	project := "organization/projects/" + s.Projects()[0].ID
	for _, tc := range []struct {
		path string
		q    url.Values
		rows int
	}{
		{"organization/projects", nil, 6},
		{"organization/projects", query("include_archived", "true"), 7},
		{"organization/users", nil, 8},
		{"organization/admin_api_keys", nil, 2},
		{project + "/api_keys", query("owner_project_access", "any"), 3},
		{project + "/api_keys", nil, 2},
		{project + "/rate_limits", nil, 186},
		{project + "/service_accounts", nil, 1},
		{project + "/users", nil, 2},
	} {
		for _, limit := range []int{1, 5, 100} {
			ids, _ := listAll(t, s, tc.path, tc.q, limit)
			unique := map[string]bool{}
			for _, id := range ids {
				unique[id] = true
			}
			if len(ids) != tc.rows || len(unique) != tc.rows {
				t.Errorf("%s %v in pages of %d: %d rows, %d of them different, want %d", tc.path, tc.q, limit, len(ids), len(unique), tc.rows)
			}
			if tc.q != nil {
				tc.q.Del("after")
			}
		}
		for _, limit := range []string{"0", "101", "x"} {
			if status, _, _ := get(t, s, tc.path, query("limit", limit)); status != http.StatusBadRequest {
				t.Errorf("%s limit=%s: %d", tc.path, limit, status)
			}
		}
	}
}

func TestIDsInUsageCanBeLookedUp(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	known := map[string]bool{"": true}
	projects, _ := listAll(t, s, "organization/projects", nil, 100)
	for _, p := range projects {
		known[p] = true
		keys, _ := listAll(t, s, "organization/projects/"+p+"/api_keys", query("owner_project_access", "any"), 100)
		for _, k := range keys {
			known[k] = true
		}
	}
	users, _ := listAll(t, s, "organization/users", nil, 100)
	for _, u := range users {
		known[u] = true
	}
	deleted := map[string]bool{}
	for _, k := range s.Keys() {
		deleted[k.ID] = k.Deleted
	}
	gone := false
	for _, r := range s.Truth("completions", []string{"project_id", "user_id", "api_key_id"}, monday.Add(-24*time.Hour), monday, monday) {
		key := r.Labels["api_key_id"]
		if !known[r.Labels["project_id"]] || !known[r.Labels["user_id"]] || !known[key] && !deleted[key] {
			t.Errorf("%v can't be looked up", r.Labels)
		}
		gone = gone || deleted[key]
	}
	if !gone {
		t.Error("no deleted key has usage")
	}
}

func TestSpendLimitsAreCentsOrNotFound(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	paths := map[string]int64{"organization/spend_limit": 25_000_00}
	for _, p := range s.Projects() {
		paths["organization/projects/"+p.ID+"/spend_limit"] = p.SpendLimitCents
	}
	for path, cents := range paths {
		status, _, body := get(t, s, path, nil)
		var l struct {
			Amount   int64 `json:"threshold_amount"`
			Currency string
			Interval string
		}
		if err := json.Unmarshal(body, &l); err != nil {
			t.Fatal(err)
		}
		if cents == 0 && status != http.StatusNotFound || cents != 0 && (status != http.StatusOK || l.Amount != cents || l.Currency != "USD" || l.Interval != "month") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestAnArchivedProjectHasNoMembersToList(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	for _, p := range s.Projects() {
		for _, what := range []string{"users", "service_accounts"} {
			want := http.StatusOK
			if p.Archived != 0 {
				want = http.StatusBadRequest
			}
			if status, _, _ := get(t, s, "organization/projects/"+p.ID+"/"+what, nil); status != want {
				t.Errorf("%s of %s: %d, want %d", what, p.Name, status, want)
			}
		}
	}
}
