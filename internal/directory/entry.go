package directory

import (
	"slices"
	"time"
)

// An Entry is where the look-ups of one organization go.
type Entry struct {
	directory    *Directory
	path         string
	saved        sum // guarded by the directory's saving
	unsaved      bool
	reduced      bool // by a configuration that is not saved yet; guarded by the directory's saving
	settings     Settings
	organization *Organization // replaced, never changed
	// projects are there without their names being kept, because limits are looked up by project.
	projects []Project
	listed   bool
}

// Projects are the projects known so far; listed is false before they were ever listed.
func (e *Entry) Projects() (projects []Project, listed bool) {
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

// SetKeyCosts replaces what each key has cost on the UTC day that begins at a time.
func (e *Entry) SetKeyCosts(day time.Time, costs []KeyCost) {
	e.change(func(o *Organization) bool {
		if o.CostDay.Equal(day) && slices.Equal(o.KeyCosts, costs) {
			return false
		}
		o.CostDay, o.KeyCosts = day, slices.Clone(costs)
		return true
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

// Save writes what has changed since the last time. What look-ups of other organizations have found is theirs to save: they
// may be half-way, and would be written once for each of their projects.
func (e *Entry) Save() error { return e.directory.save(func(o *Entry) bool { return o == e }) }

// change applies f to a copy, and publishes the copy where f says that it differs. An entry that is no longer
// configured changes nothing that is seen.
func (e *Entry) change(f func(*Organization) bool) {
	d := e.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	next := *e.organization
	if !f(&next) {
		return
	}
	e.organization, e.unsaved = &next, true
	if slices.Contains(d.entries, e) {
		d.publish()
	}
}
