package fetcher_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// known opens a directory with one organization, whose entry it returns too.
func known(t *testing.T, emails bool) (*directory.Directory, *directory.Entry) {
	t.Helper()
	d := directory.Open(t.TempDir(), log.NewNopLogger())
	return d, d.Configure([]directory.Settings{{Organization: "acme", Names: true, UserEmails: emails, Limits: true}})[0]
}

func TestNamesOfProjectsUsersAndKeysAreLookedUp(t *testing.T) {
	for _, emails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(simulator.Options{})
			seen := &witness{}
			d, entry := known(t, emails)
			s := schedule(t, seen, fetcher.Organization{
				Name: "acme", Client: client(t, serve(t, sim.Handler()), seen),
				Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute, UserEmails: emails},
			})
			pass(time.Minute)
			want := directory.Organization{Name: "acme", Listed: true}
			for _, p := range sim.Projects() {
				status := "active"
				if p.Archived != 0 {
					status = "archived"
				}
				want.Projects = append(want.Projects, directory.Project{ID: p.ID, Name: p.Name, Status: status, Residency: p.Residency})
			}
			for _, u := range sim.Users() {
				if !emails {
					u.Email = ""
				}
				want.Users = append(want.Users, directory.User{ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, ServiceAccount: "false"})
			}
			users := map[string]string{}
			for _, u := range sim.Users() {
				users[u.ID] = u.Name
			}
			for _, k := range sim.Keys() {
				if k.Deleted {
					continue
				}
				key := directory.Key{ID: k.ID, Name: k.Name, ProjectID: k.ProjectID, OwnerType: "user", OwnerID: k.UserID, OwnerName: users[k.UserID], Created: k.Created}
				if k.ServiceAccountID != "" {
					key.OwnerType, key.OwnerID, key.OwnerName = "service_account", k.ServiceAccountID, k.ServiceAccountName
				}
				want.Keys = append(want.Keys, key)
			}
			got := *d.Snapshot().Organizations[0]
			admin := 0
			var keys []directory.Key
			for _, k := range got.Keys {
				if k.ProjectID == "" {
					admin++
					if k.Name == "exporter" && (k.Expires == 0 || k.OwnerType != "user" || k.OwnerID != sim.Users()[0].ID) {
						t.Errorf("admin key %+v", k)
					}
					continue
				}
				if k.LastUsed == 0 {
					t.Errorf("%s was never used", k.ID)
				}
				k.LastUsed = 0
				keys = append(keys, k)
			}
			got.Keys = keys
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("e-mail %v: names (-want +got):\n%s", emails, diff)
			}
			if admin != 2 {
				t.Errorf("%d admin keys, want 2", admin)
			}
			for _, name := range []string{fetcher.LookupProjects, fetcher.LookupUsers, fetcher.LookupAPIKeys} {
				if st := status(t, s, name); st.State != fetcher.StateOK || !st.Optional {
					t.Errorf("%s: %+v", name, st)
				}
			}
		})
	}
}

func TestANewNameShowsUpAtTheNextLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Options{})
		seen := &witness{}
		d, entry := known(t, false)
		schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, sim.Handler()), seen), Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute},
		})
		pass(time.Minute)
		sim.SetRenamed(map[string]string{sim.Projects()[0].ID: "Support Desk"})
		pass(11 * time.Minute)
		if p := d.Snapshot().Organizations[0].Projects[0]; p.Name != "Support Desk" {
			t.Errorf("an interval later it is %+v", p)
		}
	})
}

func TestAKeyThatMayNotLookUpStillReadsUsage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const fresh = "sk-admin-that-may-look-up"
		sim := simulator.New(simulator.Options{KeysWithoutManagement: []string{secret}})
		seen, key := &witness{}, &word{text: secret}
		d, entry := known(t, false)
		a := open(t, counts, options(t, "embeddings"), options(t, "completions"))
		s := schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, sim.Handler()), seen, func(o *fetcher.ClientOptions) { o.Key = key }),
			Endpoints: a.polled(t, time.Minute), Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute},
		})
		pass(2 * time.Hour)
		for _, p := range append(seen.of("embeddings"), seen.of("completions")...) {
			if p.err != nil {
				t.Fatalf("a poll of %s failed: %v", p.endpoint, p.err)
			}
		}
		if n := len(seen.of("embeddings")); n < 120 {
			t.Errorf("%d polls in two hours", n)
		}
		lines := append(seen.logged("level=warn"), seen.logged("level=error")...)
		if len(lines) != 1 || !strings.Contains(lines[0], "usage and costs go on without it") || !strings.Contains(lines[0], "lacks the scope api.management.read: create an admin key") {
			t.Errorf("the log does not name it once: %q", lines)
		}
		if st := status(t, s, fetcher.LookupProjects); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "api.management.read") {
			t.Errorf("status %+v", st)
		}
		if n := seen.count("projects 403"); n > 12 {
			t.Errorf("%d failed look-ups in two hours", n)
		}

		key.set(fresh, nil)
		pass(30 * time.Second)
		if o := d.Snapshot().Organizations[0]; len(o.Projects) == 0 || len(o.Users) == 0 || len(o.Keys) == 0 {
			t.Errorf("half a minute after the right key: %+v", o)
		}
	})
}

func TestNamesAreKeptWhileTheAPIIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Options{})
		outage := &switchable{}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !outage.serve(w, r) {
				sim.Handler().ServeHTTP(w, r)
			}
		})
		seen := &witness{}
		d, entry := known(t, false)
		schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, handler), seen), Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute},
		})
		pass(time.Minute)
		before := d.Snapshot()
		outage.set(says(503, "<html>down</html>"))
		pass(time.Hour)
		if seen.count("users 503") == 0 || d.Snapshot() != before {
			t.Errorf("%d failed look-ups have changed what is known", seen.count("users 503"))
		}
		outage.set(torn)
		pass(time.Hour)
		if seen.count("users body") == 0 || d.Snapshot() != before {
			t.Errorf("%d torn look-ups have changed what is known", seen.count("users body"))
		}
		outage.set(nil)
		sim.SetRenamed(map[string]string{sim.Projects()[0].ID: "Support Desk"})
		pass(2 * time.Hour)
		if p := d.Snapshot().Organizations[0].Projects[0]; p.Name != "Support Desk" {
			t.Errorf("after the outage it is %+v", p)
		}
	})
}

func TestOneProjectInTroubleHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Options{})
		sick, gone := sim.Projects()[1].ID, sim.Projects()[2].ID
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.Contains(r.URL.Path, sick+"/api_keys"):
				says(500, "")(w, r)
			case strings.Contains(r.URL.Path, gone+"/api_keys"):
				says(404, "")(w, r)
			default:
				sim.Handler().ServeHTTP(w, r)
			}
		})
		seen := &witness{}
		d, entry := known(t, false)
		s := schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, handler), seen), Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute},
		})
		pass(3 * time.Minute)
		have := map[string]int{}
		for _, k := range d.Snapshot().Organizations[0].Keys {
			have[k.ProjectID]++
		}
		for _, p := range sim.Projects() {
			if want := p.ID != sick && p.ID != gone; (have[p.ID] > 0) != want {
				t.Errorf("%s has %d keys", p.Name, have[p.ID])
			}
		}
		if st := status(t, s, fetcher.LookupAPIKeys); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "500") {
			t.Errorf("status %+v", st)
		}
	})
}

func TestAListIsReadToItsEndWithNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		pages := map[string]string{
			"":       `{"object":"list","data":[{"id":"user-1","name":"A"},{"id":"user-2","name":null}],"last_id":"user-2","has_more":true}`,
			"user-2": `{"object":"list","data":[{"id":"user-2","name":null},{"id":"user-3","name":"C","role":"owner","new":{"x":[1]}}],"has_more":true}`,
			"user-3": `{"object":"list","data":[{"name":"no id"},{"id":"user-4"}],"first_id":null,"last_id":null,"has_more":false}`,
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/organization/users" {
				says(404, "")(w, r)
				return
			}
			if limit := r.URL.Query().Get("limit"); limit != "100" {
				t.Errorf("limit %q", limit)
			}
			mu.Lock()
			page := pages[r.URL.Query().Get("after")]
			mu.Unlock()
			says(200, page)(w, r)
		})
		seen := &witness{}
		d, entry := known(t, false)
		s := schedule(t, seen, fetcher.Organization{
			Name: "acme", Client: client(t, serve(t, handler), seen), Lookups: fetcher.Lookups{Directory: entry, NamesInterval: 10 * time.Minute},
		})
		pass(time.Minute)
		want := []directory.User{{ID: "user-1", Name: "A"}, {ID: "user-2"}, {ID: "user-3", Name: "C", Role: "owner"}, {ID: "user-4"}}
		if diff := cmp.Diff(want, d.Snapshot().Organizations[0].Users); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		// A place that has usage but no look-ups, such as a gateway, is not in trouble.
		if st := status(t, s, fetcher.LookupProjects); st.State != fetcher.StateUnavailable {
			t.Errorf("status %+v", st)
		}

		mu.Lock()
		pages["user-3"] = `{"data":[{"id":"user-1"}],"last_id":"user-1","has_more":true}`
		mu.Unlock()
		pass(11 * time.Minute)
		if st := status(t, s, fetcher.LookupUsers); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "has_more is true, but the page has nothing new") {
			t.Errorf("a list that goes round in circles: %+v", st)
		}
	})
}
