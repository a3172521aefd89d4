package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

func parse(t *testing.T, text string) *config.Valid {
	t.Helper()
	v, err := config.Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatalf("refused:\n%v\n%s", err, text)
	}
	return v
}

func settings(t *testing.T, v *config.Valid, name string) config.EndpointSettings {
	t.Helper()
	for _, s := range v.Endpoints() {
		if s.Endpoint.Name == name {
			return s
		}
	}
	t.Fatalf("no endpoint %s", name)
	return config.EndpointSettings{}
}

func TestWithoutAFileOneOrganizationUsesTheKeyOfTheEnvironment(t *testing.T) {
	v := config.Default()
	orgs := v.Organizations()
	if len(orgs) != 1 || orgs[0].Name != "default" || orgs[0].Key != (config.KeySource{Env: "OPENAI_ADMIN_KEY"}) || orgs[0].BaseURL != api.DefaultBaseURL {
		t.Errorf("organizations are %v", orgs)
	}
	if !v.Equal(parse(t, "")) || !v.Equal(parse(t, "organizations: [{name: default}]")) {
		t.Error("an empty file comes to something else than none")
	}
	names := make([]string, 0, len(api.Endpoints))
	for _, s := range v.Endpoints() {
		names = append(names, s.Endpoint.Name)
		if !s.Enabled {
			t.Errorf("%s is switched off", s.Endpoint.Name)
		}
	}
	var want []string
	for _, e := range api.Endpoints {
		want = append(want, e.Name)
	}
	if diff := cmp.Diff(want, names); diff != "" || names[len(names)-1] != api.Costs {
		t.Errorf("endpoints are %s, want all of the table with costs last:\n%s", names, diff)
	}
}

func TestASingleOrganizationMayLeaveOutNameAndKey(t *testing.T) {
	v := parse(t, "organizations: [{base_url: http://127.0.0.1:8080/v1}]")
	o := v.Organizations()[0]
	if o.Name != "default" || o.Key.Env != "OPENAI_ADMIN_KEY" || o.BaseURL != "http://127.0.0.1:8080/v1" || o.RequestsPerMinute != 60 {
		t.Errorf("got %+v from %v", o.Key, o)
	}
	if o := parse(t, "organizations: [{api_key_file: key}]").Organizations()[0]; o.Key != (config.KeySource{File: "key"}) {
		t.Errorf("key is in %v, want the file alone", o.Key)
	}
}

func TestRelativePathsStartAtTheFolderOfTheFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "config.yml")
	text := "organizations: [{api_key_file: key, http: {tls_config: {ca_file: ca.pem}}}]\npricing: {file: /etc/prices.json}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := config.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	o := v.Organizations()[0]
	got := []string{o.Key.File, o.HTTP.Config().TLSConfig.CAFile, v.Pricing().File}
	if diff := cmp.Diff([]string{filepath.Join(dir, "key"), filepath.Join(dir, "ca.pem"), "/etc/prices.json"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSlowEndpointsKeepTheirPaceUnlessTheFileNamesThem(t *testing.T) {
	v := parse(t, "usage: {interval: 5s, lookback: 10m}")
	for _, name := range []string{"vector_stores", "code_interpreter_sessions"} {
		if s := settings(t, v, name); s.Width != api.Hour || s.Interval != 15*time.Minute {
			t.Errorf("%s is polled in buckets of %s every %s", name, s.Width.Name, s.Interval)
		}
	}
	v = parse(t, "usage: {endpoints: {code_interpreter_sessions: {interval: 5s}, vector_stores: {bucket_width: 1m}}}")
	if s := settings(t, v, "code_interpreter_sessions"); s.Width != api.Hour || s.Interval != 5*time.Second {
		t.Errorf("code_interpreter_sessions is polled in buckets of %s every %s", s.Width.Name, s.Interval)
	}
	if s := settings(t, v, "vector_stores"); s.Width != api.Minute || s.Interval != 15*time.Minute {
		t.Errorf("vector_stores is polled in buckets of %s every %s", s.Width.Name, s.Interval)
	}
}

func TestALookbackIsNeverShorterThanABucket(t *testing.T) {
	v := parse(t, "usage: {lookback: 10m}")
	if s := settings(t, v, "completions"); s.Lookback != 10*time.Minute {
		t.Errorf("completions read %s", s.Lookback)
	}
	if s := settings(t, v, "code_interpreter_sessions"); s.Lookback != time.Hour {
		t.Errorf("code_interpreter_sessions read %s, want the whole bucket", s.Lookback)
	}
}

func TestALevelIsReadForADayAndNotAudited(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 24 * time.Hour,
		"usage: {endpoints: {vector_stores: {lookback: 2h}}}":  24 * time.Hour,
		"usage: {endpoints: {vector_stores: {lookback: 48h}}}": 48 * time.Hour,
	} {
		s := settings(t, parse(t, text), "vector_stores")
		if s.Lookback != want || s.AuditInterval != 0 || s.AuditWindow != 0 {
			t.Errorf("%q: lookback %s, audit every %s of %s", text, s.Lookback, s.AuditInterval, s.AuditWindow)
		}
	}
	if s := settings(t, config.Default(), api.Costs); s.AuditInterval != 0 || s.AuditWindow != 0 || s.Width != api.CostDay {
		t.Errorf("costs: %v", s)
	}
}

func TestStartIsFlooredToWhatCanBeRead(t *testing.T) {
	now := time.Date(2026, 11, 22, 1, 45, 30, 0, time.FixedZone("", 2*3600)) // 23:45:30 UTC of the day before.
	at := func(month time.Month, day, hour int) time.Time {
		return time.Date(2026, month, day, hour, 0, 0, 0, time.UTC)
	}
	for _, c := range []struct {
		start        string
		usage, costs time.Time
		explicit     bool
	}{
		{start: "now"},
		{"today", at(11, 21, 0), at(11, 21, 0), true},
		{"month", at(11, 1, 0), at(11, 1, 0), true},
		{"2026-10-31T23:59:59Z", at(10, 31, 23), at(10, 31, 0), true},
		{"2026-11-01T01:30:00+05:30", at(10, 31, 20), at(10, 31, 0), true},
	} {
		start, err := config.ParseStart(c.start)
		if err != nil {
			t.Fatal(err)
		}
		usage, costs, explicit := start.Origin(now)
		if !usage.Equal(c.usage) || !costs.Equal(c.costs) || explicit != c.explicit {
			t.Errorf("%s: usage from %s, costs from %s, explicit %t", c.start, usage, costs, explicit)
		}
	}
}

func TestWhatIsAllowedButNotMeantIsAWarning(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte("sk-admin-a"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good, open, absent := file("good", 0o640), file("open", 0o644), filepath.Join(dir, "absent")
	t.Setenv("SOME_KEY", "sk-admin-a")
	for _, c := range []struct{ text, want string }{
		{"organizations: [{api_key_file: " + good + "}]", ""},
		{"organizations: [{api_key_env: SOME_KEY}]", ""},
		{"organizations: [{api_key_env: NO_SUCH_KEY}]", `organization "default": environment variable NO_SUCH_KEY is not set`},
		{"organizations: [{api_key_file: " + absent + "}]", `organization "default": api_key_file ` + absent + ` does not exist yet`},
		{"organizations: [{api_key_file: " + open + "}]", `organization "default": api_key_file ` + open + ` can be read by every user of this machine`},
		{"organizations: [{api_key_env: SOME_KEY, base_url: http://proxy.example.com/v1}]", `organization "default": base_url http://proxy.example.com/v1 is not encrypted`},
		{"organizations: [{api_key_env: SOME_KEY, base_url: http://127.0.0.1:8080/v1}]", ""},
		{"organizations: [{api_key_env: SOME_KEY, base_url: 'http://[::1]:8080/v1'}]", ""},
		{"organizations: [{api_key_env: SOME_KEY, base_url: http://localhost:8080}]", ""},
		{"organizations: [{api_key_env: SOME_KEY, http: {tls_config: {insecure_skip_verify: true}}}]", `organization "default": http.tls_config.insecure_skip_verify accepts any certificate`},
		{"organizations: [{api_key_env: SOME_KEY}]\npricing: {file: " + absent + "}", "pricing.file " + absent + " does not exist"},
	} {
		got := parse(t, c.text).Warnings()
		if c.want == "" {
			if len(got) > 0 {
				t.Errorf("%s: %q, want none", c.text, got)
			}
			continue
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestWhatHoldsReadsAsTheSame(t *testing.T) {
	for _, name := range files(t, "*.good.yml") {
		if filepath.Base(name) == "full.good.yml" {
			continue // It has secrets, which do not survive.
		}
		v, err := config.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse(name, v.Redacted())
		if err != nil {
			t.Errorf("%s: refused:\n%v\n%s", name, err, v.Redacted())
			continue
		}
		if !again.Equal(v) {
			t.Errorf("%s comes to something else:\n%s", name, v.Redacted())
		}
	}
}

func TestEqualSeesEveryDifference(t *testing.T) {
	const two = "organizations: [{name: a, api_key_env: A}, {name: b, api_key_env: B}]\n"
	base := parse(t, two)
	for _, same := range []string{
		two + "usage: {interval: 1m, group_by: [model, project_id]}",
		two + "counters: {start: now, idle_retention: 35d}\ncosts:\n",
		"organizations:\n- name: a\n  api_key_env: A\n  base_url: https://api.openai.com/v1/\n- {name: b, api_key_env: B, http: {}}\n",
	} {
		if v := parse(t, same); !v.Equal(base) || !base.Equal(v) || !v.Unchanged(base, "a") || !v.Unchanged(base, "b") {
			t.Errorf("differs:\n%s", same)
		}
	}
	for _, c := range []struct {
		text      string
		unchanged []string // organizations that may go on running
	}{
		{"organizations: [{name: a, api_key_env: A}, {name: b, api_key_env: C}]", []string{"a"}},
		{"organizations: [{name: a, api_key_env: A}, {name: b, api_key_file: B}]", []string{"a"}},
		{"organizations: [{name: a, api_key_env: A}, {name: c, api_key_env: B}]", []string{"a"}},
		{"organizations: [{name: a, api_key_env: A}]", []string{"a"}},
		{"organizations: [{name: b, api_key_env: B}, {name: a, api_key_env: A}]", []string{"a", "b"}},
		{"organizations: [{name: a, api_key_env: A, requests_per_minute: 59}, {name: b, api_key_env: B}]", []string{"b"}},
		{"organizations: [{name: a, api_key_env: A, base_url: http://localhost}, {name: b, api_key_env: B}]", []string{"b"}},
		{"organizations: [{name: a, api_key_env: A, http: {proxy_url: http://p}}, {name: b, api_key_env: B}]", []string{"b"}},
		{"organizations: [{name: a, api_key_env: A, http: {tls_config: {ca_file: c}}}, {name: b, api_key_env: B}]", []string{"b"}},
		{two + "usage: {interval: 2m}", nil},
		{two + "usage: {bucket_width: 1h}", nil},
		{two + "usage: {endpoints: {images: {enabled: false}}}", nil},
		{two + "usage: {endpoints: {images: {group_by: [size]}}}", nil},
		{two + "usage: {audit: {window: 71h}}", nil},
		{two + "costs: {lookback: 72h}", nil},
		{two + "counters: {start: today}", nil},
		{two + "counters: {start: 2026-01-01T00:00:00Z}", nil},
		{two + "counters: {zero_hold: 1m}", nil},
		{two + "counters: {max_label_sets: 1}", nil},
		{two + "counters: {idle_retention: 841h}", nil},
		{two + "names: {user_emails: true}", nil},
		{two + "limits: {enabled: false}", nil},
		{two + "pricing: {learn_from_costs: false}", []string{"a", "b"}},
		{two + "pricing: {file: p}", []string{"a", "b"}},
		{two + "budgets: [{name: x, organization: b, monthly_usd: 1}]", []string{"a", "b"}},
	} {
		v := parse(t, c.text)
		if v.Equal(base) || base.Equal(v) {
			t.Errorf("the same:\n%s", c.text)
		}
		for _, name := range []string{"a", "b"} {
			if got, want := v.Unchanged(base, name), slices.Contains(c.unchanged, name); got != want {
				t.Errorf("organization %s unchanged: %t, want %t:\n%s", name, got, want, c.text)
			}
		}
	}
	if base.Unchanged(nil, "a") || base.Equal(nil) {
		t.Error("equal to nothing")
	}
}

func TestAValidConfigurationCannotBeChangedFromOutside(t *testing.T) {
	const text = `
organizations: [{api_key_env: A, http: {proxy_url: http://p, proxy_connect_header: {A: [b]}}}]
budgets: [{name: x, project_ids: [p], monthly_usd: 1}]
`
	v, before := parse(t, text), parse(t, text)
	orgs, endpoints, budgets := v.Organizations(), v.Endpoints(), v.Budgets()
	orgs[0].Name = "changed"
	http := orgs[0].HTTP.Config()
	http.TLSConfig.InsecureSkipVerify = true
	http.ProxyConnectHeader["A"][0] = "changed"
	http.Proxy() // It remembers the function that it makes.
	endpoints[0].Enabled = false
	endpoints[0].GroupBy[0] = "changed"
	budgets[0].ProjectIDs[0] = "changed"
	if !v.Equal(before) {
		t.Errorf("changed:\n%s", v.Redacted())
	}
}

func TestABudgetIsOfTheOnlyOrganizationOrNamesOne(t *testing.T) {
	for text, want := range map[string]string{
		"budgets: [{name: x, monthly_usd: 1}]":                                                                                         config.DefaultOrganization,
		"organizations: [{name: acme}]\nbudgets: [{name: x, monthly_usd: 1}]":                                                          "acme",
		"organizations: [{name: acme}]\nbudgets: [{name: x, organization: acme, monthly_usd: 1}]":                                      "acme",
		"organizations: [{name: a, api_key_env: A}, {name: b, api_key_env: B}]\nbudgets: [{name: x, organization: b, monthly_usd: 1}]": "b",
	} {
		if got := parse(t, text).Budgets()[0].Organization; got != want {
			t.Errorf("organization %q, want %q:\n%s", got, want, text)
		}
	}
	a := parse(t, "organizations: [{name: a, api_key_env: A}, {name: b, api_key_env: B}]\nbudgets: [{name: x, organization: a, monthly_usd: 1}]")
	b := parse(t, "organizations: [{name: a, api_key_env: A}, {name: b, api_key_env: B}]\nbudgets: [{name: x, organization: b, monthly_usd: 1}]")
	if a.Equal(b) {
		t.Error("budgets of different organizations are the same")
	}
}

func TestAConfigurationMadeInCodeIsCheckedToo(t *testing.T) {
	_, err := (&config.Config{Organizations: []config.Organization{{}, {Name: "a"}}}).Validate()
	problems, ok := err.(config.Problems)
	if !ok || len(problems) < 5 {
		t.Fatalf("got %v", err)
	}
	for _, p := range problems {
		if p.Line != 0 || p.File != "" || strings.HasPrefix(p.String(), ":") {
			t.Errorf("a line without a file: %s", p)
		}
	}
}

func TestABudgetHasOneAmountForOnePeriod(t *testing.T) {
	for text, want := range map[string]string{
		"monthly_usd: 1":   config.Month,
		"quarterly_usd: 1": config.Quarter,
		"yearly_usd: 1":    config.Year,
		"usd: 1, start: 2026-06-01, end: 2027-06-01": config.Term,
		"usd: 1, start: 2026-06-01, end: 2027-07-06": config.Term, // 400 days
	} {
		b := parse(t, "budgets: [{name: x, "+text+"}]").Budgets()[0]
		if usd, period := b.Amount(); usd != 1 || period != want {
			t.Errorf("%s: %v for each %s, want 1 for each %s", text, usd, period, want)
		}
	}
	month, year := parse(t, "budgets: [{name: x, monthly_usd: 1}]"), parse(t, "budgets: [{name: x, yearly_usd: 1}]")
	early, late := parse(t, "budgets: [{name: x, usd: 1, start: 2026-06-01, end: 2026-07-01}]"), parse(t, "budgets: [{name: x, usd: 1, start: 2026-06-01, end: 2026-08-01}]")
	if month.Equal(year) || early.Equal(late) {
		t.Error("budgets of different periods are the same")
	}
}
