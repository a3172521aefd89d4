package command

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestEverySituationHasItsLine is the list of what can be wrong at the start and of what a user reads then. Anyone who
// changes a line reads it here as that user does.
func TestEverySituationHasItsLine(t *testing.T) {
	t.Chdir(t.TempDir())
	_, baseURL := simulate(t, simulator.Options{})
	for name, text := range map[string]string{
		"typo.yml":       "usage: {intervall: 1m}\ncosts: {interval: 0s}\n",
		"brackets.yml":   "usage: [\n",
		"two.yml":        "organizations: [{name: a}, {name: b}]\n",
		"good.yml":       "organizations:\n  - {name: acme, api_key_file: good.key, base_url: " + baseURL + "}\n",
		"wrong.yml":      "organizations:\n  - {name: acme, api_key_file: wrong.key, base_url: " + baseURL + "}\n",
		"scopeless.yml":  "organizations:\n  - {name: acme, api_key_file: scopeless.key, base_url: " + baseURL + "}\n",
		"absent.yml":     "organizations:\n  - {name: acme, api_key_file: absent.key, base_url: " + baseURL + "}\n",
		"good.key":       goodKey,
		"wrong.key":      "sk-admin-wrong-0123456789",
		"scopeless.key":  scopelesKey,
		"web.yml":        "tls_server_config: {cert_file: a}\n",
		"web-keys.yml":   "tls_server_config:\n  cert_file: a\n  kay_file: b\nhttp_server_config:\n  http2: perhaps\n",
		"web-users.yml":  "# who may look\nbasic_auth_users:\n  alice: open-sesame\n  bob: $2y$10$JUpc3y6GWRhvUF0KbNJnJ.a6bJ2jYxQqH3Y1nV5xXHZ0Q6u8w5e2S\n  carol: letmein\n",
		"web-header.yml": "http_server_config:\n  headers:\n    X-Frame-Options: maybe\n",
		"web-torn.yml":   "basic_auth_users:\n  [\n",
		"wrong-all.yml":  "pricing: {file: prices.json}\nteams: [{name: a, project_ids: [proj_a]}]\n",
		"prices.json":    "\xef\xbb\xbf[\n  {\"id\": \"openai\",\n   \"models\": [{}]}\n]\n",
		"tls.yml":        "organizations:\n  - {name: acme, api_key_file: good.key, http: {tls_config: {ca_file: absent.pem}}}\n  - {name: globex, api_key_file: wrong.key, http: {tls_config: {cert: c, key: k}}}\n",
		"a_file":         "",
		"history.om":     "",
		"torn/ledger.db": "torn",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	address := busy.Addr().String()
	listen := "--web.listen-address=127.0.0.1:0"

	for _, tc := range []struct {
		name string
		env  string // the admin key; "" leaves it unset
		args string
		want string
	}{
		// The command line.
		{"a command that does not exist", "", "bakfill", `there is no command or argument "bakfill"; try --help`},
		{"a flag that does not exist", "", "--config.fil=x", `unknown long flag '--config.fil'; try --help`},
		{"a flag without its value", "", "--storage.path", `expected argument for flag '--storage.path'; try --help`},
		{"an unknown level", "", "--log.level=loud", `--log.level: must be one of debug,info,warn,error, got 'loud'; try --help`},
		{"an unknown format", "", "--log.format=xml", `--log.format: must be one of logfmt,json, got 'xml'; try --help`},
		{"no number", "", "simulate --speed=fast", `--speed: "fast" is not a valid number; try --help`},
		{"demo with a configuration", "", "--demo --config.file=good.yml", `--demo has a configuration of its own: leave out --config.file`},
		{"demo with a state", "", "--demo --storage.path=elsewhere", `--demo keeps its state in a temporary directory: leave out --storage.path`},
		{"demo with the default state, named", "", "--storage.path=data --demo", `--demo keeps its state in a temporary directory: leave out --storage.path`},
		{"demo with both", "", "--storage.path data --demo --config.file=good.yml --config.check", `--demo has a configuration and a state of its own: leave out --config.file and --storage.path`},
		{"an empty directory", goodKey, listen + " --storage.path=", `--storage.path is empty: set it to the directory of the state, or leave it out`},
		{"an empty address", goodKey, "--web.listen-address=", `--web.listen-address is empty: set it to an address such as :10095, or leave it out`},
		{"an empty telemetry path", goodKey, listen + " --web.telemetry-path=", `--web.telemetry-path is empty: set it to a path such as /metrics, or leave it out`},

		// The key.
		{"no key", "", listen, `organization default: no admin key: set OPENAI_ADMIN_KEY to an admin key with the scope api.usage.read, name a file with api_key_file in the configuration, or try --demo`},
		{"an empty key", " ", listen, `organization default: no admin key: set OPENAI_ADMIN_KEY to an admin key with the scope api.usage.read, name a file with api_key_file in the configuration, or try --demo`},
		{"a key that is two words", "sk-admin one", listen, `organization default: no admin key: environment variable OPENAI_ADMIN_KEY holds white space or characters that no key has: it must hold the admin key and nothing else`},

		// The configuration.
		{"no such file", "", "--config.file=missing.yml", `read configuration: open missing.yml: no such file or directory: set --config.file to a file that exists and can be read, or leave it out if $OPENAI_ADMIN_KEY is all you need to set`},
		{"a directory", "", "--config.file=.", `read configuration: read .: is a directory: set --config.file to a file that exists and can be read, or leave it out if $OPENAI_ADMIN_KEY is all you need to set`},
		{"no YAML", "", "--config.file=brackets.yml", `brackets.yml:2: not valid YAML: did not find expected node content`},
		{"two mistakes at once", "", "--config.file=typo.yml", `typo.yml:1: usage: unknown key "intervall"; did you mean interval? allowed: interval, bucket_width, lookback, group_by, audit, endpoints
typo.yml:2: costs.interval: must be at least 1s`},
		{"several organizations without keys", "", "--config.file=two.yml", `two.yml:1: organizations[0]: names no key: with several organizations each needs api_key_file or api_key_env
two.yml:1: organizations[1]: names no key: with several organizations each needs api_key_file or api_key_env`},
		{"certificates that can't be used", "", listen + " --config.file=tls.yml", `organization acme: set up http: unable to read CA cert: unable to read file absent.pem: open absent.pem: no such file or directory`},
		{"a check of certificates that can't be used", "", "--config.check --config.file=tls.yml", "organization acme: set up http: unable to read CA cert: unable to read file absent.pem: open absent.pem: no such file or directory\norganization globex: set up http: unable to use specified client cert (inline) & key (inline): tls: failed to find any PEM data in certificate input"},

		// The state.
		{"a file in place of the state directory", goodKey, listen + " --storage.path=a_file", `state file a_file: mkdir a_file: not a directory; choose a directory that the exporter may write to with --storage.path`},
		{"a torn state", goodKey, listen + " --storage.path=torn", `state file torn/ledger.db: damaged: invalid database; restore it from a backup, or move it away to start counting from zero`},

		// The web.
		{"an address in use", goodKey, "--web.listen-address=" + address, `listen on ` + address + `: address already in use; see --web.listen-address`},
		{"no address", goodKey, "--web.listen-address=nonsense", `listen on nonsense: missing port in address; see --web.listen-address`},
		{"no port", goodKey, "--web.listen-address=:99999", `listen on :99999: invalid port; see --web.listen-address`},
		{"no such web configuration", goodKey, listen + " --web.config.file=missing.yml", `read web configuration missing.yml: no such file or directory: set --web.config.file to a file that exists and can be read`},
		{"half a web configuration", goodKey, listen + " --web.config.file=web.yml", `read web configuration web.yml:1: tls_server_config: missing one of key or key_file`},
		{"a relative telemetry path", goodKey, listen + " --web.telemetry-path=metrics", `telemetry path "metrics" is not a plain absolute path: set --web.telemetry-path to one like /metrics`},
		{"a telemetry path that is taken", goodKey, listen + " --web.telemetry-path=/-/healthy", `telemetry path /-/healthy is already in use: choose another --web.telemetry-path`},

		{"a check of half a web configuration", goodKey, "--config.check --web.config.file=web.yml", `read web configuration web.yml:1: tls_server_config: missing one of key or key_file`},
		{"a check of a telemetry path that is taken", goodKey, "--config.check --web.telemetry-path=/-/healthy", `telemetry path /-/healthy is already in use: choose another --web.telemetry-path`},

		{"keys that a web configuration does not have", goodKey, "--config.check --web.config.file=web-keys.yml", "read web configuration web-keys.yml:3: field kay_file not found in type web.TLSConfig\nread web configuration web-keys.yml:5: cannot unmarshal !!str `perhaps` into bool"},
		{"passwords that are no hashes", goodKey, "--config.check --web.config.file=web-users.yml", "read web configuration web-users.yml:3: basic_auth_users: the password of alice is no bcrypt hash: make one, such as with htpasswd -nBC 10 alice\nread web configuration web-users.yml:5: basic_auth_users: the password of carol is no bcrypt hash: make one, such as with htpasswd -nBC 10 carol"},
		{"a header of a web configuration", goodKey, "--config.check --web.config.file=web-header.yml", `read web configuration web-header.yml:1: http_server_config: invalid value for X-Frame-Options. Expected one of: ["deny" "sameorigin"], but got: "maybe"`},
		{"a web configuration that is no YAML", goodKey, "--config.check --web.config.file=web-torn.yml", `read web configuration web-torn.yml:2: did not find expected node content`},
		{"everything at once", goodKey, "--config.check --config.file=wrong-all.yml --web.config.file=web.yml --web.telemetry-path=/-/healthy", "pricing.file: read price list prices.json: line 3: [0].models[0]: want a model with an \"id\", \"match\" and \"prices\"\ntelemetry path /-/healthy is already in use: choose another --web.telemetry-path\nread web configuration web.yml:1: tls_server_config: missing one of key or key_file"},

		{"an import of something else", "", "import-state --storage.path=fresh --input=good.yml", `read the exported state good.yml: damaged: invalid database; name a file that export-state wrote with --input`},

		// The simulator.
		{"a time that is none", "", "simulate --start=yesterday", `--start "yesterday" is neither a date such as 2026-11-01, which is midnight UTC, nor a time such as 2026-11-01T15:00:00Z`},
		{"a clock that goes backwards", "", "simulate --speed=-1", `--speed must be above 0`},
		{"a clock that stands", "", "simulate --speed=0", `--speed must be above 0`},
		{"no number of a speed", "", "simulate --speed=NaN", `--speed must be above 0`},
		{"less traffic than none", "", "simulate --scale=-1", `--scale must be above 0 and at most 1000`},
		{"fewer label sets than none", "", "simulate --label-sets=-1", `--label-sets must not be negative`},
		{"an address in use, of the simulator", "", "simulate --listen-address=" + address, `listen on ` + address + `: address already in use; see --listen-address`},
		{"an unknown lateness", "", "simulate --lateness=never", `--lateness: must be one of instant,minutes,hours, got 'never'; try --help`},

		// The past.
		{"a backfill without anything", "", "backfill", `required flag(s) '--output', '--start' not provided; try --help`},
		{"a backfill without an end", goodKey, "backfill --start=2026-02-01 --output=o", `--end is missing: counters.start is "now", so the configuration does not say where the live counters begin; give the time that the status page shows (counting since)`},
		{"a backfill that ends before it starts", goodKey, "backfill --start=2026-02-01 --end=2026-01-01 --output=o", `--start 2026-02-01T00:00:00Z is not before the end 2026-01-01T00:00:00Z`},
		{"a day that does not exist", goodKey, "backfill --start=2026-02-30 --end=2026-03-01 --output=o", `--start "2026-02-30" is neither a date such as 2026-11-01, which is midnight UTC, nor a time such as 2026-11-01T15:00:00Z`},
		{"a width that the API does not have", goodKey, "backfill --start=2026-02-01 --end=2026-02-02 --output=o --bucket-width=5m", `--bucket-width: must be one of 1m,1h,1d, got '5m'; try --help`},
		{"an organization that is not configured", goodKey, "backfill --config.file=good.yml --start=2026-02-01 --end=2026-02-02 --output=o --organization=nobody", `the configuration has no organization "nobody"; it has acme`},
		{"an output that exists", goodKey, "backfill --config.file=good.yml --start=2026-02-01 --end=2026-02-02 --output=history.om", `the output history.om exists: remove it, or name another file with --output`},
		{"a backfill without a key", "", "backfill --start=2026-02-01 --end=2026-02-02 --output=o", `organization default: no admin key: set OPENAI_ADMIN_KEY to an admin key with the scope api.usage.read, name a file with api_key_file in the configuration, or try --demo`},
		{"a key file that does not exist", "", "backfill --config.file=absent.yml --start=2026-02-01 --end=2026-02-02 --output=-", `read completions of acme: the admin key can't be read: api_key_file absent.key does not exist: write an admin key (https://platform.openai.com/settings/organization/admin-keys) into it`},
		{"a wrong key", "", "backfill --config.file=wrong.yml --start=2026-02-01 --end=2026-02-02 --output=w", `read completions of acme: the API does not accept the admin key (revoked, expired, mistyped, or no admin key): create one under Settings → Organization → Admin keys (https://platform.openai.com/settings/organization/admin-keys); what was read is kept in w.partial: run the same command again to go on`},
		{"a key without the scope", "", "backfill --config.file=scopeless.yml --start=2026-02-01 --end=2026-02-02 --output=-", `read completions of acme: the admin key lacks the scope api.usage.read: create an admin key with it under Settings → Organization → Admin keys (https://platform.openai.com/settings/organization/admin-keys)`},
		{"a comparison without a start", goodKey, "verify", `required flag(s) '--start' not provided; try --help`},
		{"no URL of Prometheus", goodKey, "verify --start=2026-02-01 --end=2026-02-02 --prometheus.url=localhost", `--prometheus.url "localhost" is not an http or https URL, such as http://localhost:9090`},
		{"no Prometheus there", "", "verify --config.file=good.yml --start=2026-02-01 --end=2026-02-02 --prometheus.url=http://" + refusing(t), `Prometheus at ` + "{refusing}" + ` can't be reached: dial tcp {refusing}: connect: connection refused`},
		{"a tolerance below zero", goodKey, "verify --start=2026-02-01 --end=2026-02-02 --tolerance=-1", `--tolerance must not be negative`},
		{"no HTTP configuration for Prometheus", goodKey, "verify --start=2026-02-01 --end=2026-02-02 --prometheus.http-config=missing.yml", `read --prometheus.http-config: open missing.yml: no such file or directory`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.env != "" {
				t.Setenv(config.DefaultKeyEnv, tc.env)
			}
			p := start(t, strings.Fields(tc.args)...)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			var said []string
			for line := range strings.Lines(p.log.String()) {
				if text, ok := strings.CutPrefix(line, "openai_exporter: error: "); ok {
					said = append(said, strings.TrimSuffix(text, "\n"))
				}
			}
			want := tc.want
			if i := strings.Index(tc.args, "http://127.0.0.1:"); i >= 0 {
				want = strings.ReplaceAll(want, "{refusing}", tc.args[i+len("http://"):])
			}
			if got := strings.Join(said, "\n"); got != want {
				t.Errorf("said\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// refusing is an address on which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCompletionAndTheManPageKnowTheCommands(t *testing.T) {
	// The parser writes these to the process' own standard output, so it takes a process.
	binary := build(t)
	for args, want := range map[string]string{
		"--completion-script-bash":                   "complete -F _openai_exporter_bash_autocomplete",
		"--completion-script-zsh":                    "#compdef openai_exporter",
		"--completion-bash ba":                       "backfill",
		"--completion-bash backfill --bucket-width ": "1h",
		"--help-man":                                 "--bucket-width",
	} {
		out, err := exec.Command(binary, strings.Split(args, " ")...).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, said %q", args, err, out)
		}
	}
}

func TestFlagsOfThePastThatItsDocumentNamesExist(t *testing.T) {
	help := ""
	for _, command := range []string{"backfill", "verify"} {
		p := start(t, command, "--help")
		if p.wait() != 0 {
			t.Fatal("there is no help")
		}
		help += strings.ReplaceAll(p.stdout.String(), "--[no-]", "--")
	}
	text, err := os.ReadFile("../../docs/history.md")
	if err != nil {
		t.Fatal(err)
	}
	// These are promtool's, Prometheus', the parser's own, curl's, mimirtool's and Thanos'.
	others := []string{
		"--max-block-duration", "--label", "--storage.tsdb.retention.time", "--completion-script-bash", "--help-man",
		"--fail", "--data-binary", "--upload-file", "--request", "--address", "--id", "--objstore.config-file", "--path",
	}
	named := 0
	for _, name := range regexp.MustCompile(`--[a-z][a-z.-]*[a-z]`).FindAllString(string(text), -1) {
		if slices.Contains(others, name) {
			continue
		}
		if named++; !strings.Contains(help, name) {
			t.Errorf("docs/history.md names the flag %s, which the help does not know", name)
		}
	}
	if named < 10 {
		t.Errorf("docs/history.md names only %d flags", named)
	}
}
