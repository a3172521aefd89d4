package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// A compose is what this test knows of a Compose file. An unknown field of a service is a mistake.
type compose struct {
	Name     string             `yaml:"name"`
	Common   any                `yaml:"x-common"`
	Services map[string]service `yaml:"services"`
	Configs  map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
	Volumes map[string]any `yaml:"volumes"`
}

type service struct {
	Restart string `yaml:"restart"`
	Logging any    `yaml:"logging"`
	Image   string `yaml:"image"`
	Build   struct {
		Context string `yaml:"context"`
	} `yaml:"build"`
	Entrypoint  []string          `yaml:"entrypoint"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Configs     []struct {
		Source string `yaml:"source"`
		Target string `yaml:"target"`
	} `yaml:"configs"`
	Ports     []string `yaml:"ports"`
	DependsOn []string `yaml:"depends_on"`
}

// substitution is how Compose spells a variable: ${NAME}, ${NAME:-without} or ${NAME:+with}.
var substitution = regexp.MustCompile(`\$\{([A-Z_]+)(?::([-+])([^}]*))?\}`)

// composeWith reads the file as Compose does with these variables.
func composeWith(t *testing.T, env map[string]string) compose {
	t.Helper()
	text := substitution.ReplaceAllStringFunc(read(t, "deploy/compose/compose.yml"), func(s string) string {
		m := substitution.FindStringSubmatch(s)
		switch v := env[m[1]]; {
		case m[2] == "-" && v == "", m[2] == "+" && v != "":
			return m[3]
		case m[2] == "+":
			return ""
		default:
			return v
		}
	})
	var c compose
	unmarshalStrict(t, text, &c)
	return c
}

var situations = map[string]map[string]string{
	"simulated": {},
	"real":      {"OPENAI_ADMIN_KEY": "sk-admin-example", "SLACK_WEBHOOK_URL": "https://hooks.example/T0", "PAGERDUTY_KEY": "k"},
}

func TestComposeMountsOnlyFilesThatExist(t *testing.T) {
	for name, env := range situations {
		c := composeWith(t, env)
		mounted := 0
		for service, s := range c.Services {
			if s.Build.Context != "" {
				if _, err := os.Stat(filepath.Join(root, "deploy/compose", s.Build.Context, "Dockerfile")); err != nil {
					t.Errorf("%s: %s is built from: %v", name, service, err)
				}
			}
			for _, v := range s.Volumes {
				source, target, ok := strings.Cut(v, ":")
				if !ok || !strings.HasPrefix(target, "/") {
					t.Errorf("%s: %s mounts %q", name, service, v)
				}
				if !strings.HasPrefix(source, ".") {
					if _, ok := c.Volumes[source]; !ok {
						t.Errorf("%s: %s uses the volume %s, which is not declared", name, service, source)
					}
					continue
				}
				mounted++
				if _, err := os.Stat(filepath.Join(root, "deploy/compose", source)); err != nil {
					t.Errorf("%s: %s mounts: %v", name, service, err)
				}
				if !strings.HasSuffix(target, ":ro") {
					t.Errorf("%s: %s may write to %s", name, service, source)
				}
			}
			for _, f := range s.Configs {
				if c.Configs[f.Source].Content == "" {
					t.Errorf("%s: %s mounts the config %s, which has no content", name, service, f.Source)
				}
			}
			for _, other := range s.DependsOn {
				if _, ok := c.Services[other]; !ok {
					t.Errorf("%s: %s depends on %s, which is not there", name, service, other)
				}
			}
			for _, p := range s.Ports {
				if !strings.HasPrefix(p, "127.0.0.1:") {
					t.Errorf("%s: %s is open to the network at %s", name, service, p)
				}
			}
		}
		if mounted < 8 {
			t.Errorf("%s: only %d files are mounted", name, mounted)
		}
	}
}

// mountedFile is the file of this repository that a service sees under a path, or "".
func mountedFile(s service, path string) string {
	for _, v := range s.Volumes {
		source, target, _ := strings.Cut(v, ":")
		target = strings.TrimSuffix(target, ":ro")
		if !strings.HasPrefix(source, ".") {
			continue
		}
		if path == target {
			return filepath.Join("deploy/compose", source)
		}
		if rest, ok := strings.CutPrefix(path, target+"/"); ok {
			return filepath.Join("deploy/compose", source, rest)
		}
	}
	return ""
}

func TestComposeWatchesTheSimulatorUntilThereIsAKey(t *testing.T) {
	for name, want := range map[string]struct{ file, url, key, state string }{
		"simulated": {"exporter.yml", "http://simulator:10096/v1", "sk-admin-simulated", "exporter:/data"},
		"real":      {"exporter-api.yml", "https://api.openai.com/v1", "sk-admin-example", "exporter-api:/data"},
	} {
		e := composeWith(t, situations[name]).Services["exporter"]
		path := ""
		for _, a := range e.Command {
			if v, ok := strings.CutPrefix(a, "--config.file="); ok {
				path = v
			}
		}
		file := mountedFile(e, path)
		if filepath.Base(file) != want.file {
			t.Fatalf("%s: the exporter reads %q", name, file)
		}
		valid, err := config.Parse("", []byte(read(t, file)))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if o := valid.Organizations(); len(o) != 1 || o[0].BaseURL != want.url {
			t.Errorf("%s: asks %+v, want %s", name, o, want.url)
		}
		if got := e.Environment["OPENAI_ADMIN_KEY"]; got != want.key {
			t.Errorf("%s: key %q", name, got)
		}
		// The totals of one must not go on in the other.
		if !slices.Contains(e.Volumes, want.state) {
			t.Errorf("%s: state in %v, want %s", name, e.Volumes, want.state)
		}
	}
}

// What the programs' own configurations name inside the containers is mounted there.
func TestComposeMountsWhatConfigurationsName(t *testing.T) {
	c := composeWith(t, nil)
	am := c.Services["alertmanager"]
	text := read(t, "deploy/alertmanager/alertmanager.yml")
	var targets []string
	for _, f := range am.Configs {
		targets = append(targets, f.Target)
	}
	files := regexp.MustCompile(`_file: (\S+)`).FindAllStringSubmatch(text, -1)
	if len(files) == 0 {
		t.Error("alertmanager.yml reads no secret from a file")
	}
	for _, m := range files {
		if !slices.Contains(targets, m[1]) {
			t.Errorf("alertmanager.yml reads %s, which compose.yml does not mount", m[1])
		}
	}
	for _, check := range []struct{ service, path, want string }{
		{"alertmanager", "/etc/alertmanager/alertmanager.yml", "deploy/alertmanager/alertmanager.yml"},
		{"alertmanager", "/etc/alertmanager/templates/openai.tmpl", "deploy/alertmanager/templates/openai.tmpl"},
		{"prometheus", "/etc/prometheus/prometheus.yml", "deploy/compose/prometheus.yml"},
		{"prometheus", "/etc/prometheus/rules/openai-alerts.yml", "deploy/prometheus/rules/openai-alerts.yml"},
		{"grafana", "/etc/grafana/provisioning/dashboards/openai.yml", "deploy/grafana/provisioning/dashboards/openai.yml"},
		{"grafana", "/etc/grafana/provisioning/datasources/openai.yml", "deploy/grafana/provisioning/datasources/openai.yml"},
		{"grafana", "/var/lib/grafana/dashboards/openai/spend.json", "deploy/grafana/dashboards/spend.json"},
	} {
		got := mountedFile(c.Services[check.service], check.path)
		if got != check.want {
			t.Errorf("%s sees %q as %s, want %s", check.service, got, check.path, check.want)
		}
		read(t, check.want)
	}
	if p := read(t, "deploy/grafana/provisioning/dashboards/openai.yml"); !strings.Contains(p, "path: /var/lib/grafana/dashboards/openai") {
		t.Error("Grafana looks for dashboards elsewhere than they are mounted")
	}
	if p := read(t, "deploy/grafana/provisioning/datasources/openai.yml"); !strings.Contains(p, "url: http://prometheus:9090") {
		t.Error("Grafana asks another Prometheus than that of compose.yml")
	}
}

func TestPrometheusOfComposeIsTheExample(t *testing.T) {
	uncommented := func(text string) string {
		return regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	}
	want := strings.NewReplacer(
		"deploy/prometheus/rules/", "/etc/prometheus/rules/",
		"127.0.0.1:9093", "alertmanager:9093",
		"127.0.0.1:10095", "exporter:10095",
	).Replace(uncommented(read(t, "prometheus.yml.example")))
	if got := uncommented(read(t, "deploy/compose/prometheus.yml")); got != want {
		t.Errorf("deploy/compose/prometheus.yml differs from prometheus.yml.example:\n%s\nwant:\n%s", got, want)
	}
}

func TestEveryRouteOfAlertmanagerIsTested(t *testing.T) {
	type route struct {
		Receiver string   `yaml:"receiver"`
		Matchers []string `yaml:"matchers"`
		Routes   []route  `yaml:"routes"`
	}
	var am struct {
		Route     route `yaml:"route"`
		Receivers []struct {
			Name string `yaml:"name"`
		} `yaml:"receivers"`
	}
	unmarshal(t, read(t, "deploy/alertmanager/alertmanager.yml"), &am)
	table := map[string]bool{}
	severities := map[string]string{}
	for name, r := range alerts(t) {
		severities[name] = r.Labels["severity"]
	}
	for _, line := range strings.Split(strings.TrimSpace(read(t, "deploy/alertmanager/routes.txt")), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		for _, r := range strings.Split(fields[0], ",") {
			table[r] = true
		}
		labels := map[string]string{}
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			labels[name] = value
		}
		if severity, ok := severities[labels["alertname"]]; !ok || severity != labels["severity"] {
			t.Errorf("routes.txt: %s has the severity %q, not %q", labels["alertname"], severity, labels["severity"])
		}
	}
	for _, r := range am.Receivers {
		if !table[r.Name] {
			t.Errorf("routes.txt has no alert for the receiver %s", r.Name)
		}
	}
	// The teams of the simulated organization have a route, and projects that it has.
	valid, err := config.Parse("exporter.yml", []byte(read(t, "deploy/compose/exporter.yml")))
	if err != nil {
		t.Fatal(err)
	}
	if len(valid.Teams()) == 0 {
		t.Fatal("deploy/compose/exporter.yml has no team")
	}
	projects := simulator.New(simulator.Options{Seed: 1}).Projects()
	for _, team := range valid.Teams() {
		if !slices.ContainsFunc(am.Route.Routes, func(r route) bool { return slices.Contains(r.Matchers, `team="`+team.Name+`"`) }) {
			t.Errorf("the team %s of deploy/compose/exporter.yml has no route", team.Name)
		}
		for _, id := range team.ProjectIDs {
			if !slices.ContainsFunc(projects, func(p simulator.Project) bool { return p.ID == id }) {
				t.Errorf("the team %s of deploy/compose/exporter.yml has the project %s, which is not simulated", team.Name, id)
			}
		}
	}
}
