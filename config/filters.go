package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// filters reads the values of filters by the API's names for them. Whether the endpoint knows them is checked later.
func (s *source) filters(n *yaml.Node, path string, target *api.Filters) {
	s.each(n, path, func(name, value *yaml.Node) {
		full := join(path, shorten(name.Value))
		s.lines[full] = name.Line
		var values []string
		if name.Value == api.FilterBatch {
			value = resolve(value)
			if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!bool" {
				s.unreadable(full, value.Line, "must be true or false, not %s", describe(value, false))
				return
			}
			values = []string{strings.ToLower(value.Value)}
		} else {
			var ok bool
			if values, ok = s.texts(resolve(value), full, false); !ok {
				return
			}
		}
		if *target == nil {
			*target = make(api.Filters)
		}
		(*target)[name.Value] = values
	})
}

// checkFilters checks that the endpoint knows every filter.
func checkFilters(s *source, path string, e *api.Endpoint, filters api.Filters) {
	allowedFilters := ownFilters(e)
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		full := join(path, shorten(name))
		switch {
		case slices.Contains(allowedFilters, name):
		case name == api.FilterProjects:
			s.wrong([]string{full}, "projects are chosen for the whole organization, so that usage, costs and look-ups agree: set organizations[].project_ids")
		case len(allowedFilters) == 0:
			s.wrong([]string{full}, "%s can only be filtered by organizations[].project_ids", e.Name)
		default:
			s.wrong([]string{full}, "%s cannot be filtered by %q%s", e.Name, shorten(name), allowed(name, allowedFilters))
		}
	}
}

// ownFilters are the filters that an endpoint's section may have.
func ownFilters(e *api.Endpoint) []string {
	return slices.DeleteFunc(slices.Clone(e.Filters), func(name string) bool { return name == api.FilterProjects })
}

// FiltersOf are the filters that an organization's endpoint is asked with.
func (s EndpointSettings) FiltersOf(o Organization) api.Filters {
	if len(o.ProjectIDs) == 0 || !slices.Contains(s.Endpoint.Filters, api.FilterProjects) {
		return s.Filters
	}
	return s.Filters.With(api.FilterProjects, o.ProjectIDs)
}

// filterWarnings says where filters make the bill and the estimate speak of different usage.
func (v *Valid) filterWarnings() []string {
	if len(v.config.Budgets) == 0 {
		return nil
	}
	var out []string
	for _, set := range v.endpoints {
		if !set.Enabled || len(set.Filters) == 0 {
			continue
		}
		path, what := "costs.filters", "the bill of some usage is left out, but its estimate is not"
		if !set.Endpoint.IsCosts() {
			path, what = "usage.endpoints."+set.Endpoint.Name+".filters", "some usage is left out of the estimate, but not of the bill"
		}
		out = append(out, v.warnAt(path, "%s: %s, so budgets are not exact: filter in Prometheus instead, or by organizations[].project_ids", path, what))
	}
	return out
}

// checkProjects checks the projects of a list against those that the organization is filtered by.
func (c *Config) checkProjects(s *source, organization, path string, ids []string) {
	for _, o := range c.Organizations {
		if o.Name != organization || len(o.ProjectIDs) == 0 {
			continue
		}
		for i, id := range ids {
			if !slices.Contains(o.ProjectIDs, id) {
				one := fmt.Sprintf("%s[%d]", path, i)
				s.at(s.line(one), "%s: %q is not among the project_ids of organization %q, so it is not read", path, shorten(id), o.Name)
			}
		}
	}
}

// filtersNode writes filters in the order of their names.
func filtersNode(f api.Filters) *yaml.Node {
	if len(f) == 0 {
		return nil
	}
	out := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		value := textsNode(f[name])
		if name == api.FilterBatch && len(f[name]) == 1 {
			value = plainNode(f[name][0])
		}
		out.Content = append(out.Content, textNode(name), value)
	}
	return out
}
