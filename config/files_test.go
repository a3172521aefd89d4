package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/configuration.md")

func files(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files like %s: %v", pattern, err)
	}
	return names
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// golden compares with a file that -update rewrites.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, name)), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, diff)
	}
}

func TestGoodFilesAreAccepted(t *testing.T) {
	for _, name := range files(t, "*.good.yml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if _, err := config.Load(name); err != nil {
				t.Errorf("refused:\n%v", err)
			}
		})
	}
}

func TestBadFilesAreRefusedWithEveryProblemAtItsLine(t *testing.T) {
	for _, name := range files(t, "*.bad.yml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := config.Parse(filepath.Base(name), read(t, name))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, secret := range []string{"sk-admin-", "hunter2"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("shows a secret:\n%v", err)
				}
			}
			golden(t, strings.TrimSuffix(name, ".yml")+".txt", []byte(err.Error()+"\n"))
		})
	}
}

func TestAConfigurationThatPollsNothingIsRefused(t *testing.T) {
	text := "costs: {enabled: false}\nusage:\n  endpoints:\n"
	for _, e := range api.Endpoints {
		if !e.IsCosts() {
			text += "    " + e.Name + ": {enabled: false}\n"
		}
	}
	_, err := config.Parse("nothing.yml", []byte(text))
	want := "nothing.yml:3: usage.endpoints: every endpoint and costs are switched off: there is nothing to poll"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestProblemsCanBeTakenApart(t *testing.T) {
	_, err := config.Parse("x.yml", []byte("costs: {enabled: 1}\nnames: {interval: 0s}\n"))
	problems, ok := err.(config.Problems)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	want := config.Problems{
		{File: "x.yml", Line: 1, Message: `costs.enabled: must be true or false, not "1"`},
		{File: "x.yml", Line: 2, Message: "names.interval: must be at least 1s"},
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "absent.yml"))
	if err == nil || !strings.Contains(err.Error(), "absent.yml") || !os.IsNotExist(unwrap(err)) {
		t.Errorf("got %v", err)
	}
}

func unwrap(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, path := err.(*os.PathError); path {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestAFileFarTooLargeIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large.yml")
	if err := os.WriteFile(name, bytes.Repeat([]byte("# no\n"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(name); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestTheFullExampleHasEveryKey(t *testing.T) {
	full := string(read(t, "testdata/full.good.yml"))
	keys := regexp.MustCompile("(?m)^\\| `[^`]*[.]([a-z_]+)(?:\\[\\])?` \\|").FindAllStringSubmatch(string(read(t, "../docs/configuration.md")), -1)
	if len(keys) < 40 {
		t.Fatalf("docs/configuration.md lists %d keys", len(keys))
	}
	for _, k := range keys {
		if !regexp.MustCompile(`\b` + k[1] + `:`).MatchString(full) {
			t.Errorf("testdata/full.good.yml does not use %s", k[1])
		}
	}
}

func TestEveryKeyOfTheFullExampleArrives(t *testing.T) {
	v, err := config.Load("testdata/full.good.yml")
	if err != nil {
		t.Fatal(err)
	}

	orgs := v.Organizations()
	if len(orgs) != 2 {
		t.Fatalf("%d organizations, want 2", len(orgs))
	}
	first, second := orgs[0], orgs[1]
	type organization struct {
		Name, File, Env, BaseURL string
		PerMinute                int
		ProjectIDs               []string
	}
	gotOrgs := []organization{
		{first.Name, first.Key.File, first.Key.Env, first.BaseURL, first.RequestsPerMinute, first.ProjectIDs},
		{second.Name, second.Key.File, second.Key.Env, second.BaseURL, second.RequestsPerMinute, second.ProjectIDs},
	}
	wantOrgs := []organization{
		{Name: "acme", File: "testdata/secrets/acme_admin_key", BaseURL: "https://api.openai.com/v1", PerMinute: 90, ProjectIDs: []string{"proj_abc", "proj_def"}},
		{Name: "acme-research", Env: "RESEARCH_ADMIN_KEY", BaseURL: api.DefaultBaseURL, PerMinute: 60},
	}
	if diff := cmp.Diff(wantOrgs, gotOrgs); diff != "" {
		t.Errorf("organizations (-want +got):\n%s", diff)
	}
	if got := first.HTTP.Config().ProxyURL.String(); got != "http://proxy.example.com:3128" {
		t.Errorf("proxy_url is %s", got)
	}
	if h := first.HTTP.Config(); h.NoProxy != "localhost,10.0.0.0/8" || h.FollowRedirects || h.EnableHTTP2 ||
		h.GetProxyConnectHeader().Get("Proxy-Authorization") != "Basic c2VjcmV0" {
		t.Error("the first organization's http settings did not arrive")
	}
	wantTLS := promconfig.TLSConfig{
		CAFile: "testdata/tls/ca.pem", CertFile: "/etc/tls/client.pem", KeyFile: "testdata/tls/client.key",
		ServerName: "api.openai.com", MinVersion: promconfig.TLSVersions["TLS12"], MaxVersion: promconfig.TLSVersions["TLS13"],
	}
	if diff := cmp.Diff(wantTLS, first.HTTP.Config().TLSConfig); diff != "" {
		t.Errorf("tls_config (-want +got):\n%s", diff)
	}
	if h := second.HTTP.Config(); !h.ProxyFromEnvironment || !h.FollowRedirects || !h.EnableHTTP2 ||
		h.TLSConfig.CA != "-----BEGIN CERTIFICATE-----\n" || h.TLSConfig.Cert != "-----BEGIN CERTIFICATE-----\n" || h.TLSConfig.Key != "-----BEGIN PRIVATE KEY-----\n" {
		t.Error("the second organization's http settings did not arrive")
	}

	three := []string{"project_id", "api_key_id", "model"}
	changes := map[string]func(*config.EndpointSettings){
		"completions": func(s *config.EndpointSettings) {
			s.GroupBy, s.Lookback = []string{"project_id", "model", "batch", "service_tier"}, 3*time.Hour
			s.Filters = api.Filters{"batch": {"false"}, "models": {"gpt-6-luna", "gpt-6-sol"}, "user_ids": {"user-1"}}
		},
		"images": func(s *config.EndpointSettings) {
			s.Filters = api.Filters{"sources": {"image.generation"}, "sizes": {"1024x1024"}}
		},
		"embeddings":  func(s *config.EndpointSettings) { s.GroupBy = nil },
		"moderations": func(s *config.EndpointSettings) { s.Enabled = false },
		"vector_stores": func(s *config.EndpointSettings) {
			s.Width, s.Interval, s.Lookback = api.Hour, 20*time.Minute, 36*time.Hour
			s.AuditInterval, s.AuditWindow = 0, 0
		},
		"code_interpreter_sessions": func(s *config.EndpointSettings) { s.Width, s.Interval = api.Hour, 15*time.Minute },
		api.Costs: func(s *config.EndpointSettings) {
			s.GroupBy, s.Width, s.Interval, s.Lookback = []string{"project_id", "line_item", "api_key_id"}, api.CostDay, 20*time.Minute, 120*time.Hour
			s.Filters = api.Filters{"line_items": {"gpt-6-sol, input"}}
			s.AuditInterval, s.AuditWindow = 0, 0
		},
	}
	var want []config.EndpointSettings
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		s := config.EndpointSettings{
			Endpoint: e, Enabled: true, GroupBy: e.GroupBy(three), Width: api.Minute, Interval: 2 * time.Minute, Lookback: 2 * time.Hour,
			AuditInterval: 30 * time.Minute, AuditWindow: 48 * time.Hour,
		}
		if change, ok := changes[e.Name]; ok {
			change(&s)
		}
		want = append(want, s)
	}
	if diff := cmp.Diff(want, v.Endpoints(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}

	start, err := config.ParseStart("2026-11-01T08:30:00Z")
	if err != nil {
		t.Fatal(err)
	}
	got := []any{v.Names(), v.Limits(), v.Counters(), v.Pricing(), v.Teams(), v.Budgets()}
	rest := []any{
		config.Names{Enabled: true, Interval: 15 * time.Minute, UserEmails: true},
		config.Limits{Interval: time.Hour},
		config.Counters{Start: start, MaxLabelSets: 5000, IdleRetention: 1000 * time.Hour},
		config.Pricing{File: "testdata/prices.json"},
		[]config.Team{
			{Name: "search", Organization: "acme", ProjectIDs: []string{"proj_abc"}, Labels: config.Labels{"cost_center": "4711", "lead": "Aiko"}},
			{Name: "research", Organization: "acme", ProjectIDs: []string{"proj_def"}},
			{Name: "research", Organization: "acme-research", ProjectIDs: []string{"proj_ghi", "proj_jkl"}},
		},
		[]config.Budget{
			{Name: "research", Organization: "acme-research", ProjectIDs: []string{"proj_abc", "proj_def"}, MonthlyUSD: 500},
			{Name: "everything", Organization: "acme", MonthlyUSD: 1999.5},
			{Name: "everything", Organization: "acme-research", MonthlyUSD: 750},
			{Name: "search", Organization: "acme", Team: "search", MonthlyUSD: 600},
			{Name: "quarter", Organization: "acme", QuarterlyUSD: 9000},
			{Name: "year", Organization: "acme", YearlyUSD: 40000},
			{Name: "prepaid", Organization: "acme", USD: 20000, Start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)},
		},
	}
	if diff := cmp.Diff(rest, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDocumentationSaysWhatTheParserKnows(t *testing.T) {
	var b bytes.Buffer
	if err := config.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "docs", "configuration.md"), b.Bytes())
}

func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	text := string(read(t, filepath.Join("..", "docs", "configuration.md")))
	_, text, found := strings.Cut(text, "```yaml\n")
	text, _, closed := strings.Cut(text, "```")
	if !found || !closed {
		t.Fatal("no YAML in docs/configuration.md")
	}
	v, err := config.Parse("docs", []byte(text))
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	if !v.Equal(config.Default()) {
		t.Error("the documented defaults come to something else than no configuration at all")
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"*.good.yml", "*.bad.yml"} {
		for _, name := range files(f, pattern) {
			f.Add(read(f, name))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := config.Parse("fuzz.yml", data)
		if err != nil {
			problems, ok := err.(config.Problems)
			if !ok || len(problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for i, p := range problems {
				if p.Message == "" || strings.ContainsAny(p.String(), "\n\r") || i > 0 && p.Line < problems[i-1].Line {
					t.Fatalf("problem %d is empty, torn or out of order:\n%v", i, err)
				}
			}
			return
		}
		again, err := config.Parse("fuzz.yml", v.Redacted())
		if err != nil {
			t.Fatalf("what holds is refused:\n%v\n%s", err, v.Redacted())
		}
		if diff := cmp.Diff(v.Endpoints(), again.Endpoints(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("what holds reads as something else (-was +now):\n%s", diff)
		}
	})
}
