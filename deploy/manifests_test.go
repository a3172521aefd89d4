//go:build manifests

package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/config"
)

// tool runs one of the pinned programs, named by a variable as `make manifests` sets it.
func tool(t *testing.T, variable, stdin string, args ...string) (string, error) {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Fatalf("$%s is not set: run make manifests", variable)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = root
	cmd.Stdin = strings.NewReader(stdin)
	// Neither a cluster nor a configuration of the person at this machine has a say.
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=/dev/null")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// render is what a cluster is given for some values.
func render(t *testing.T, args ...string) string {
	t.Helper()
	text, err := tool(t, "HELM", "", append([]string{"template", "openai", chart, "--namespace=monitoring"}, args...)...)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, text)
	}
	return text
}

func build(t *testing.T, dir string) string {
	t.Helper()
	text, err := tool(t, "KUSTOMIZE", "", "build", dir)
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", dir, err, text)
	}
	return text
}

// A manifest is one object, with its source where helm says it.
type manifest struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Data map[string]string
	Spec yaml.Node
	text string
}

func manifests(t *testing.T, text string) []manifest {
	t.Helper()
	var all []manifest
	for _, doc := range strings.Split("\n"+text, "\n---\n") {
		var m manifest
		unmarshal(t, doc, &m)
		if m.Kind != "" {
			m.text = doc
			all = append(all, m)
		}
	}
	return all
}

// only returns the manifests of a kind.
func only(t *testing.T, text, kind string) []manifest {
	t.Helper()
	all := slices.DeleteFunc(manifests(t, text), func(m manifest) bool { return m.Kind != kind })
	if len(all) == 0 {
		t.Fatalf("there is no %s", kind)
	}
	return all
}

// withComponents builds the plain manifests with some components.
func withComponents(t *testing.T, components string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "deploy/kubernetes"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kustomization.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := regexp.MustCompile(`(?m)^# components:.*`).ReplaceAll(b, []byte("components: "+components))
	if err := os.WriteFile(file, with, 0o644); err != nil {
		t.Fatal(err)
	}
	return build(t, dir)
}

// everything is what is rendered, by what it is rendered from.
func everything(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"kustomize": build(t, "deploy/kubernetes")}
	for _, f := range glob(t, "deploy/helm/testdata/values/*.yaml") {
		all[filepath.Base(f)] = render(t, "--values="+f)
	}
	// The components stand beside the manifests, as a comment there says.
	all["kustomize with components"] = withComponents(t, "[prometheus-operator, shards]")
	all["kustomize with a ScrapeConfig"] = withComponents(t, "[scrape-config]")
	only(t, all["kustomize with components"], "ServiceMonitor")
	only(t, all["kustomize with a ScrapeConfig"], "ScrapeConfig")
	if !strings.Contains(all["kustomize with components"], "--shard=$(POD_INDEX)/3") {
		t.Error("the components do not share the work")
	}
	all["dashboards"] = render(t, "--set=existingSecret=openai-admin-key,dashboards.enabled=true")
	return all
}

func TestChartRendersWhatItAlwaysHas(t *testing.T) {
	for _, f := range glob(t, "deploy/helm/testdata/values/*.yaml") {
		var got strings.Builder
		for _, m := range manifests(t, render(t, "--values="+f)) {
			// The rules are compared with their source below.
			if m.Kind != "PrometheusRule" {
				got.WriteString("---\n" + strings.Trim(m.text, "\n") + "\n")
			}
		}
		golden(t, filepath.Join("deploy/helm/testdata/golden", filepath.Base(f)), got.String())
	}
}

func TestChartPassesHelmsOwnLint(t *testing.T) {
	for _, f := range glob(t, "deploy/helm/testdata/values/*.yaml") {
		if out, err := tool(t, "HELM", "", "lint", "--strict", "--quiet", chart, "--values="+f); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
}

func TestChartRefusesValuesThatCannotWork(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"existingSecret=", "name the secret that holds the admin key"},
		{"existingSecret=a,organizations[0].name=b,organizations[0].existingSecret=c", "not both"},
		{"existingSecret=a,shards=0", "/shards"},
		{"existingSecret=a,shards=2,shardBy=model", "/shardBy"},
		{"existingSecret=a,shards=2,persistence.existingClaim=b", "each of several shards needs its own"},
		{"existingSecret=a,replicas=2", "additional properties 'replicas' not allowed"},
		{"existingSecret=a,apiKey=sk-admin-secret", "additional properties 'apiKey' not allowed"},
		{"existingSecret=a,config.organizations[0].name=b", "/config/organizations"},
		{"organizations[0].name=b,organizations[0].existingSecret=c,organizations[0].config.api_key_env=KEY", "api_key_env"},
		{"existingSecret=a,serviceMonitor.enabled=true,scrapeConfig.enabled=true", "each replica is scraped twice"},
		{"existingSecret=a,image.digest=latest", "/image/digest"},
		{"existingSecret=a,extraArgs[0]=serve", "/extraArgs/0"},
		{"existingSecret=a,prometheusRule.enabled=true,prometheusRule.disabled[0]=OpenAINoSuchAlert", "there is no rule OpenAINoSuchAlert"},
		{"existingSecret=a,prometheusRule.enabled=true,prometheusRule.overrides.OpenAINoSuchAlert.for=1h", "there is no rule OpenAINoSuchAlert"},
	} {
		out, err := tool(t, "HELM", "", "template", "openai", chart, "--set="+c.set)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("--set=%s: error %v, want one that says %q\n%s", c.set, err, c.want, out)
		}
	}
}

func validate(t *testing.T, text string) (string, error) {
	t.Helper()
	return tool(t, "KUBECONFORM", text, "-strict", "-verbose", "-schema-location", os.Getenv("SCHEMAS")+"/{{.ResourceKind}}{{.KindSuffix}}.json", "-")
}

func TestManifestsFitTheSchemasOfTheirKinds(t *testing.T) {
	for name, text := range everything(t) {
		if out, err := validate(t, text); err != nil || strings.Contains(out, "skipped") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The check is worth what it finds.
func TestSchemasRefuseAMisspeltKey(t *testing.T) {
	text := render(t, "--values=deploy/helm/testdata/values/everything.yaml")
	for _, c := range [][2]string{
		{"terminationGracePeriodSeconds:", "terminationGracePeriod:"},
		{"readOnlyRootFilesystem: true", `readOnlyRootFilesystem: "true"`},
		{"targetLabel: job", "targetLable: job"},
		{"apiVersion: apps/v1", "apiVersion: apps/v1beta1"},
	} {
		wrong := strings.ReplaceAll(text, c[0], c[1])
		if wrong == text {
			t.Fatalf("%q is not there", c[0])
		}
		if out, err := validate(t, wrong); err == nil {
			t.Errorf("%q is let through:\n%s", c[1], out)
		}
	}
}

// What the restricted pod security standard asks of a pod without special volumes or ports.
func TestPodsAreRestricted(t *testing.T) {
	type securityContext struct {
		RunAsNonRoot             bool                  `yaml:"runAsNonRoot"`
		RunAsUser                int                   `yaml:"runAsUser"`
		AllowPrivilegeEscalation *bool                 `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool                  `yaml:"readOnlyRootFilesystem"`
		Seccomp                  struct{ Type string } `yaml:"seccompProfile"`
		Capabilities             struct{ Drop, Add []string }
	}
	for name, text := range everything(t) {
		for _, m := range only(t, text, "StatefulSet") {
			var set struct {
				Replicas int
				Template struct {
					Spec struct {
						Token      *bool           `yaml:"automountServiceAccountToken"`
						HostPath   bool            `yaml:"hostNetwork"`
						Security   securityContext `yaml:"securityContext"`
						Volumes    []map[string]any
						Containers []struct {
							Security securityContext `yaml:"securityContext"`
						}
					}
				}
			}
			if err := m.Spec.Decode(&set); err != nil {
				t.Fatal(err)
			}
			pod := set.Template.Spec
			// Replicas that do not share would count everything several times.
			shards, want := regexp.MustCompile(`--shard=\$\(POD_INDEX\)/(\d+)`).FindStringSubmatch(m.text), "1"
			if shards != nil {
				want = shards[1]
			}
			if strconv.Itoa(set.Replicas) != want || len(pod.Containers) != 1 {
				t.Fatalf("%s: %d replicas of %d containers, want %s of one", name, set.Replicas, len(pod.Containers), want)
			}
			if named := strings.Contains(m.text, "fieldPath: metadata.labels['apps.kubernetes.io/pod-index']"); named != (shards != nil) {
				t.Errorf("%s: the replica knows its number: %v, and is told to share: %v", name, named, shards != nil)
			}
			c := pod.Containers[0].Security
			if s := pod.Security; !s.RunAsNonRoot || s.RunAsUser != 65532 || s.Seccomp.Type != "RuntimeDefault" {
				t.Errorf("%s: the pod runs with %+v", name, s)
			}
			if c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || !c.ReadOnlyRootFilesystem ||
				!slices.Equal(c.Capabilities.Drop, []string{"ALL"}) || len(c.Capabilities.Add) > 0 {
				t.Errorf("%s: the container runs with %+v", name, c)
			}
			if pod.Token == nil || *pod.Token || pod.HostPath {
				t.Errorf("%s: the pod gets a token or the host's network", name)
			}
			for _, v := range pod.Volumes {
				if _, has := v["hostPath"]; has {
					t.Errorf("%s: volume %v is on the host", name, v["name"])
				}
			}
		}
	}
}

// The exporter itself reads what is rendered for it, and knows every flag that it is given.
func TestManifestsGiveTheExporterWhatItUnderstands(t *testing.T) {
	var known []string
	for _, f := range []string{"internal/command/command.go", "internal/command/serve.go", "internal/command/healthcheck.go"} {
		for _, m := range regexp.MustCompile(`Flag\("([a-z.-]+)"`).FindAllStringSubmatch(read(t, f), -1) {
			known = append(known, "--"+m[1])
		}
	}
	flag := regexp.MustCompile(`(?m)^\s*- "?(--[a-z.-]+)`)
	for name, text := range everything(t) {
		for _, m := range flag.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s: the exporter has no flag %s", name, m[1])
			}
		}
		read := false
		for _, m := range only(t, text, "ConfigMap") {
			content, ok := m.Data["openai_exporter.yml"]
			if !ok {
				continue
			}
			read = true
			file := filepath.Join(t.TempDir(), "openai_exporter.yml")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !read {
			t.Errorf("%s has no configuration", name)
		}
	}
}

// The operator gives every target labels of its own, one of which is called as one of ours: Prometheus would rename ours
// exported_endpoint, and no alert would find it.
func TestServiceMonitorsKeepOurLabels(t *testing.T) {
	for name, text := range everything(t) {
		if !strings.Contains(text, "kind: ServiceMonitor") {
			continue
		}
		for _, m := range only(t, text, "ServiceMonitor") {
			var monitor struct {
				Endpoints []struct {
					Relabelings []struct {
						Action, Regex string
					}
				}
			}
			if err := m.Spec.Decode(&monitor); err != nil {
				t.Fatal(err)
			}
			dropped := false
			for _, r := range monitor.Endpoints[0].Relabelings {
				dropped = dropped || r.Action == "labeldrop" && r.Regex == "endpoint"
			}
			if !dropped {
				t.Errorf("%s: the operator's label endpoint stays", name)
			}
		}
	}
}

func TestOperationsShowConfigurationsThatWork(t *testing.T) {
	values, prometheus := "", ""
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, "docs/operations.md"), -1) {
		switch {
		case strings.HasPrefix(m[1], "shards:"):
			values = m[1]
		case strings.HasPrefix(m[1], "global:"):
			prometheus = m[1]
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"values.yaml": values, "prometheus.yml": prometheus} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := tool(t, "PROMTOOL", "", "check", "config", "--syntax-only", filepath.Join(dir, "prometheus.yml")); err != nil || prometheus == "" {
		t.Errorf("%v\n%s", err, out)
	}
	text := render(t, "--values="+filepath.Join(dir, "values.yaml"))
	if !strings.Contains(text, "--shard=$(POD_INDEX)/10") {
		t.Errorf("the values make no shards:\n%s", text)
	}
	if out, err := validate(t, text); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
