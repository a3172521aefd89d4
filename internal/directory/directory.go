// Package directory keeps what ids mean and what is allowed: the projects, users, keys and limits of every organization,
// as they were last looked up. None of it is part of the books: what is lost here is read again.
package directory

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

// A KeyCost is what an API key has cost on a day, in US dollars as a decimal number. What has no key is under "".
type KeyCost struct{ KeyID, USD string }

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
	// KeyCosts are those of the UTC day that begins at CostDay, in the order of the API. They are not saved: a day is short.
	KeyCosts []KeyCost `json:"-"`
	CostDay  time.Time `json:"-"`
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
	dir     string
	logger  log.Logger
	current atomic.Pointer[Snapshot]

	mu      sync.Mutex
	entries []*Entry        // in the order of the configuration
	former  []*Organization // of the file of version 1

	saving sync.Mutex
	tidy   bool // nothing is on disk of others than the entries; guarded by saving
}

// Open reads what was saved in the directory dir by version 1, if anything. What can't be read is a warning: it begins
// empty then, and is full again after the next look-ups.
func Open(dir string, logger log.Logger) *Directory {
	d := &Directory{dir: dir, logger: logger}
	d.current.Store(&Snapshot{})
	path := filepath.Join(dir, formerName)
	var err error
	if d.former, err = loadFormer(path); err != nil {
		d.warn(path, err)
	}
	return d
}

func (d *Directory) warn(path string, err error) {
	level.Warn(d.logger).Log("msg", "The saved names can't be used and are looked up again", "path", path, "err", err)
}

// Snapshot is what is known now. It does not block.
func (d *Directory) Snapshot() *Snapshot { return d.current.Load() }

// Configure makes these the organizations that are known, and returns an entry for each. One that was there before
// keeps its entry and what is known of it.
func (d *Directory) Configure(settings []Settings) []*Entry {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	before := make(map[string]*Entry, len(d.entries))
	for _, e := range d.entries {
		before[e.organization.Name] = e
	}
	d.entries = make([]*Entry, len(settings))
	for i, s := range settings {
		e := before[s.Organization]
		if e == nil {
			e = d.open(s.Organization)
		}
		if e.settings = s; !e.listed {
			e.projects, e.listed = e.organization.Projects, e.organization.Listed
		}
		e.organization = e.organization.reduced(s)
		e.projects = s.own(e.projects)
		if s.Names {
			e.organization.Projects, e.organization.Listed = e.projects, e.listed
		}
		e.unsaved, e.reduced = true, true
		d.entries[i] = e
	}
	// From here on the entries are all there is.
	d.former, d.tidy = nil, false
	d.publish()
	return d.entries
}

// open makes an entry of what was saved of an organization.
func (d *Directory) open(organization string) *Entry {
	e := &Entry{directory: d, path: Path(d.dir, organization), organization: &Organization{Name: organization}}
	e.saved = sumOf(e.organization)
	o, err := load(e.path)
	switch {
	case err != nil:
		d.warn(e.path, err)
		e.saved = sum{}
	case o != nil && o.Name == organization:
		e.organization, e.saved = o, sumOf(o)
	default:
		if i := slices.IndexFunc(d.former, func(o *Organization) bool { return o.Name == organization }); i >= 0 {
			e.organization = d.former[i]
		}
	}
	return e
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
		r.KeyCosts = nil
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
		s.Organizations[i] = e.organization
	}
	d.current.Store(s)
}

// A sum tells what was saved from what is to be saved.
type sum [sha256.Size]byte

func sumOf(o *Organization) sum {
	b, err := encode(o)
	if err != nil {
		return sum{} // Who saves it is told.
	}
	return sha256.Sum256(b)
}

// Save writes what has changed since the last time.
func (d *Directory) Save() error { return d.save(func(*Entry) bool { return true }) }

// save writes what has changed of some entries, and of those that a configuration may have taken something from.
func (d *Directory) save(some func(*Entry) bool) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	var unsaved []*Entry
	var organizations []*Organization
	wanted := make(map[string]bool, len(d.entries))
	for _, e := range d.entries {
		wanted[e.path] = true
		if e.unsaved && (e.reduced || some(e)) {
			unsaved, organizations = append(unsaved, e), append(organizations, e.organization)
			e.unsaved = false
		}
	}
	d.mu.Unlock()
	for i, e := range unsaved {
		if err := e.write(organizations[i]); err != nil {
			d.mu.Lock()
			for _, e := range unsaved[i:] {
				e.unsaved = true
			}
			d.mu.Unlock()
			return fmt.Errorf("save names: %w", err)
		}
		e.reduced = false
	}
	if d.tidy {
		return nil
	}
	if err := discard(d.dir, wanted); err != nil {
		return fmt.Errorf("remove names that are no longer kept: %w", err)
	}
	d.tidy = true
	return nil
}

// write writes an organization, unless what is saved of it is that.
func (e *Entry) write(o *Organization) error {
	b, err := encode(o)
	if err != nil {
		return err
	}
	now := sum(sha256.Sum256(b))
	if now == e.saved {
		return nil
	}
	if err := save(e.path, b); err != nil {
		return err
	}
	e.saved = now
	return nil
}
