package directory

import "slices"

// A Team is who pays for some projects, as the configuration says.
type Team struct {
	Name       string
	ProjectIDs []string
	Labels     []Label // in the order of their names
}

// A Label is a label of a team.
type Label struct{ Name, Value string }

// Owners are the teams by project. What has no team belongs to Unowned.
type Owners struct {
	teams   map[string]*Team
	unowned *Team
}

// Owners returns who owns which project.
func (o *Organization) Owners() Owners {
	out := Owners{teams: make(map[string]*Team), unowned: &Team{Name: o.Unowned}}
	for i := range o.Teams {
		for _, id := range o.Teams[i].ProjectIDs {
			out.teams[id] = &o.Teams[i]
		}
	}
	return out
}

// Of returns the team that owns a project. Where there are no teams at all it has no name.
func (o Owners) Of(projectID string) *Team {
	if t, ok := o.teams[projectID]; ok {
		return t
	}
	return o.unowned
}

// Named are the projects that are known: those that were looked up, then those that only a team names.
func (o *Organization) Named() []Project {
	out := slices.Clone(o.Projects)
	known := make(map[string]bool, len(out))
	for _, p := range out {
		known[p.ID] = true
	}
	for _, t := range o.Teams {
		for _, id := range t.ProjectIDs {
			if !known[id] {
				known[id] = true
				out = append(out, Project{ID: id})
			}
		}
	}
	return out
}
