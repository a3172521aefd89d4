package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// checkEndpoints checks the settings of the endpoints and works out what holds for each.
func (c *Config) checkEndpoints(s *source) []EndpointSettings {
	c.checkUsage(s)
	for _, name := range slices.Sorted(maps.Keys(c.Usage.Endpoints)) {
		e, ok := api.Find(name)
		if !ok || e.IsCosts() {
			s.wrong([]string{"usage.endpoints." + name}, "unknown endpoint%s", allowed(name, usageEndpoints()))
			continue
		}
		c.checkOverride(s, e, c.Usage.Endpoints[name])
	}
	settings := make([]EndpointSettings, 0, len(api.Endpoints))
	polled := false
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		set := c.settings(e)
		c.checkWindows(s, set)
		settings = append(settings, set)
		polled = polled || set.Enabled
	}
	if !polled {
		s.wrong([]string{"usage.endpoints", "costs.enabled"}, "every endpoint and costs are switched off: there is nothing to poll")
	}
	return settings
}

func (c *Config) checkUsage(s *source) {
	interval(s, "usage.interval", c.Usage.Interval)
	interval(s, "usage.audit.interval", c.Usage.Audit.Interval)
	width(s, "usage.bucket_width", c.Usage.BucketWidth)
	group(s, "usage.group_by", c.Usage.GroupBy, supported(), "no usage endpoint can be grouped by")
	if w := c.Usage.Audit.Window; w <= 0 || w%time.Hour != 0 {
		s.wrong([]string{"usage.audit.window"}, "must be whole hours")
	}
	if w := c.Usage.BucketWidth; w == api.Minute.Name && c.Usage.Lookback < time.Minute || w == api.Hour.Name && c.Usage.Lookback < time.Hour {
		s.wrong([]string{"usage.lookback", "usage.bucket_width"}, "%s is shorter than a bucket of %s", formatDuration(c.Usage.Lookback), w)
	}
	interval(s, "costs.interval", c.Costs.Interval)
	costs, _ := api.Find(api.Costs)
	group(s, "costs.group_by", c.Costs.GroupBy, dimensions(costs), "costs cannot be grouped by")
	checkFilters(s, "costs.filters", costs, c.Costs.Filters)
}

func (c *Config) checkOverride(s *source, e *api.Endpoint, o Endpoint) {
	path := "usage.endpoints." + e.Name
	if o.Interval != 0 || s.set(path+".interval") {
		interval(s, path+".interval", o.Interval)
	}
	if o.BucketWidth != "" || s.set(path+".bucket_width") {
		width(s, path+".bucket_width", o.BucketWidth)
	}
	group(s, path+".group_by", o.GroupBy, dimensions(e), e.Name+" cannot be grouped by")
	checkFilters(s, path+".filters", e, o.Filters)
}

func width(s *source, path, name string) {
	if name != api.Minute.Name && name != api.Hour.Name {
		s.wrong([]string{path}, "must be 1m or 1h")
	}
}

// group checks that every name is one of the dimensions.
func group(s *source, path string, names, dimensions []string, refusal string) {
	for i, name := range names {
		if slices.Contains(dimensions, name) {
			continue
		}
		one := fmt.Sprintf("%s[%d]", path, i)
		s.at(s.line(one), "%s: %s %q%s", path, refusal, shorten(name), allowed(name, dimensions))
	}
}

// settings works out what holds for an endpoint.
func (c *Config) settings(e *api.Endpoint) EndpointSettings {
	if e.IsCosts() {
		return EndpointSettings{
			Endpoint: e,
			Enabled:  c.Costs.Enabled,
			GroupBy:  e.GroupBy(c.Costs.GroupBy),
			Filters:  c.Costs.Filters.Canonical(),
			Width:    api.CostDay,
			Interval: c.Costs.Interval,
			Lookback: c.Costs.Lookback,
		}
	}
	o := c.Usage.Endpoints[e.Name]
	set := EndpointSettings{
		Endpoint:      e,
		Enabled:       o.Enabled == nil || *o.Enabled,
		GroupBy:       e.GroupBy(c.Usage.GroupBy),
		Filters:       o.Filters.Canonical(),
		Interval:      c.Usage.Interval,
		Lookback:      c.Usage.Lookback,
		AuditInterval: c.Usage.Audit.Interval,
		AuditWindow:   c.Usage.Audit.Window,
	}
	set.Width, _ = e.Width(c.Usage.BucketWidth)
	if o.BucketWidth != "" {
		set.Width, _ = e.Width(o.BucketWidth)
	}
	if o.Interval != 0 {
		set.Interval = o.Interval
	}
	if o.Lookback != 0 {
		set.Lookback = o.Lookback
	} else {
		// What was set for minutes must not keep an endpoint of wider buckets from reading a whole one.
		set.Lookback = max(set.Lookback, set.Width.Duration)
	}
	if o.GroupBy != nil {
		set.GroupBy = e.GroupBy(o.GroupBy)
	}
	if e.Stock {
		set.Lookback = max(set.Lookback, stockLookback)
		set.AuditInterval, set.AuditWindow = 0, 0
	}
	return set
}

// checkWindows checks the windows of an endpoint against each other.
func (c *Config) checkWindows(s *source, set EndpointSettings) {
	own, width := "costs.lookback", set.Width.Duration
	written := c.Costs.Lookback
	if !set.Endpoint.IsCosts() {
		own = "usage.endpoints." + set.Endpoint.Name + ".lookback"
		written = c.Usage.Endpoints[set.Endpoint.Name].Lookback
	}
	overridden := written != 0 || s.set(own)
	if overridden && written < width {
		s.wrong([]string{own}, "%s is shorter than a bucket of %s", formatDuration(written), set.Width.Name)
		return
	}
	inherited := own
	if !overridden {
		inherited = "usage.lookback"
	}
	if need := set.Lookback + time.Hour; set.AuditWindow > 0 && set.AuditWindow < need && set.AuditWindow%time.Hour == 0 {
		s.once([]string{"usage.audit.window", inherited}, "%s must be at least one hour longer than %s (%s)",
			formatDuration(set.AuditWindow), inherited, formatDuration(set.Lookback))
	}
}
