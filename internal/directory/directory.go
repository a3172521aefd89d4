// Package directory keeps what ids mean and what is allowed: the projects, users, keys and limits of every organization,
// as they were last looked up. None of it is part of the books: what is lost here is read again.
package directory

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// A Project is a project of an organization.
type Project struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Status string `json:"status,omitempty"` // active or archived
	// Residency is where the project's data are kept and processed, in the API's words; empty where it does not say.
	Residency string `json:"residency,omitempty"`
}

// Archived says whether the project is out of use; its usage remains.
func (p Project) Archived() bool { return p.Status == "archived" }

// A User is a member of an organization.
type User struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"` // empty unless asked for
	Role  string `json:"role,omitempty"`
	// ServiceAccount is "true" or "false"; empty where the API does not say.
	ServiceAccount string `json:"service_account,omitempty"`
}

// A Key is an API key of a project, or an admin key, which has no project. Times are Unix seconds, 0 for never.
type Key struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	ProjectID string `json:"project_id,omitempty"`
	OwnerType string `json:"owner_type,omitempty"`
	OwnerID   string `json:"owner_id,omitempty"`
	OwnerName string `json:"owner_name,omitempty"` // of a user or a service account
	Created   int64  `json:"created_at,omitempty"`
	LastUsed  int64  `json:"last_used_at,omitempty"`
	Expires   int64  `json:"expires_at,omitempty"`
}

// A SpendLimit is what a project may spend in a month, or the organization, which has no project, in US dollars.
type SpendLimit struct {
	ProjectID string  `json:"project_id,omitempty"`
	USD       float64 `json:"usd"`
	// Enforcement is inactive, or enforcing while requests are refused; empty where the API says neither.
	Enforcement string `json:"enforcement,omitempty"`
	// Whole says that the amount is of the whole organization, of which only some projects are read.
	Whole bool `json:"-"`
}

// What a SpendLimit's Enforcement can be.
const (
	Inactive  = "inactive"
	Enforcing = "enforcing"
)

// A RateLimit is how fast a project may use a model. 0 is no limit.
type RateLimit struct {
	ProjectID         string
	Model             string
	TokensPerMinute   int64
	RequestsPerMinute int64
	// The rest is set for some models only.
	RequestsPerDay          int64
	ImagesPerMinute         int64
	AudioMegabytesPerMinute int64
	BatchInputTokensPerDay  int64
}

// An Organization is what is known of one organization. It is immutable. Everything is in the order of the API.
type Organization struct {
	Name     string    `json:"name"`
	Listed   bool      `json:"listed,omitempty"` // whether the projects were ever listed
	Projects []Project `json:"projects,omitempty"`
	Users    []User    `json:"users,omitempty"`
	Keys     []Key     `json:"keys,omitempty"`

	SpendLimits []SpendLimit `json:"spend_limits,omitempty"`
	// Only are the projects that the organization is confined to; none means all.
	Only []string `json:"-"`
	// Teams are those of the configuration, and Unowned is the name of the team of what belongs to none; it is empty where
	// there are no teams.
	Teams   []Team `json:"-"`
	Unowned string `json:"-"`
	// RateLimits are not saved: they are many, and of use only beside fresh usage.
	RateLimits []RateLimit `json:"-"`
}

// A Snapshot is all that is known at a moment. It is immutable, and another one as soon as anything changes.
type Snapshot struct{ Organizations []*Organization }

// Settings say what is kept of an organization.
type Settings struct {
	Organization string
	ProjectIDs   []string // the only projects that are kept; none means all
	Names        bool     // what is not kept is forgotten at once, on disk with the next Save
	UserEmails   bool
	Limits       bool
	Teams        []Team
	Unowned      string // the name of the team of what belongs to none
}

// A Directory is the names of all organizations.
type Directory struct {
	path    string
	current atomic.Pointer[Snapshot]

	mu      sync.Mutex
	entries []*Entry // in the order of the configuration
	stored  []*Organization
	unsaved bool
}

// Open reads what was saved in the directory dir. A file that can't be read is a warning: it begins empty then, and is
// full again after the next look-ups.
func Open(dir string, logger log.Logger) *Directory {
	d := &Directory{path: path(dir)}
	d.current.Store(&Snapshot{})
	var err error
	if d.stored, err = load(d.path); err != nil {
		level.Warn(logger).Log("msg", "The saved names can't be used and are looked up again", "path", d.path, "err", err)
	}
	return d
}

// Snapshot is what is known now. It does not block.
func (d *Directory) Snapshot() *Snapshot { return d.current.Load() }

// Configure makes these the organizations that are known, and returns an entry for each. One that was there before
// keeps its entry and what is known of it.
func (d *Directory) Configure(settings []Settings) []*Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.entries
	d.entries = make([]*Entry, len(settings))
	for i, s := range settings {
		named := func(name string) bool { return name == s.Organization }
		e := &Entry{directory: d, known: &Organization{Name: s.Organization}}
		if at := slices.IndexFunc(before, func(e *Entry) bool { return named(e.known.Name) }); at >= 0 {
			e = before[at]
		} else if at := slices.IndexFunc(d.stored, func(o *Organization) bool { return named(o.Name) }); at >= 0 {
			e.known = d.stored[at]
		}
		if e.settings = s; !e.listed {
			e.projects, e.listed = e.known.Projects, e.known.Listed
		}
		e.known = e.known.reduced(s)
		e.projects = s.own(e.projects)
		if s.Names {
			e.known.Projects, e.known.Listed = e.projects, e.listed
		}
		d.entries[i] = e
	}
	// From here on the entries are all there is.
	d.stored = nil
	d.publish()
	return d.entries
}

// keeps says whether anything of a project is kept. What is the organization's own has no project.
func (s Settings) keeps(projectID string) bool {
	return len(s.ProjectIDs) == 0 || projectID == "" || slices.Contains(s.ProjectIDs, projectID)
}

// own are the projects that are kept.
func (s Settings) own(projects []Project) []Project {
	return slices.DeleteFunc(slices.Clone(projects), func(p Project) bool { return !s.keeps(p.ID) })
}

// reduced is a copy of the organization without what its settings don't keep.
func (o *Organization) reduced(s Settings) *Organization {
	r := *o
	r.Only, r.Teams, r.Unowned = s.ProjectIDs, s.Teams, s.Unowned
	if !s.Names {
		r.Listed, r.Projects, r.Users, r.Keys = false, nil, nil, nil
	}
	if !s.Limits {
		r.SpendLimits, r.RateLimits = nil, nil
	}
	r.Keys = slices.DeleteFunc(slices.Clone(r.Keys), func(k Key) bool { return !s.keeps(k.ProjectID) })
	r.SpendLimits = slices.DeleteFunc(slices.Clone(r.SpendLimits), func(l SpendLimit) bool { return !s.keeps(l.ProjectID) })
	r.RateLimits = slices.DeleteFunc(slices.Clone(r.RateLimits), func(l RateLimit) bool { return !s.keeps(l.ProjectID) })
	for i, l := range r.SpendLimits {
		r.SpendLimits[i].Whole = l.ProjectID == "" && len(s.ProjectIDs) > 0
	}
	if !s.UserEmails {
		r.Users = slices.Clone(r.Users)
		for i := range r.Users {
			r.Users[i].Email = ""
		}
	}
	return &r
}

// publish makes the entries' present state the snapshot.
func (d *Directory) publish() {
	s := &Snapshot{Organizations: make([]*Organization, len(d.entries))}
	for i, e := range d.entries {
		s.Organizations[i] = e.known
	}
	d.current.Store(s)
	d.unsaved = true
}

// Save writes what has changed since the last time.
func (d *Directory) Save() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.unsaved {
		return nil
	}
	if err := save(d.path, d.current.Load().Organizations); err != nil {
		return err
	}
	d.unsaved = false
	return nil
}

// An Entry is where the look-ups of one organization go.
type Entry struct {
	directory *Directory
	settings  Settings
	known     *Organization // replaced, never changed
	// projects are there without their names being kept, because limits are looked up by project.
	projects []Project
	listed   bool
}

// Projects are the projects known so far; known is false before they were ever listed.
func (e *Entry) Projects() (projects []Project, known bool) {
	e.directory.mu.Lock()
	defer e.directory.mu.Unlock()
	return e.projects, e.listed
}

// SetProjects replaces the projects, and forgets the keys and limits of those that are gone. Those of archived projects
// are no longer limited by anything but being archived.
func (e *Entry) SetProjects(projects []Project) {
	e.change(func(o *Organization) bool {
		projects := e.settings.own(projects)
		if e.listed && slices.Equal(e.projects, projects) {
			return false
		}
		e.listed, e.projects = true, projects
		if e.settings.Names {
			o.Listed, o.Projects = true, e.projects
		}
		there, active := map[string]bool{"": true}, map[string]bool{"": true}
		for _, p := range projects {
			there[p.ID], active[p.ID] = true, !p.Archived()
		}
		o.Keys = slices.DeleteFunc(slices.Clone(o.Keys), func(k Key) bool { return !there[k.ProjectID] })
		o.SpendLimits = slices.DeleteFunc(slices.Clone(o.SpendLimits), func(l SpendLimit) bool { return !active[l.ProjectID] })
		o.RateLimits = slices.DeleteFunc(slices.Clone(o.RateLimits), func(l RateLimit) bool { return !active[l.ProjectID] })
		return true
	})
}

// SetUsers replaces the users.
func (e *Entry) SetUsers(users []User) {
	e.change(func(o *Organization) bool {
		if slices.Equal(o.Users, users) {
			return false
		}
		o.Users = slices.Clone(users)
		return true
	})
}

// SetKeys replaces the keys of one project, or the admin keys for "".
func (e *Entry) SetKeys(projectID string, keys []Key) {
	e.change(func(o *Organization) bool {
		return replace(&o.Keys, keys, func(k *Key) bool { return k.ProjectID == projectID })
	})
}

// SetSpendLimit replaces the limit of one project, or the organization's for "".
func (e *Entry) SetSpendLimit(limit SpendLimit) { e.setSpendLimits(limit.ProjectID, limit) }

// DropSpendLimit forgets the limit of one project, or the organization's for "", where none is set any more.
func (e *Entry) DropSpendLimit(projectID string) { e.setSpendLimits(projectID) }

func (e *Entry) setSpendLimits(projectID string, limits ...SpendLimit) {
	e.change(func(o *Organization) bool {
		for i := range limits {
			limits[i].Whole = projectID == "" && len(e.settings.ProjectIDs) > 0
		}
		return replace(&o.SpendLimits, limits, func(l *SpendLimit) bool { return l.ProjectID == projectID })
	})
}

// SetRateLimits replaces the limits of one project.
func (e *Entry) SetRateLimits(projectID string, limits []RateLimit) {
	e.change(func(o *Organization) bool {
		return replace(&o.RateLimits, limits, func(l *RateLimit) bool { return l.ProjectID == projectID })
	})
}

// replace puts those in place of the ones that are of the same project, and says whether they differ. The old slice
// stays as it is, because snapshots share it.
func replace[T comparable](all *[]T, these []T, same func(*T) bool) bool {
	var own, others []T
	for i := range *all {
		if t := &(*all)[i]; same(t) {
			own = append(own, *t)
		} else {
			others = append(others, *t)
		}
	}
	if slices.Equal(own, these) {
		return false
	}
	*all = slices.Concat(others, these)
	return true
}

// Save writes what has changed since the last time.
func (e *Entry) Save() error { return e.directory.Save() }

// change applies f to a copy, and publishes the copy where f says that it differs. An entry that is no longer
// configured changes nothing that is seen.
func (e *Entry) change(f func(*Organization) bool) {
	d := e.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	next := *e.known
	if !f(&next) {
		return
	}
	e.known = &next
	if slices.Contains(d.entries, e) {
		d.publish()
	}
}
