package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

const (
	minInterval = time.Second
	// stockLookback is how long a level may be missing before it is gone.
	stockLookback = 24 * time.Hour
	// longestMonth is how far back the polls of the bill reach on the last day of a month.
	longestMonth = 31 * 24 * time.Hour
	// maxName keeps names readable as labels and small as keys on disk.
	maxName = 128
)

// Validate checks everything at once. It is the only way to a Valid. The error is a Problems.
func (c *Config) Validate() (*Valid, error) {
	c = c.clone()
	s := c.source
	if len(c.Organizations) == 0 {
		c.Organizations = []Organization{newOrganization()}
	}
	c.checkOrganizations(s)
	settings := c.checkEndpoints(s)
	c.checkLookups(s)
	c.checkCounters(s, settings)
	c.checkTeams(s)
	c.checkBudgets(s)
	if err := s.err(); err != nil {
		return nil, err
	}
	return &Valid{config: c, endpoints: settings}, nil
}

// clone copies what Validate completes and what a Valid must not share.
func (c *Config) clone() *Config {
	out := *c
	out.Organizations = slices.Clone(c.Organizations)
	for i := range out.Organizations {
		out.Organizations[i].HTTP = NewHTTP(c.Organizations[i].HTTP.Config())
		out.Organizations[i].ProjectIDs = slices.Clone(c.Organizations[i].ProjectIDs)
	}
	out.Usage.GroupBy = slices.Clone(c.Usage.GroupBy)
	out.Usage.Endpoints = maps.Clone(c.Usage.Endpoints)
	out.Costs.GroupBy = slices.Clone(c.Costs.GroupBy)
	out.Teams = slices.Clone(c.Teams)
	out.Budgets = slices.Clone(c.Budgets)
	out.source = newSource("")
	if c.source != nil {
		*out.source = *c.source
		out.source.problems = slices.Clone(c.source.problems)
	}
	return &out
}

// pasted is a key where the name of its file belongs.
var pasted = regexp.MustCompile(`^sk-[A-Za-z0-9_-]{20,}$`)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *Config) checkOrganizations(s *source) {
	names := make(map[string]int)
	for i := range c.Organizations {
		o := &c.Organizations[i]
		path := fmt.Sprintf("organizations[%d]", i)
		if s.bad[path] || s.bad["organizations"] {
			continue
		}
		c.checkName(s, o, path, names, i)
		c.checkKey(s, o, path)
		c.checkHTTP(s, o, path)
		if o.RequestsPerMinute < 1 {
			s.wrong([]string{path + ".requests_per_minute", path}, "must be at least 1")
		}
	}
}

func (c *Config) checkName(s *source, o *Organization, path string, names map[string]int, i int) {
	paths := []string{path + ".name", path}
	if o.Name == "" && !s.set(paths[0]) && len(c.Organizations) == 1 {
		o.Name = DefaultOrganization
	}
	if text := badName(o.Name); text != "" {
		if o.Name == "" && !s.set(paths[0]) {
			text = "is missing: with several organizations each needs a name"
		}
		s.wrong(paths, "%s", text)
		return
	}
	if first, twice := names[o.Name]; twice && !s.bad[paths[0]] {
		s.wrong(paths, "%q is also the name of organizations[%d]", o.Name, first)
		return
	}
	names[o.Name] = i
}

// badName says why a text can't be a name, or nothing.
func badName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "has characters that cannot be printed"
	case strings.TrimSpace(name) != name:
		return "starts or ends with white space"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	}
	return ""
}

func (c *Config) checkKey(s *source, o *Organization, path string) {
	file, env := path+".api_key_file", path+".api_key_env"
	switch {
	case s.bad[file] || s.bad[env]:
	case o.Key.File != "" && o.Key.Env != "":
		s.wrong([]string{env}, "api_key_file is also set: use only one of them")
	case o.Key.File != "":
		if pasted.MatchString(filepath.Base(o.Key.File)) {
			s.wrong([]string{file}, "looks like a key: it must name the file that holds the key")
		}
	case o.Key.Env != "":
		if !envName.MatchString(o.Key.Env) {
			// It is not shown, because it may be the key itself.
			s.wrong([]string{env}, "must be the name of an environment variable: letters, digits and _")
		}
	case len(c.Organizations) == 1:
		o.Key.Env = DefaultKeyEnv
	default:
		s.wrong([]string{path, file, env}, "names no key: with several organizations each needs api_key_file or api_key_env")
	}
}

func (c *Config) checkHTTP(s *source, o *Organization, path string) {
	base := []string{path + ".base_url", path}
	u, err := parseURL(o.BaseURL)
	switch {
	case err != nil:
		s.wrong(base, "%v", err)
	case u.Scheme != "http" && u.Scheme != "https":
		s.wrong(base, "must start with http:// or https://")
	case u.User != nil:
		s.wrong(base, "must not hold a user or a password")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		s.wrong(base, "must not have a query or a fragment: no ? and no #")
	default:
		o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	}

	http := path + ".http"
	settings := o.HTTP.at()
	proxy := settings.ProxyURL.URL
	if proxy != nil && !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
		s.wrong([]string{http + ".proxy_url", http}, "must start with http://, https://, socks5:// or socks5h://")
	}
	if err := settings.ProxyConfig.Validate(); err != nil && !s.bad[http+".proxy_url"] {
		s.wrong([]string{http, path}, "%v", err)
	}
	tls := http + ".tls_config"
	if err := settings.TLSConfig.Validate(); err != nil {
		s.wrong([]string{tls, http, path}, "%v", err)
	}
	if low, high := settings.TLSConfig.MinVersion, settings.TLSConfig.MaxVersion; low != 0 && high != 0 && low > high {
		s.wrong([]string{tls + ".min_version", tls + ".max_version", tls}, "is above max_version")
	}
	if h := settings; h.BasicAuth != nil || h.Authorization != nil || h.OAuth2 != nil || h.BearerToken != "" || h.BearerTokenFile != "" {
		s.wrong([]string{http, path}, "requests are authorized only with the admin key")
	}
}

func (c *Config) checkLookups(s *source) {
	interval(s, "names.interval", c.Names.Interval)
	interval(s, "limits.interval", c.Limits.Interval)
}

func interval(s *source, path string, d time.Duration) {
	if d < minInterval {
		s.wrong([]string{path}, "must be at least %s", formatDuration(minInterval))
	}
}

func (c *Config) checkCounters(s *source, settings []EndpointSettings) {
	if c.Counters.Start.After(time.Now()) {
		s.wrong([]string{"counters.start"}, "%s is in the future", c.Counters.Start)
	}
	if c.Counters.ZeroHold < 0 {
		s.wrong([]string{"counters.zero_hold"}, "must not be negative; 0s switches it off")
	}
	if c.Counters.MaxLabelSets < 1 {
		s.wrong([]string{"counters.max_label_sets"}, "must be at least 1")
	}
	if c.Counters.IdleRetention < minInterval {
		s.wrong([]string{"counters.idle_retention"}, "must be at least %s", formatDuration(minInterval))
		return
	}
	// One line about the longest window is enough: a retention above it is above all of them.
	longest, why, paths := time.Duration(0), "", []string(nil)
	take := func(d time.Duration, what string, blame ...string) {
		if d > longest {
			longest, why, paths = d, what, blame
		}
	}
	for _, e := range settings {
		if !e.Enabled {
			continue
		}
		name := e.Endpoint.Name
		switch {
		case e.Endpoint.IsCosts():
			take(longestMonth, "the bill is read for the whole month, up to 31 days")
			take(e.Lookback, "costs.lookback", "costs.lookback")
		default:
			own := "usage.endpoints." + name + ".lookback"
			what := "usage.lookback"
			if s.set(own) {
				what = own
			}
			if e.Endpoint.Stock && e.Lookback == stockLookback {
				what = "every poll of " + name + " reads 24 hours"
			}
			take(e.Lookback, what, own, "usage.lookback")
			take(e.AuditWindow, "usage.audit.window", "usage.audit.window")
		}
	}
	if c.Counters.IdleRetention <= longest {
		s.wrong(append([]string{"counters.idle_retention"}, paths...), "%s must be longer than %s (%s)",
			formatDuration(c.Counters.IdleRetention), formatDuration(longest), why)
	}
}

// supported are the dimensions that any usage endpoint can be grouped by, in the order of the table.
func supported() []string {
	var names []string
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.IsCosts() {
			continue
		}
		for _, d := range e.Dimensions {
			if !slices.Contains(names, d.Name) {
				names = append(names, d.Name)
			}
		}
	}
	return names
}

func dimensions(e *api.Endpoint) []string {
	names := make([]string, len(e.Dimensions))
	for i, d := range e.Dimensions {
		names[i] = d.Name
	}
	return names
}
