package exporter

import (
	"cmp"
	"slices"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/directory"
)

// teams are the teams of an organization as the directory keeps them, and the team of what belongs to none. Without any
// team in the configuration there is none of either.
func teams(valid *config.Valid, organization string) (owned []directory.Team, unowned string) {
	for _, t := range valid.Teams() {
		unowned = config.Unallocated
		if t.Organization != organization {
			continue
		}
		team := directory.Team{Name: t.Name, ProjectIDs: t.ProjectIDs}
		for name, value := range t.Labels {
			team.Labels = append(team.Labels, directory.Label{Name: name, Value: value})
		}
		slices.SortFunc(team.Labels, func(a, b directory.Label) int { return cmp.Compare(a.Name, b.Name) })
		owned = append(owned, team)
	}
	return owned, unowned
}

// unknownProjects names, once each, the project ids of the configuration that the organization does not have, now that its
// projects were looked up. A mistyped one has no usage and no costs, and nothing else says so.
func (e *exporter) unknownProjects(organization string) {
	p := e.current.Load()
	if p == nil {
		return
	}
	entry, ok := p.entries[organization]
	if !ok {
		return
	}
	projects, listed := entry.Projects()
	if !listed {
		return
	}
	for _, m := range p.config.Mentions(organization) {
		if slices.ContainsFunc(projects, func(p directory.Project) bool { return p.ID == m.ID }) {
			continue
		}
		if _, said := e.warnedProjects.LoadOrStore(m, true); !said {
			level.Warn(e.logger).Log("msg", "The organization has no project with this id, so it has no usage and no costs: correct the id", "organization", organization, "project_id", m.ID, "at", m.Where)
		}
	}
}
