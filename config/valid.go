package config

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A Valid is a configuration that has passed every check. It is immutable: accessors return copies.
type Valid struct {
	config    *Config
	endpoints []EndpointSettings
}

// EndpointSettings are what one endpoint is polled with, after defaults and overrides.
type EndpointSettings struct {
	Endpoint *api.Endpoint
	Enabled  bool
	// GroupBy is cut down to what the endpoint supports, in the order of the endpoint's table.
	GroupBy []string
	// Filters are the endpoint's own; FiltersOf adds the projects of an organization.
	Filters  api.Filters
	Width    api.Width
	Interval time.Duration
	// Lookback is how far back every poll reads again. Stocks read a day at least, because a level that no bucket of
	// the last day has is gone.
	Lookback time.Duration
	// AuditInterval and AuditWindow are zero for costs and stocks, which are not audited.
	AuditInterval time.Duration
	AuditWindow   time.Duration
}

// Equal says whether both are the same settings of the same endpoint.
func (s EndpointSettings) Equal(other EndpointSettings) bool { return reflect.DeepEqual(s, other) }

// Organizations returns the organizations in the order they were written. Every one has a name and a source for its key.
func (v *Valid) Organizations() []Organization {
	return slices.Clone(v.config.Organizations)
}

// Organization returns the organization of that name.
func (v *Valid) Organization(name string) (Organization, bool) {
	for _, o := range v.Organizations() {
		if o.Name == name {
			return o, true
		}
	}
	return Organization{}, false
}

// Endpoints returns the settings of all twelve endpoints in the order of the API's table, costs last, those that are
// switched off included. They hold for every organization.
func (v *Valid) Endpoints() []EndpointSettings {
	out := slices.Clone(v.endpoints)
	for i := range out {
		out[i].GroupBy = slices.Clone(out[i].GroupBy)
		out[i].Filters = maps.Clone(out[i].Filters)
	}
	return out
}

// Counters returns what the ledger counts and for how long it keeps it.
func (v *Valid) Counters() Counters { return v.config.Counters }

// Names returns the settings of the look-ups of names.
func (v *Valid) Names() Names { return v.config.Names }

// Limits returns the settings of the look-ups of limits.
func (v *Valid) Limits() Limits { return v.config.Limits }

// Pricing returns the settings of the estimate.
func (v *Valid) Pricing() Pricing { return v.config.Pricing }

// Budgets returns the budgets in the order they were written.
func (v *Valid) Budgets() []Budget {
	out := slices.Clone(v.config.Budgets)
	for i := range out {
		out[i].ProjectIDs = slices.Clone(out[i].ProjectIDs)
	}
	return out
}

// Equal says whether both are asked for the same, and in the same way.
func (o Organization) Equal(other Organization) bool {
	return o.SameClient(other) && slices.Equal(o.ProjectIDs, other.ProjectIDs)
}

// SameClient says whether both are asked and authorized in the same way, under the same name.
func (o Organization) SameClient(other Organization) bool {
	return o.Name == other.Name && o.Key == other.Key && o.BaseURL == other.BaseURL &&
		o.RequestsPerMinute == other.RequestsPerMinute && o.HTTP.Equal(other.HTTP)
}

// Equal says whether two configurations come to the same, however they were written.
func (v *Valid) Equal(other *Valid) bool {
	if v == nil || other == nil {
		return v == other
	}
	return slices.EqualFunc(v.config.Organizations, other.config.Organizations, Organization.Equal) &&
		v.samePolling(other) &&
		v.config.Names == other.config.Names && v.config.Limits == other.config.Limits &&
		v.config.Pricing == other.config.Pricing &&
		slices.EqualFunc(v.config.Teams, other.config.Teams, Team.equal) &&
		slices.EqualFunc(v.config.Budgets, other.config.Budgets, Budget.equal)
}

// Unchanged says whether the organization of that name is polled, looked up and counted as it was in old, so that a
// reload can leave it running.
func (v *Valid) Unchanged(old *Valid, name string) bool {
	if old == nil {
		return false
	}
	now, ok := v.Organization(name)
	before, had := old.Organization(name)
	return ok && had && now.Equal(before) && v.samePolling(old) &&
		v.config.Names == old.config.Names && v.config.Limits == old.config.Limits
}

func (v *Valid) samePolling(other *Valid) bool {
	return slices.EqualFunc(v.endpoints, other.endpoints, EndpointSettings.Equal) && v.config.Counters.Equal(other.config.Counters)
}

// Equal says whether both count the same.
func (c Counters) Equal(other Counters) bool {
	same := c
	same.Start = other.Start
	return same == other && c.Start.Equal(other.Start)
}

// String keeps the settings, and what may be secret among them, out of logs and messages.
func (v Valid) String() string { return v.config.String() }

// GoString says no more than String.
func (v Valid) GoString() string { return v.String() }

// LogValue says no more than String.
func (v Valid) LogValue() slog.Value { return slog.StringValue(v.String()) }

// Format keeps every verb to String.
func (v Valid) Format(f fmt.State, verb rune) { formatAs(f, verb, v.String()) }

// MarshalText says no more than String; JSON, YAML and log encoders use it. Redacted is the whole of it.
func (v Valid) MarshalText() ([]byte, error) { return []byte(v.String()), nil }
