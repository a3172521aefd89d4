package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Unallocated is the team of what belongs to none.
const Unallocated = "unallocated"

// A Team is who pays for some projects of an organization.
type Team struct {
	Name string
	// Organization is whose projects they are. Of a Valid it is never empty.
	Organization string
	// ProjectIDs are its projects, each of which belongs to no other team.
	ProjectIDs []string
	Labels     Labels
}

// Labels are labels of a metric, without the prefix that they get there.
type Labels map[string]string

func (t Team) equal(other Team) bool {
	return t.Name == other.Name && t.Organization == other.Organization && slices.Equal(t.ProjectIDs, other.ProjectIDs) && maps.Equal(t.Labels, other.Labels)
}

// Teams returns the teams in the order they were written.
func (v *Valid) Teams() []Team {
	out := slices.Clone(v.config.Teams)
	for i := range out {
		out[i].ProjectIDs, out[i].Labels = slices.Clone(out[i].ProjectIDs), maps.Clone(out[i].Labels)
	}
	return out
}

// Team returns the team of that name in an organization.
func (v *Valid) Team(organization, name string) (Team, bool) {
	return v.config.team(organization, name)
}

// team is Team of a configuration whose teams have been checked.
func (c *Config) team(organization, name string) (Team, bool) {
	for _, t := range c.Teams {
		if t.Organization == organization && t.Name == name {
			return t, true
		}
	}
	return Team{}, false
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (c *Config) checkTeams(s *source) {
	type key struct{ organization, name string }
	names, owners := make(map[key]int), make(map[key]int)
	for i := range c.Teams {
		t := &c.Teams[i]
		path := fmt.Sprintf("teams[%d]", i)
		if s.bad[path] || s.bad["teams"] {
			continue
		}
		t.ProjectIDs, t.Labels = slices.Clone(t.ProjectIDs), maps.Clone(t.Labels)
		c.checkOrganization(s, &t.Organization, path, "a team")
		name := []string{path + ".name", path}
		if text := badName(t.Name); text != "" {
			if t.Name == "" && !s.set(name[0]) {
				text = "is missing: a team needs a name"
			}
			s.wrong(name, "%s", text)
		} else if t.Name == Unallocated {
			s.wrong(name, "%q is the team of projects without a team: choose another name", t.Name)
		} else if first, twice := names[key{t.Organization, t.Name}]; twice {
			s.wrong(name, "%q is also the name of teams[%d]", t.Name, first)
		} else {
			names[key{t.Organization, t.Name}] = i
		}
		projects := path + ".project_ids"
		if len(t.ProjectIDs) == 0 {
			s.wrong([]string{projects, path}, "is missing: a team needs projects")
		}
		for j, id := range t.ProjectIDs {
			if first, twice := owners[key{t.Organization, id}]; twice && first != i {
				one := fmt.Sprintf("%s[%d]", projects, j)
				s.at(s.line(one), "%s: %q belongs to the team %q already (line %d): a project has one team", projects, shorten(id), shorten(c.Teams[first].Name), s.line(fmt.Sprintf("teams[%d]", first)))
				continue
			}
			owners[key{t.Organization, id}] = i
		}
		c.checkProjects(s, t.Organization, projects, t.ProjectIDs)
		for _, label := range slices.Sorted(maps.Keys(t.Labels)) {
			if !labelName.MatchString(label) {
				s.wrong([]string{join(path+".labels", shorten(label))}, "a label's name has only letters, digits and _, and does not begin with a digit")
			}
		}
	}
}

// checkOrganization fills in the only organization. Among several, guessing would take the wrong bill. What needs it is
// named in the message.
func (c *Config) checkOrganization(s *source, organization *string, path, what string) {
	paths := []string{path + ".organization", path}
	if s.bad["organizations"] {
		return
	}
	var names []string
	for i, o := range c.Organizations {
		if s.bad[fmt.Sprintf("organizations[%d]", i)] || s.bad[fmt.Sprintf("organizations[%d].name", i)] {
			return // The list of what is allowed would be wrong.
		}
		if o.Name != "" && !slices.Contains(names, o.Name) {
			names = append(names, o.Name)
		}
	}
	switch {
	case len(names) == 0: // They are what is wrong.
	case *organization == "" && !s.set(paths[0]) && len(c.Organizations) == 1:
		*organization = c.Organizations[0].Name
	case *organization == "" && !s.set(paths[0]):
		s.wrong(paths, "is missing: with several organizations %s must name one; allowed: %s", what, strings.Join(names, ", "))
	case !slices.Contains(names, *organization):
		s.wrong(paths, "there is no organization %q%s", shorten(*organization), allowed(*organization, names))
	}
}

// labels reads texts by the name of the label.
func (s *source) labels(n *yaml.Node, path string, target *Labels) {
	s.each(n, path, func(name, value *yaml.Node) {
		full := join(path, shorten(name.Value))
		s.lines[full] = name.Line
		value = resolve(value)
		switch {
		case value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str":
			s.unreadable(full, value.Line, "must be a string (in quotes where it looks like something else), not %s", describe(value, false))
			return
		case value.Value == "":
			s.unreadable(full, value.Line, "is empty")
			return
		case len(value.Value) > maxName:
			s.unreadable(full, value.Line, "is longer than %d bytes", maxName)
			return
		}
		if *target == nil {
			*target = make(Labels)
		}
		(*target)[name.Value] = value.Value
	})
}

// labelsNode writes labels in the order of their names.
func labelsNode(l Labels) *yaml.Node {
	if len(l) == 0 {
		return nil
	}
	out := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		out.Content = append(out.Content, textNode(name), textNode(l[name]))
	}
	return out
}

// A Mention is a project id in the configuration, and where it stands.
type Mention struct{ ID, Where string }

// Mentions are the project ids that the configuration has of an organization, with their lines.
func (v *Valid) Mentions(organization string) []Mention {
	var out []Mention
	add := func(path string, ids []string) {
		s := v.config.source
		for i, id := range ids {
			place := Problem{File: s.file, Line: s.line(fmt.Sprintf("%s[%d]", path, i)), Message: path}
			out = append(out, Mention{ID: id, Where: strings.TrimPrefix(place.String(), ": ")})
		}
	}
	for i, o := range v.config.Organizations {
		if o.Name == organization {
			add(fmt.Sprintf("organizations[%d].project_ids", i), o.ProjectIDs)
		}
	}
	for i, t := range v.config.Teams {
		if t.Organization == organization {
			add(fmt.Sprintf("teams[%d].project_ids", i), t.ProjectIDs)
		}
	}
	for i, b := range v.config.Budgets {
		if b.Organization == organization {
			add(fmt.Sprintf("budgets[%d].project_ids", i), b.ProjectIDs)
		}
	}
	return out
}
