// Package config turns a YAML file into settings that the rest of the exporter can rely on. A Config is what somebody
// wrote; a Valid is a Config in which everything holds together, and only Validate makes one. Every key, its default
// and its help text stand in one table, from which parsing, the page of the running configuration and the
// documentation derive.
package config

import (
	"fmt"
	"log/slog"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// DefaultOrganization is the name of an organization that nobody named.
const DefaultOrganization = "default"

// DefaultKeyEnv is the environment variable that holds the admin key of a single organization without a key setting.
const DefaultKeyEnv = "OPENAI_ADMIN_KEY"

// A Config is a configuration as written, with the defaults in place of what was left out. It is not checked.
type Config struct {
	Organizations []Organization
	Usage         Usage
	Costs         Costs
	Names         Names
	Limits        Limits
	Counters      Counters
	Pricing       Pricing
	Teams         []Team
	Budgets       []Budget

	// source remembers the lines of the file, so that a check that needs the whole configuration can still name one.
	source *source
}

// An Organization is one account with an admin key of its own.
type Organization struct {
	Name    string
	Key     KeySource
	BaseURL string
	// ProjectIDs are the only projects that are read; none means all of them.
	ProjectIDs        []string
	RequestsPerMinute int
	HTTP              HTTP
}

// Usage configures the usage endpoints: defaults for all of them, and what differs for one.
type Usage struct {
	Interval    time.Duration
	BucketWidth string // 1m or 1h
	Lookback    time.Duration
	GroupBy     []string
	Audit       Audit
	Endpoints   map[string]Endpoint
}

// Audit configures the slow path, which reads closed hours again.
type Audit struct {
	Interval time.Duration
	Window   time.Duration
}

// An Endpoint overrides the settings of one usage endpoint. Zero values inherit.
type Endpoint struct {
	Enabled     *bool
	Interval    time.Duration
	BucketWidth string
	Lookback    time.Duration
	// GroupBy inherits when nil; an empty list asks for totals only.
	GroupBy []string
	Filters api.Filters
}

// Costs configures the costs endpoint.
type Costs struct {
	Enabled  bool
	Interval time.Duration
	Lookback time.Duration
	GroupBy  []string
	Filters  api.Filters
}

// Names configures the look-ups of the names of projects, users and API keys.
type Names struct {
	Enabled    bool
	Interval   time.Duration
	UserEmails bool
}

// Limits configures the look-ups of rate limits and spend limits.
type Limits struct {
	Enabled  bool
	Interval time.Duration
}

// Counters configures what the ledger counts and for how long it keeps it.
type Counters struct {
	Start Start
	// ZeroHold is how long a new series shows 0 before it takes its value; 0 switches that off.
	ZeroHold time.Duration
	// MaxLabelSets is the limit per organization, over all endpoints.
	MaxLabelSets int
	// IdleRetention is how long a series stays after its last change.
	IdleRetention time.Duration
}

// Pricing configures the estimate of what usage costs before the bill says so.
type Pricing struct {
	File           string
	LearnFromCosts bool
}

// defaults returns the configuration of an empty file.
func defaults() *Config {
	return &Config{
		Usage: Usage{
			Interval:    time.Minute,
			BucketWidth: api.Minute.Name,
			Lookback:    time.Hour,
			GroupBy:     []string{"project_id", "model"},
			Audit:       Audit{Interval: 15 * time.Minute, Window: 72 * time.Hour},
			// These two change by the hour at most, so a poll a minute would only spend the request budget.
			Endpoints: map[string]Endpoint{
				"vector_stores":             {BucketWidth: api.Hour.Name, Interval: 15 * time.Minute},
				"code_interpreter_sessions": {BucketWidth: api.Hour.Name, Interval: 15 * time.Minute},
			},
		},
		Costs:    Costs{Enabled: true, Interval: 15 * time.Minute, Lookback: 96 * time.Hour, GroupBy: []string{"project_id", "line_item"}},
		Names:    Names{Enabled: true, Interval: 10 * time.Minute},
		Limits:   Limits{Enabled: true, Interval: 10 * time.Minute},
		Counters: Counters{ZeroHold: 2 * time.Minute, MaxLabelSets: 20000, IdleRetention: 840 * time.Hour},
		Pricing:  Pricing{LearnFromCosts: true},
	}
}

// newOrganization returns an organization of which nothing was written.
func newOrganization() Organization {
	return Organization{BaseURL: api.DefaultBaseURL, RequestsPerMinute: 60, HTTP: NewHTTP(promconfig.DefaultHTTPClientConfig)}
}

// Default returns the configuration that holds without a file: one organization named "default", whose admin key is in
// $OPENAI_ADMIN_KEY.
func Default() *Valid {
	v, err := defaults().Validate()
	if err != nil {
		panic(fmt.Sprintf("config: the defaults contradict each other: %v", err)) // A test runs through here.
	}
	return v
}

// String, GoString and LogValue keep the settings, and what may be secret among them, out of logs and messages.
func (c Config) String() string {
	return fmt.Sprintf("configuration of %d organizations", len(c.Organizations))
}

// GoString says no more than String.
func (c Config) GoString() string { return c.String() }

// LogValue says no more than String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Format keeps every verb to String, which covers verbs that would walk the fields.
func (c Config) Format(f fmt.State, verb rune) { formatAs(f, verb, c.String()) }

// String names the organization and where it is asked, and nothing secret.
func (o Organization) String() string { return fmt.Sprintf("organization %q at %s", o.Name, o.BaseURL) }

// GoString says no more than String.
func (o Organization) GoString() string { return o.String() }

// LogValue says no more than String.
func (o Organization) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Format keeps every verb to String.
func (o Organization) Format(f fmt.State, verb rune) { formatAs(f, verb, o.String()) }

// MarshalText says no more than String; JSON, YAML and log encoders use it.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// MarshalText says no more than String; JSON, YAML and log encoders use it.
func (o Organization) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// formatAs prints a text under any verb, quoted where the verb asks for it.
func formatAs(f fmt.State, verb rune, text string) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(f, "%q", text)
		return
	}
	_, _ = fmt.Fprint(f, text)
}
