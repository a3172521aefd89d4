package exporter

import (
	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// An assignment is what of an organization is this replica's to ask for. The organization's budget is the part of it that
// this replica may use.
type assignment struct {
	organization config.Organization
	endpoints    []config.EndpointSettings
	lookups      bool
}

// assignments are what of a configuration is a shard's. An organization of which nothing is has none, and no client.
func assignments(s shard.Shard, valid *config.Valid) []assignment {
	var enabled []config.EndpointSettings
	var asked []string
	for _, e := range valid.Endpoints() {
		if e.Enabled {
			enabled = append(enabled, e)
			asked = append(asked, e.Endpoint.Name)
		}
	}
	if valid.Names().Enabled || valid.Limits().Enabled {
		asked = append(asked, shard.Lookups)
	}
	var all []assignment
	for _, o := range valid.Organizations() {
		a := assignment{organization: o, lookups: s.Owns(o.Name, shard.Lookups)}
		for _, e := range enabled {
			if s.Owns(o.Name, e.Endpoint.Name) {
				e.Filters = e.FiltersOf(o)
				a.endpoints = append(a.endpoints, e)
			}
		}
		if len(a.endpoints) == 0 && !a.lookups {
			continue
		}
		a.organization.RequestsPerMinute = s.Share(o.RequestsPerMinute, o.Name, asked)
		all = append(all, a)
	}
	return all
}
