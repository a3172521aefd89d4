package config

import (
	"reflect"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A shape is how the value of a key is written.
type shape int

const (
	scalar  shape = iota
	mapping       // a section
	list          // a list of sections
	named         // sections by name
)

// A key is one line of the table: what may be written, and where its value goes.
type key struct {
	name string
	kind string // the type, as the documentation names it
	help string
	// fallback says what holds without the key, where that is not the value of the defaults.
	fallback string
	shape    shape
	// at returns the pointer to the value within the pointer to its section.
	at func(section any) any
	// keys are those of the section, or of each section of the list or the names.
	keys []key
	// fresh returns a section of a list with its defaults.
	fresh func() any
	// opaque keeps a value that may hold a secret out of messages.
	opaque bool
}

// value describes a key with a scalar or a list of texts. Its type follows from the field that it fills.
func value[S, V any](name, help string, at func(*S) *V) key {
	return key{name: name, kind: kindOf(reflect.TypeFor[V]()), help: help, at: func(s any) any { return at(s.(*S)) }}
}

// section describes a key with keys of its own.
func section[S, V any](name, help string, at func(*S) *V, keys ...key) key {
	return key{name: name, kind: "section", help: help, shape: mapping, at: func(s any) any { return at(s.(*S)) }, keys: keys}
}

func (k key) or(fallback string) key  { k.fallback = fallback; return k }
func (k key) typed(kind string) key   { k.kind = kind; return k }
func (k key) mayHoldSecret() key      { k.opaque = true; return k }
func (k key) as(s shape) key          { k.shape = s; return k }
func (k key) of(fresh func() any) key { k.fresh = fresh; return k }

func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[[]string]():
		return "list of strings"
	case reflect.TypeFor[bool](), reflect.TypeFor[*bool]():
		return "boolean"
	case reflect.TypeFor[int](), reflect.TypeFor[float64]():
		return "number"
	case reflect.TypeFor[time.Time]():
		return "date"
	case reflect.TypeFor[promconfig.URL]():
		return "URL"
	case reflect.TypeFor[api.Filters]():
		return "lists of strings by filter"
	case reflect.TypeFor[Labels]():
		return "strings by label"
	case reflect.TypeFor[promconfig.ProxyHeader]():
		return "lists of strings by header"
	}
	return "string"
}

const widthKind = "`1m` or `1h`"

// table holds every key of the configuration.
func table() []key { //nolint:funlen // The table of all keys.
	return []key{
		section("organizations", "The organizations to poll, a list. Without it there is one, named `default`.", func(c *Config) *[]Organization { return &c.Organizations },
			value("name", "The value of the label `organization`. Needed as soon as there are several, and unique.", func(o *Organization) *string { return &o.Name }).or("`default`"),
			value("api_key_file", "The file that holds the admin key and nothing else. It is read again when it changes and when the key is not accepted.", func(o *Organization) *string { return &o.Key.File }).or(""),
			value("api_key_env", "The environment variable that holds the admin key. A single organization without a key setting uses `"+DefaultKeyEnv+"`; with several, each names its file or its variable.", func(o *Organization) *string { return &o.Key.Env }).or("`"+DefaultKeyEnv+"`"),
			value("base_url", "The base URL of the API.", func(o *Organization) *string { return &o.BaseURL }).typed("URL").mayHoldSecret(),
			value("project_ids", "Reads only these projects, in usage, costs and look-ups.", func(o *Organization) *[]string { return &o.ProjectIDs }).or("all projects"),
			value("requests_per_minute", "The highest number of requests per minute to the API for this organization.", func(o *Organization) *int { return &o.RequestsPerMinute }),
			section("http", "Settings of the HTTP client that reads the API.", func(o *Organization) *promconfig.HTTPClientConfig { return o.HTTP.at() },
				value("proxy_url", "The URL of the proxy.", func(h *promconfig.HTTPClientConfig) *promconfig.URL { return &h.ProxyURL }).mayHoldSecret(),
				value("no_proxy", "Hosts, domains and networks that are reached without the proxy, comma-separated.", func(h *promconfig.HTTPClientConfig) *string { return &h.NoProxy }),
				value("proxy_from_environment", "Takes the proxy from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` instead.", func(h *promconfig.HTTPClientConfig) *bool { return &h.ProxyFromEnvironment }),
				value("proxy_connect_header", "Headers for the proxy, sent with CONNECT.", func(h *promconfig.HTTPClientConfig) *promconfig.ProxyHeader { return &h.ProxyConnectHeader }).mayHoldSecret(),
				value("follow_redirects", "Whether redirects are followed. The key is never sent to another host.", func(h *promconfig.HTTPClientConfig) *bool { return &h.FollowRedirects }),
				value("enable_http2", "Whether HTTP/2 is used where the server has it.", func(h *promconfig.HTTPClientConfig) *bool { return &h.EnableHTTP2 }),
				section("tls_config", "How the server is verified, and the client's own certificate.", func(h *promconfig.HTTPClientConfig) *promconfig.TLSConfig { return &h.TLSConfig },
					value("ca", "The CA certificate that verifies the server, as text.", func(t *promconfig.TLSConfig) *string { return &t.CA }).mayHoldSecret(),
					value("ca_file", "The file of the CA certificate.", func(t *promconfig.TLSConfig) *string { return &t.CAFile }),
					value("cert", "The client's certificate, as text.", func(t *promconfig.TLSConfig) *string { return &t.Cert }).mayHoldSecret(),
					value("cert_file", "The file of the client's certificate.", func(t *promconfig.TLSConfig) *string { return &t.CertFile }),
					value("key", "The client's private key, as text.", func(t *promconfig.TLSConfig) *promconfig.Secret { return &t.Key }).mayHoldSecret(),
					value("key_file", "The file of the client's private key.", func(t *promconfig.TLSConfig) *string { return &t.KeyFile }),
					value("server_name", "The name that the server's certificate must have.", func(t *promconfig.TLSConfig) *string { return &t.ServerName }),
					value("insecure_skip_verify", "Accepts any certificate: anyone between the exporter and the API can read the admin key.", func(t *promconfig.TLSConfig) *bool { return &t.InsecureSkipVerify }),
					value("min_version", "The oldest TLS version accepted.", func(t *promconfig.TLSConfig) *promconfig.TLSVersion { return &t.MinVersion }).typed("`TLS10`, `TLS11`, `TLS12` or `TLS13`"),
					value("max_version", "The newest TLS version offered.", func(t *promconfig.TLSConfig) *promconfig.TLSVersion { return &t.MaxVersion }).typed("`TLS10`, `TLS11`, `TLS12` or `TLS13`"),
				),
			),
		).as(list).of(func() any { o := newOrganization(); return &o }).or("one organization"),

		section("usage", "The usage endpoints. These settings hold for every endpoint that has no setting of its own.", func(c *Config) *Usage { return &c.Usage },
			value("interval", "How often an endpoint is polled, at least `1s`.", func(u *Usage) *time.Duration { return &u.Interval }),
			value("bucket_width", "The width of the buckets that a poll reads.", func(u *Usage) *string { return &u.BucketWidth }).typed(widthKind),
			value("lookback", "How far back every poll reads again, at least one bucket. Late and restated data within it count at the next poll.", func(u *Usage) *time.Duration { return &u.Lookback }),
			value("group_by", "The dimensions that become labels. Each endpoint uses those that it has; see the list below.", func(u *Usage) *[]string { return &u.GroupBy }).typed("list of dimensions"),
			section("audit", "Closed hours are read again and compared, so that data that arrive later than `lookback` count, too.", func(u *Usage) *Audit { return &u.Audit },
				value("interval", "How often an audit is due, at least `1s`.", func(a *Audit) *time.Duration { return &a.Interval }),
				value("window", "How far back audits go: whole hours, and at least one hour more than every `lookback`.", func(a *Audit) *time.Duration { return &a.Window }),
			),
			section("endpoints", "Settings for one endpoint, under the API's name for it. A key that is left out here inherits from `usage`.", func(u *Usage) *map[string]Endpoint { return &u.Endpoints },
				value("enabled", "`false` switches the endpoint off.", func(e *Endpoint) **bool { return &e.Enabled }).or("`true`"),
				value("interval", "As `usage.interval`.", func(e *Endpoint) *time.Duration { return &e.Interval }).or("`usage.interval`"),
				value("bucket_width", "As `usage.bucket_width`.", func(e *Endpoint) *string { return &e.BucketWidth }).typed(widthKind).or("`usage.bucket_width`"),
				value("lookback", "As `usage.lookback`, but never less than one bucket. `vector_stores` reads 24 hours at least, because it is a level and not a flow.", func(e *Endpoint) *time.Duration { return &e.Lookback }).or("`usage.lookback`"),
				value("group_by", "As `usage.group_by`, but a dimension that the endpoint does not have is refused. `[]` asks for totals only.", func(e *Endpoint) *[]string { return &e.GroupBy }).typed("list of dimensions").or("`usage.group_by`"),
				value("filters", "Reads only usage that matches these filters of the API; the list below says which filters the endpoint has.", func(e *Endpoint) *api.Filters { return &e.Filters }).or("all usage"),
			).as(named).or("see below").of(func() any { return &Endpoint{} }),
		),

		section("costs", "What OpenAI bills.", func(c *Config) *Costs { return &c.Costs },
			value("enabled", "`false` switches it off.", func(c *Costs) *bool { return &c.Enabled }),
			value("interval", "How often the bill is polled, at least `1s`.", func(c *Costs) *time.Duration { return &c.Interval }),
			value("lookback", "How far back every poll reads again, at least one day; never less than the running month.", func(c *Costs) *time.Duration { return &c.Lookback }),
			value("group_by", "The dimensions that become labels.", func(c *Costs) *[]string { return &c.GroupBy }).typed("list of dimensions"),
			value("filters", "Reads only costs that match these filters of the API: `api_key_ids` and `line_items`.", func(c *Costs) *api.Filters { return &c.Filters }).or("all costs"),
		),

		section("names", "Look-ups of the names of projects, users and API keys, and of what each key has cost today.", func(c *Config) *Names { return &c.Names },
			value("enabled", "`false` switches them off.", func(n *Names) *bool { return &n.Enabled }),
			value("interval", "How often they are looked up, at least `1s`.", func(n *Names) *time.Duration { return &n.Interval }),
			value("user_emails", "Adds the users' e-mail addresses, which are personal data.", func(n *Names) *bool { return &n.UserEmails }),
		),

		section("limits", "Look-ups of rate limits and spend limits.", func(c *Config) *Limits { return &c.Limits },
			value("enabled", "`false` switches them off.", func(l *Limits) *bool { return &l.Enabled }),
			value("interval", "How often they are looked up, at least `1s`.", func(l *Limits) *time.Duration { return &l.Interval }),
		),

		section("counters", "When counting starts, how many series there may be, and how long they are kept.", func(c *Config) *Counters { return &c.Counters },
			value("start", "When counting starts with a new state directory: `now`, at the start of the UTC day (`today`) or month (`month`), or at an RFC 3339 time in the past. It has no effect on existing state.", func(c *Counters) *Start { return &c.Start }).typed("`now`, `today`, `month` or a time"),
			value("zero_hold", "How long a new series shows 0 before it takes its value, so that `increase()` sees the step. `0s` switches it off.", func(c *Counters) *time.Duration { return &c.ZeroHold }),
			value("max_label_sets", "How many label sets an organization may have. Further ones are folded into one series per endpoint, whose labels have the value `other`.", func(c *Counters) *int { return &c.MaxLabelSets }),
			value("idle_retention", "How long a series is kept after its last change. It must be longer than every period that is read again, the 31 days of a month included.", func(c *Counters) *time.Duration { return &c.IdleRetention }),
		),

		section("pricing", "The estimated cost of usage that is not billed yet.", func(c *Config) *Pricing { return &c.Pricing },
			value("file", "A file with your own prices.", func(p *Pricing) *string { return &p.File }),
			value("learn_from_costs", "Learns prices from the bill and prefers them, because they are what you were charged.", func(p *Pricing) *bool { return &p.LearnFromCosts }),
		),

		section("teams", "A list of teams, with the projects that each pays for. The team and its labels are labels of `openai_project_info`. Projects without a team have the team `"+Unallocated+"`.", func(c *Config) *[]Team { return &c.Teams },
			value("name", "The value of the label `team`. Needed, and unique in its organization.", func(t *Team) *string { return &t.Name }).or("none: needed"),
			value("organization", "The name of the organization that has the projects. Needed if there are several.", func(t *Team) *string { return &t.Organization }).or("the only organization"),
			value("project_ids", "The team's projects. A project belongs to one team.", func(t *Team) *[]string { return &t.ProjectIDs }).or("none: needed"),
			value("labels", "Further labels, which become `team_<label>`.", func(t *Team) *Labels { return &t.Labels }).or(""),
		).as(list).or("none").of(func() any { return &Team{} }),

		section("budgets", "A list of budgets. Each has one amount: for every UTC month, quarter or year, or `usd` for a fixed term such as that of a prepaid credit or a commitment.", func(c *Config) *[]Budget { return &c.Budgets },
			value("name", "The value of the label `budget`. Needed, and unique in its organization.", func(b *Budget) *string { return &b.Name }).or("none: needed"),
			value("organization", "The name of the organization whose costs count. Needed if there are several.", func(b *Budget) *string { return &b.Organization }).or("the only organization"),
			value("team", "The [team](#teams) whose projects' costs count, in place of `project_ids`. The team's present projects count for the whole period.", func(b *Budget) *string { return &b.Team }).or(""),
			value("project_ids", "The projects whose costs count. Without it, and without a team, all projects count.", func(b *Budget) *[]string { return &b.ProjectIDs }).or("all projects"),
			value("monthly_usd", "US dollars per UTC month, above 0.", func(b *Budget) *float64 { return &b.MonthlyUSD }).or("one of the four amounts is needed"),
			value("quarterly_usd", "US dollars per UTC quarter, which begins with January, April, July or October.", func(b *Budget) *float64 { return &b.QuarterlyUSD }).or(""),
			value("yearly_usd", "US dollars per UTC year.", func(b *Budget) *float64 { return &b.YearlyUSD }).or(""),
			value("usd", "US dollars for the term from `start` to `end`.", func(b *Budget) *float64 { return &b.USD }).or(""),
			value("start", "The first UTC day of the term.", func(b *Budget) *time.Time { return &b.Start }).or(""),
			value("end", "The UTC day after the last one of the term, at most 400 days after `start`.", func(b *Budget) *time.Time { return &b.End }).or(""),
		).as(list).or("none").of(func() any { return &Budget{} }),
	}
}
