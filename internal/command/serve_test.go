package command

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestStartUpErrorsAreOneClearLine(t *testing.T) {
	dir := t.TempDir()
	typo := filepath.Join(dir, "typo.yml")
	if err := os.WriteFile(typo, []byte("usage:\n  intervall: 1m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	notADirectory := filepath.Join(dir, "file")
	if err := os.WriteFile(notADirectory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, baseURL := simulate(t, simulator.Options{})
	good, _ := configure(t, baseURL, goodKey, "")

	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no key":            {[]string{"--storage.path=" + filepath.Join(dir, "a")}, "no admin key: set OPENAI_ADMIN_KEY"},
		"typo":              {[]string{"--config.file=" + typo}, `typo.yml:2: `},
		"no such file":      {[]string{"--config.file=" + filepath.Join(dir, "missing.yml")}, "missing.yml"},
		"unknown flag":      {[]string{"--config.fil=x"}, "unknown long flag '--config.fil'; try --help"},
		"storage":           {[]string{good[0], "--storage.path=" + notADirectory}, "--storage.path"},
		"address in use":    {append(good, "--web.listen-address="+busy.Addr().String()), "address already in use"},
		"demo with config":  {[]string{"--demo", "--config.file=" + typo}, "leave out --config.file"},
		"simulate nonsense": {[]string{"simulate", "--start=yesterday"}, `--start "yesterday" is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, tc.args...)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			var said []string
			for line := range strings.Lines(p.log.String()) {
				if strings.HasPrefix(line, "openai_exporter: error: ") {
					said = append(said, line)
				}
			}
			if len(said) != 1 || !strings.Contains(said[0], tc.want) {
				t.Errorf("said %q, want one line with %q; all of it:\n%s", said, tc.want, p.log)
			}
		})
	}
}

func TestConfigCheckSaysWhetherAConfigurationIsValid(t *testing.T) {
	args, file := configure(t, "https://api.openai.com/v1", goodKey, fast)
	p := start(t, append(args, "--config.check")...)
	if code := p.wait(); code != 0 || !strings.Contains(p.stdout.String(), "valid") {
		t.Errorf("exit code %d, said %q, %s", code, p.stdout, p.log)
	}
	writeConfig(t, file, "https://api.openai.com/v1", "usage: {bucket_width: 5m, lookback: x}")
	p = start(t, append(args, "--config.check")...)
	if code := p.wait(); code != 1 || strings.Count(p.log.String(), "config.yml:3: ") != 2 {
		t.Errorf("exit code %d, said %s", code, p.log)
	}
}

func TestVersionAndHelpEndTheProgram(t *testing.T) {
	for _, arg := range []string{"--version", "--help"} {
		p := start(t, arg)
		if code := p.wait(); code != 0 || !strings.Contains(p.stdout.String(), "openai_exporter") {
			t.Errorf("%s: exit code %d, said %q", arg, code, p.stdout)
		}
	}
}

func TestDemoServesUsageAndCostWithoutAKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // Others may run a demo of their own on this machine.
	began := time.Now().UTC()
	p := serve(t, "--demo")
	for _, name := range []string{"openai_usage_requests_total", "openai_usage_input_tokens_total", "openai_cost_usd_total"} {
		eventually(t, name, func() bool { return p.sum(name, "") > 0 })
	}
	p.ready()
	_, page := p.get("/")
	// Right after midnight nothing has been billed of the day yet, so what is right depends on the time of day: it lies between
	// what the API said when the demo began and what it says now, give or take what the API corrects meanwhile.
	api := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(page)
	for name, since := range map[string]func(time.Time) time.Time{
		"openai_cost_today_usd":         func(now time.Time) time.Time { return now.Truncate(24 * time.Hour) },
		"openai_cost_month_to_date_usd": func(now time.Time) time.Time { return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC) },
	} {
		eventually(t, name, func() bool {
			got, now := p.sum(name, ""), time.Now().UTC()
			return got >= 0.99*costTruth(t, api, since(now), began) && got <= 1.01*costTruth(t, api, since(now), now)
		})
	}
	if !strings.Contains(page, "demo") {
		t.Error("the page does not name the organization")
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("the demo left %s behind", left[0].Name())
	}
}

// costTruth is what a simulated API says at a moment about all that was billed since another.
func costTruth(t *testing.T, api string, since, asOf time.Time) float64 {
	t.Helper()
	code, body := request(t, http.MethodGet, fmt.Sprintf("%s/_simulator/truth?endpoint=costs&from=%d&asof=%d", api, since.Unix(), asOf.Unix()))
	var answer struct {
		Rows []struct {
			Values struct {
				USD float64 `json:"cost_usd,string"`
			} `json:"values"`
		} `json:"rows"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("the truth is %d %s: %v", code, body, err)
	}
	sum := 0.0
	for _, r := range answer.Rows {
		sum += r.Values.USD
	}
	return sum
}

func TestTheProgramCanRunTwiceAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel() // It mostly waits.
	s, baseURL := simulate(t, simulator.Options{Clock: simulator.NewClock(time.Now(), 3600).Now, Streams: quiet})
	args, _ := configure(t, baseURL, goodKey, fast+"\ncounters: {start: today, zero_hold: 0s}")
	p := serve(t, args...)
	p.ready()
	eventually(t, "usage", func() bool { return p.sum("openai_usage_requests_total", "endpoint=completions") > 0 })
	s.SetEnd(s.Now())
	before := p.sum("openai_usage_requests_total", "endpoint=completions")
	if code := p.stop(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.log)
	}
	p = serve(t, args...)
	if after := p.sum("openai_usage_requests_total", "endpoint=completions"); after < before {
		t.Errorf("after the restart %v requests, before %v", after, before)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestARefusedKeyIsNamedOnceWithWhatToDo(t *testing.T) {
	t.Parallel() // It mostly waits.
	for key, want := range map[string]string{
		"sk-admin-wrong-0123456789": "key",
		scopelesKey:                 "api.usage.read",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, baseURL := simulate(t, simulator.Options{Streams: quiet})
			args, file := configure(t, baseURL, key, fast+"\ncounters: {zero_hold: 0s}")
			p := serve(t, args...)
			p.ready() // failed, for a reason that the status names
			eventually(t, "a second attempt", func() bool {
				return p.sum("openai_exporter_api_requests_total", "endpoint=completions") >= 2
			})
			if up := p.sum("openai_up", ""); up != 0 {
				t.Errorf("%v endpoints are up", up)
			}
			named := 0
			for line := range strings.Lines(p.log.String()) {
				if strings.Contains(line, "level=error") && strings.Contains(line, want) {
					named++
				}
			}
			if named != 1 {
				t.Errorf("the log names the trouble %d times:\n%s", named, p.log)
			}
			_, status := p.get("/api/v1/status")
			if !strings.Contains(status, want) {
				t.Errorf("the status does not say %q:\n%s", want, status)
			}
			_, metrics := p.get("/metrics")
			_, page := p.get("/")
			for where, text := range map[string]string{"log": p.log.String(), "status": status, "metrics": metrics, "page": page} {
				if strings.Contains(text, key) || strings.Contains(text, key[len(key)-8:]) {
					t.Errorf("the key is in the %s", where)
				}
			}
			// A right key ends the waiting at once.
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "key"), []byte(goodKey), 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the new key", func() bool { return p.up() == all })
		})
	}
}

func TestReloadTakesOverWhatIsValidAndKeepsTheRestRunning(t *testing.T) {
	t.Parallel() // It mostly waits.
	_, baseURL := simulate(t, simulator.Options{Streams: quiet})
	args, file := configure(t, baseURL, goodKey, fast)
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	p.ready()
	const reloaded = "openai_exporter_config_last_reload_successful"

	writeConfig(t, file, baseURL, "usage: {interval: no}")
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusInternalServerError || !strings.Contains(body, "config.yml:3: ") {
		t.Errorf("reload answered %d %q", code, body)
	}
	if p.sum(reloaded, "") != 0 || p.up() != all {
		t.Error("the failed reload does not show, or has broken what ran")
	}

	writeConfig(t, file, baseURL, fast[:strings.LastIndex(fast, "\n")]+"\ncosts: {enabled: false}")
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Errorf("reload answered %d %q", code, body)
	}
	if p.sum(reloaded, "") != 1 {
		t.Error("the reload does not show")
	}
	eventually(t, "costs to go", func() bool { return p.up() == all-1 })
	if len(p.families("openai_cost_usd_total")["openai_cost_usd_total"].GetMetric()) != 0 {
		t.Error("costs are still shown")
	}
}

func TestAReloadSaysThatAChangedStartChangesNothing(t *testing.T) {
	_, baseURL := simulate(t, simulator.Options{})
	args, file := configure(t, baseURL, goodKey, "counters: {start: today}")
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	p.ready()
	const line = "A changed counters.start has no effect on existing state"
	for _, c := range []struct {
		more string
		want int
	}{{"counters: {start: today, zero_hold: 1m}", 0}, {"counters: {start: month}", 1}, {"counters: {start: month}\nlimits: {enabled: false}", 1}} {
		writeConfig(t, file, baseURL, c.more)
		if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
			t.Fatalf("reload answered %d %q", code, body)
		}
		if got := strings.Count(p.log.String(), line); got != c.want {
			t.Errorf("after %s the log says so %d times, want %d:\n%s", c.more, got, c.want, p.log)
		}
	}
}

func TestReloadNeedsTheLifecycleFlag(t *testing.T) {
	_, baseURL := simulate(t, simulator.Options{})
	args, _ := configure(t, baseURL, goodKey, "")
	p := serve(t, args...)
	if code, _ := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusForbidden {
		t.Errorf("reload answered %d", code)
	}
}

func TestSimulateServesTheAPIToOthers(t *testing.T) {
	p := start(t, "simulate", "--listen-address=127.0.0.1:0", "--admin-key="+goodKey)
	var baseURL string
	eventually(t, "the simulator", func() bool {
		if m := regexp.MustCompile(`base_url=(\S+)`).FindStringSubmatch(p.log.String()); m != nil {
			baseURL = m[1]
		}
		return baseURL != ""
	})
	args, _ := configure(t, baseURL, goodKey, fast)
	e := serve(t, args...)
	eventually(t, "all endpoints", func() bool { return e.up() == all })
	if code := e.stop(); code != 0 {
		t.Errorf("exit code of the exporter %d", code)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code of the simulator %d:\n%s", code, p.log)
	}
}
