package command

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestNamesAreShownBesideUsageAndSurviveARestartWithoutTheAPI(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := simulator.New(simulator.Options{Streams: quiet})
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	args, _ := configure(t, server.URL+"/v1", goodKey, fast+"\nnames: {interval: 1s}")
	p := serve(t, args...)
	eventually(t, "the names of projects", func() bool { return p.sum("openai_project_info", "status=archived") == 1 })
	eventually(t, "the names of keys", func() bool { return p.sum("openai_api_key_info", "api_key_name=production") == 7 })
	eventually(t, "the admin keys", func() bool { return p.sum("openai_api_key_expires_timestamp_seconds", "") > 0 })
	if n := p.sum("openai_user_info", "user_name=Aiko Tanaka"); n != 1 {
		t.Errorf("%v users of that name", n)
	}
	s.SetRenamed(map[string]string{s.Projects()[0].ID: "Support Desk"})
	eventually(t, "the new name", func() bool { return p.sum("openai_project_info", "project_name=Support Desk") == 1 })
	if n := p.sum("openai_project_info", "project_id="+s.Projects()[0].ID); n != 1 {
		t.Errorf("the project has %v names", n)
	}
	_, body := p.get("/metrics")
	for line := range strings.Lines(body) {
		if strings.Contains(line, "Support Desk") && !strings.HasPrefix(line, "openai_project_info{") {
			t.Errorf("a name stands outside the info metrics: %s", line)
		}
		if strings.Contains(line, "@example.com") {
			t.Errorf("nobody has asked for e-mail addresses: %s", line)
		}
	}
	users := len(p.families("openai_user_info")["openai_user_info"].GetMetric())
	if code := p.stop(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.log)
	}

	server.Close()
	p = serve(t, args...)
	if n := p.sum("openai_project_info", "project_name=Support Desk"); n != 1 {
		t.Error("the names are gone after a restart without the API")
	}
	if n := len(p.families("openai_user_info")["openai_user_info"].GetMetric()); n != users {
		t.Errorf("%d users after the restart, before %d", n, users)
	}
}

func TestEmailsAreShownOnlyIfAskedFor(t *testing.T) {
	t.Parallel() // It mostly waits.
	_, baseURL := simulate(t, simulator.Options{Streams: quiet})
	args, file := configure(t, baseURL, goodKey, fast+"\nnames: {user_emails: true}")
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	eventually(t, "e-mail addresses", func() bool { return p.sum("openai_user_info", "user_email=aiko@example.com") == 1 })
	writeConfig(t, file, baseURL, fast)
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Fatalf("reload answered %d %q", code, body)
	}
	if n := p.sum("openai_user_info", "user_email=aiko@example.com"); n != 0 {
		t.Error("the address is still there after the reload")
	}
	writeConfig(t, file, baseURL, fast+"\nnames: {enabled: false}")
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Fatalf("reload answered %d %q", code, body)
	}
	if n := p.sum("openai_user_info", "") + p.sum("openai_up", "endpoint=users"); n != 0 {
		t.Error("names are switched off and still shown")
	}
}

func TestWithoutThePermissionForLookupsUsageIsReadAllTheSame(t *testing.T) {
	t.Parallel() // It mostly waits.
	const limited = "sk-admin-usage-only-0123456789"
	s, baseURL := simulate(t, simulator.Options{KeysWithoutManagement: []string{limited}, Streams: quiet})
	s.SetAdminKey(limited)
	args, _ := configure(t, baseURL, limited, fast+"\nnames: {interval: 1s}\ncounters: {zero_hold: 0s}")
	p := serve(t, args...)
	p.ready()
	eventually(t, "all endpoints", func() bool { return p.up() == all })
	eventually(t, "a refused look-up", func() bool { return p.sum("openai_exporter_polls_total", "endpoint=users") > 0 })
	named := 0
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "level=error") {
			t.Errorf("an optional permission is no error: %s", line)
		}
		if strings.Contains(line, "api.management.read") {
			named++
		}
	}
	if named != 1 {
		t.Errorf("the log names the permission %d times:\n%s", named, p.log)
	}
	if up := p.up(); up != all {
		t.Errorf("%v endpoints are up", up)
	}
}
