package directory_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/directory"
)

var everything = directory.Settings{Organization: "acme", Names: true, UserEmails: true, Limits: true}

// fill opens the directory in dir and gives one organization names of every kind.
func fill(t *testing.T, dir string) *directory.Directory {
	t.Helper()
	d := directory.Open(dir, log.NewNopLogger())
	e := d.Configure([]directory.Settings{everything})[0]
	e.SetProjects([]directory.Project{{ID: "proj_1", Name: "Search", Status: "active"}, {ID: "proj_2", Name: "Old", Status: "archived"}})
	e.SetUsers([]directory.User{{ID: "user-1", Name: "Aiko", Email: "aiko@example.com", Role: "owner"}})
	e.SetKeys("proj_1", []directory.Key{{ID: "key_1", Name: "production", ProjectID: "proj_1", OwnerType: "user", OwnerID: "user-1", LastUsed: 1700000000}})
	e.SetKeys("", []directory.Key{{ID: "key_2", Name: "exporter", Expires: 1800000000}})
	e.SetSpendLimit(directory.SpendLimit{USD: 25_000, Enforcement: directory.Inactive})
	e.SetSpendLimit(directory.SpendLimit{ProjectID: "proj_1", USD: 400.5, Enforcement: directory.Enforcing})
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNamesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	before := fill(t, dir).Snapshot()
	d := directory.Open(dir, log.NewNopLogger())
	e := d.Configure([]directory.Settings{everything})[0]
	if diff := cmp.Diff(before, d.Snapshot()); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
	if projects, known := e.Projects(); !known || len(projects) != 2 || projects[0].Archived() || !projects[1].Archived() {
		t.Errorf("projects %v, known %v", projects, known)
	}
	info, err := os.Stat(directory.Path(dir, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("others may read the file: mode %o", mode)
	}
}

func TestADamagedFileIsAWarningAndFilledAgain(t *testing.T) {
	whole := t.TempDir()
	fill(t, whole)
	good, err := os.ReadFile(directory.Path(whole, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty":             "",
		"torn":              string(good[:len(good)/2]),
		"zeros":             string(make([]byte, 4096)),
		"not JSON":          "names",
		"another version":   `{"version":3,"organization":{"name":"acme"}}`,
		"no version":        `{"organization":{"name":"acme"}}`,
		"another type":      `{"version":2,"organization":"acme"}`,
		"null organization": `{"version":2,"organization":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "names"), 0o700), os.WriteFile(directory.Path(dir, "acme"), []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
			var logged bytes.Buffer
			d := directory.Open(dir, log.NewLogfmtLogger(&logged))
			d.Configure([]directory.Settings{everything})
			if n := strings.Count(logged.String(), "level=warn"); n != 1 {
				t.Errorf("%d warnings:\n%s", n, logged.String())
			}
			if o := d.Snapshot().Organizations[0]; o.Listed || len(o.Projects)+len(o.Users)+len(o.Keys) != 0 {
				t.Errorf("it begins with %+v", o)
			}
			after := fill(t, dir).Snapshot()
			d = directory.Open(dir, log.NewNopLogger())
			d.Configure([]directory.Settings{everything})
			if diff := cmp.Diff(after, d.Snapshot()); diff != "" {
				t.Errorf("saved again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmailsThatNobodyAskedForAreForgottenOnDiskToo(t *testing.T) {
	dir := t.TempDir()
	d := fill(t, dir)
	d.Configure([]directory.Settings{{Organization: "acme", Names: true}})
	if u := d.Snapshot().Organizations[0].Users[0]; u.Email != "" || u.Name != "Aiko" {
		t.Errorf("user %+v", u)
	}
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(directory.Path(dir, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("aiko@")) || !bytes.Contains(b, []byte("Aiko")) {
		t.Errorf("on disk: %s", b)
	}
}

func TestNamesThatAreSwitchedOffAreGone(t *testing.T) {
	d := fill(t, t.TempDir())
	d.Configure([]directory.Settings{{Organization: "acme"}})
	if diff := cmp.Diff(&directory.Organization{Name: "acme"}, d.Snapshot().Organizations[0]); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestLimitsCanBeKeptWithoutNames(t *testing.T) {
	dir := t.TempDir()
	d := fill(t, dir)
	e := d.Configure([]directory.Settings{{Organization: "acme", Limits: true}})[0]
	want := []directory.SpendLimit{{USD: 25_000, Enforcement: directory.Inactive}, {ProjectID: "proj_1", USD: 400.5, Enforcement: directory.Enforcing}}
	if diff := cmp.Diff(&directory.Organization{Name: "acme", SpendLimits: want}, d.Snapshot().Organizations[0]); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	// The projects must be known to be asked about.
	if projects, known := e.Projects(); !known || len(projects) != 2 {
		t.Errorf("projects %v, known %v", projects, known)
	}
	e.SetProjects([]directory.Project{{ID: "proj_3", Name: "Secret"}})
	if o := d.Snapshot().Organizations[0]; len(o.Projects) != 0 {
		t.Errorf("names are switched off, but there is %v", o.Projects)
	}
	d.Configure([]directory.Settings{everything})
	if o := d.Snapshot().Organizations[0]; len(o.Projects) != 1 || !o.Listed {
		t.Errorf("names are switched on again, but there is %v", o.Projects)
	}
}

func TestLimitsEndWithWhatTheyLimit(t *testing.T) {
	d := fill(t, t.TempDir())
	e := d.Configure([]directory.Settings{everything})[0]
	e.SetRateLimits("proj_1", []directory.RateLimit{{ProjectID: "proj_1", Model: "gpt-5", TokensPerMinute: 1000}})
	e.DropSpendLimit("")
	e.SetProjects([]directory.Project{{ID: "proj_1", Name: "Search", Status: "archived"}})
	o := d.Snapshot().Organizations[0]
	if len(o.SpendLimits)+len(o.RateLimits) != 0 {
		t.Errorf("limits that no longer hold: %v %v", o.SpendLimits, o.RateLimits)
	}
	if len(o.Keys) != 2 {
		t.Errorf("the keys of an archived project are gone: %v", o.Keys)
	}
}

func TestAReloadKeepsTheNamesOfOrganizationsThatStay(t *testing.T) {
	d := fill(t, t.TempDir())
	before := d.Snapshot().Organizations[0]
	entries := d.Configure([]directory.Settings{{Organization: "umbrella", Names: true}, everything})
	s := d.Snapshot()
	if len(s.Organizations) != 2 || s.Organizations[0].Name != "umbrella" {
		t.Fatalf("organizations %v", s.Organizations)
	}
	if diff := cmp.Diff(before, s.Organizations[1]); diff != "" {
		t.Errorf("acme (-before +after):\n%s", diff)
	}
	d.Configure([]directory.Settings{everything})
	// A look-up that was under way when its organization went away must not bring it back.
	entries[0].SetUsers([]directory.User{{ID: "user-9"}})
	if s := d.Snapshot(); len(s.Organizations) != 1 || s.Organizations[0].Name != "acme" {
		t.Errorf("organizations %v", s.Organizations)
	}
}

func TestASnapshotChangesOnlyWithWhatIsKnown(t *testing.T) {
	d := fill(t, t.TempDir())
	e := d.Configure([]directory.Settings{everything})[0]
	before := d.Snapshot()
	known := *before.Organizations[0]
	e.SetProjects(known.Projects)
	e.SetUsers(known.Users)
	e.SetKeys("proj_1", known.Keys[:1])
	if d.Snapshot() != before {
		t.Error("the same names again make another snapshot")
	}
	e.SetProjects(known.Projects[1:])
	after := d.Snapshot()
	if after == before || len(before.Organizations[0].Projects) != 2 {
		t.Error("the old snapshot has changed")
	}
	if keys := after.Organizations[0].Keys; len(keys) != 1 || keys[0].ID != "key_2" {
		t.Errorf("the keys of the project that is gone are still there: %v", keys)
	}
}

func TestADirectoryThatCanNotBeWrittenSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	d := directory.Open(dir, log.NewNopLogger())
	e := d.Configure([]directory.Settings{everything})[0]
	e.SetUsers([]directory.User{{ID: "user-1"}})
	for range 2 { // What was not saved is still to be saved.
		if err := e.Save(); err == nil || !strings.Contains(err.Error(), "save names") {
			t.Errorf("error = %v", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.Save(); err != nil {
		t.Error(err)
	}
	d = directory.Open(dir, log.NewNopLogger())
	d.Configure([]directory.Settings{everything})
	if n := len(d.Snapshot().Organizations[0].Users); n != 1 {
		t.Errorf("%d users were saved", n)
	}
}

func TestWhatIsNotOfTheChosenProjectsIsForgottenAndNotTakenUp(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	only := everything
	only.ProjectIDs = []string{"proj_2"}
	d := directory.Open(dir, log.NewNopLogger())
	e := d.Configure([]directory.Settings{only})[0]
	for _, when := range []string{"after the restart", "after a look-up"} {
		o := d.Snapshot().Organizations[0]
		if len(o.Projects) != 1 || o.Projects[0].ID != "proj_2" || len(o.Keys) != 1 || o.Keys[0].ID != "key_2" {
			t.Errorf("%s: projects %v, keys %v", when, o.Projects, o.Keys)
		}
		if len(o.SpendLimits) != 1 || !o.SpendLimits[0].Whole {
			t.Errorf("%s: spend limits %v", when, o.SpendLimits)
		}
		if projects, _ := e.Projects(); len(projects) != 1 {
			t.Errorf("%s: %v would be looked up", when, projects)
		}
		e.SetProjects([]directory.Project{{ID: "proj_1", Name: "Search"}, {ID: "proj_2", Name: "Old", Status: "archived"}})
		e.SetSpendLimit(directory.SpendLimit{USD: 25_000})
	}
	// Without the choice there is all of it again.
	e = d.Configure([]directory.Settings{everything})[0]
	e.SetProjects([]directory.Project{{ID: "proj_1", Name: "Search"}, {ID: "proj_2", Name: "Old", Status: "archived"}})
	if o := d.Snapshot().Organizations[0]; len(o.Projects) != 2 || o.SpendLimits[0].Whole {
		t.Errorf("projects %v, spend limits %v", o.Projects, o.SpendLimits)
	}
}

// former is what version 1 kept of two organizations, in one file.
const former = `{"version":1,"organizations":[
	{"name":"acme","listed":true,"projects":[{"id":"proj_1","name":"Search","status":"active"}],"users":[{"id":"user-1","name":"Aiko","role":"owner"}]},
	{"name":"umbrella","listed":true,"projects":[{"id":"proj_9","name":"Hive","status":"active"}]}]}`

// TestTheOneFileOfVersion1IsTakenOver into one of each organization, and goes when all of them are there.
func TestTheOneFileOfVersion1IsTakenOver(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "names.json")
	if err := os.WriteFile(old, []byte(former), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := []directory.Settings{everything, {Organization: "umbrella", Names: true}}
	first := directory.Open(dir, log.NewNopLogger())
	first.Configure(settings)
	before := first.Snapshot()
	if n := before.Organizations[1].Projects; len(n) != 1 || n[0].Name != "Hive" || before.Organizations[0].Users[0].Name != "Aiko" {
		t.Fatalf("taken over: %+v %+v", before.Organizations[0], before.Organizations[1])
	}
	if err := first.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of version 1 is still there: %v", err)
	}
	d := directory.Open(dir, log.NewNopLogger())
	d.Configure(settings)
	if diff := cmp.Diff(before, d.Snapshot()); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
}

func TestADamagedFileOfVersion1IsAWarning(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "names.json"), []byte(former[:100]), 0o600); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	d := directory.Open(dir, log.NewLogfmtLogger(&logged))
	d.Configure([]directory.Settings{everything})
	if n := strings.Count(logged.String(), "level=warn"); n != 1 || d.Snapshot().Organizations[0].Listed {
		t.Errorf("%d warnings:\n%s", n, logged.String())
	}
}

// TestALookUpWritesItsOwnOrganizationAlone, and only what differs from what is on disk.
func TestALookUpWritesItsOwnOrganizationAlone(t *testing.T) {
	dir := t.TempDir()
	d := directory.Open(dir, log.NewNopLogger())
	umbrella := directory.Settings{Organization: "umbrella", Names: true}
	entries := d.Configure([]directory.Settings{everything, umbrella})
	written := func(organization string) os.FileInfo {
		t.Helper()
		info, err := os.Stat(directory.Path(dir, organization))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	save := func(e *directory.Entry) {
		t.Helper()
		if err := e.Save(); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries {
		e.SetUsers([]directory.User{{ID: "user-1"}})
		save(e)
	}
	acme, other := written("acme"), written("umbrella")
	entries[0].SetUsers([]directory.User{{ID: "user-2"}})
	save(entries[0])
	if os.SameFile(acme, written("acme")) || !os.SameFile(other, written("umbrella")) {
		t.Error("not the file of the organization alone was written")
	}
	acme = written("acme")
	entries[0].SetRateLimits("proj_1", []directory.RateLimit{{ProjectID: "proj_1", Model: "gpt-5", TokensPerMinute: 1}})
	save(entries[0])
	d = directory.Open(dir, log.NewNopLogger())
	save(d.Configure([]directory.Settings{everything, umbrella})[0])
	if !os.SameFile(acme, written("acme")) {
		t.Error("what is on disk was written again")
	}
	save(d.Configure([]directory.Settings{everything})[0])
	if _, err := os.Stat(directory.Path(dir, "umbrella")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an organization that is not configured any more is still on disk: %v", err)
	}
}

// TestALookUpThatIsHalfWayIsNotWrittenByOthers: with many organizations somebody saves all the time.
func TestALookUpThatIsHalfWayIsNotWrittenByOthers(t *testing.T) {
	dir := t.TempDir()
	d := directory.Open(dir, log.NewNopLogger())
	entries := d.Configure([]directory.Settings{everything, {Organization: "umbrella", Names: true}})
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	entries[0].SetUsers([]directory.User{{ID: "user-1"}})
	for range 2 {
		if err := entries[1].Save(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(directory.Path(dir, "acme")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("another look-up has saved what this one has found so far: %v", err)
		}
	}
	if err := entries[0].Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(directory.Path(dir, "acme")); err != nil {
		t.Error(err)
	}
}

// TestWhatAConfigurationTakesAwayGoesWithTheNextLookUp of whichever organization.
func TestWhatAConfigurationTakesAwayGoesWithTheNextLookUp(t *testing.T) {
	dir := t.TempDir()
	d := fill(t, dir)
	entries := d.Configure([]directory.Settings{{Organization: "acme", Names: true}, {Organization: "umbrella", Names: true}})
	if err := entries[1].Save(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(directory.Path(dir, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("aiko@")) {
		t.Errorf("on disk: %s", b)
	}
}
