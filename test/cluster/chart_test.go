//go:build cluster

package cluster_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// minimal are the values of an installation that nothing is wrong with.
var minimal = []string{"--set=existingSecret=openai-admin-key"}

// install installs the chart and waits until its pods are ready.
func (c *cluster) install(t *testing.T, namespace, release, chart string, args ...string) {
	t.Helper()
	c.helm(t, append([]string{"install", release, chart, "--namespace=" + namespace, "--wait", "--timeout=90s"}, args...)...)
}

func (c *cluster) upgrade(t *testing.T, namespace, release string, args ...string) {
	t.Helper()
	c.helm(t, append([]string{"upgrade", release, chart, "--namespace=" + namespace, "--wait", "--timeout=90s"}, args...)...)
}

// shards is how many replicas a values file asks for.
func shards(t *testing.T, file string) int {
	t.Helper()
	values := struct{ Shards int }{1}
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &values); err != nil {
		t.Fatal(err)
	}
	return values.Shards
}

func installsEveryValuesFile(t *testing.T, c *cluster) {
	for _, file := range valuesFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			ns := c.namespace(t, "values-"+name)
			c.install(t, ns, "openai", chart, "--values="+file)
			pods := c.ready(t, ns, shards(t, file))
			services := get[list[struct {
				object
				Spec struct{ ClusterIP string }
			}]](t, c, "/api/v1/namespaces/"+ns+"/services").Items
			headless := 0
			for _, s := range services {
				if s.Spec.ClusterIP == "None" {
					headless++
				}
			}
			if headless != 1 || len(services) != 2 {
				t.Errorf("%d of %d services are headless, want one of two", headless, len(services))
			}
			before := c.claims(t, ns)
			c.helm(t, "uninstall", "openai", "--namespace="+ns, "--wait", "--timeout=90s")
			c.ready(t, ns, 0)
			c.install(t, ns, "openai", chart, "--values="+file)
			c.ready(t, ns, len(pods))
			if diff := cmp.Diff(before, c.claims(t, ns)); diff != "" {
				t.Errorf("volumes (-before the release went +after it came back):\n%s", diff)
			}
			held(t, "%s: %d pods under the restricted standard; gone and back with the same %d volumes", file, len(pods), len(before)-1)
		})
	}
	ns := c.namespace(t, "restricted")
	process.Eventually(t, time.Minute, "a privileged pod is refused", func() error {
		if out, err := c.run(t, "KUBECTL", "kubectl", "", "--namespace="+ns, "run", "privileged", "--image=x", "--privileged"); err == nil || !strings.Contains(out, "violates PodSecurity") {
			return fmt.Errorf("kubectl: %w: %s", err, out)
		}
		return nil
	})
	held(t, "the namespaces refuse a privileged pod")
}

func installsUnderEveryName(t *testing.T, c *cluster) {
	for _, release := range []string{"123", "1e3", "true", "null", "0755", "1234567e8", "9f86d081884c7d65", "a.b", strings.Repeat("9", 53)} {
		ns := c.namespace(t, "name-"+strings.ReplaceAll(release, ".", "-"))
		c.install(t, ns, release, chart, append(minimal, "--set=serviceMonitor.enabled=true")...)
		c.ready(t, ns, 1)
		held(t, "a release of the name %s is installed and ready", release)
	}
}

// orphaning finds the command that the chart names where Kubernetes can't change a stateful set.
var orphaning = regexp.MustCompile(`kubectl (--namespace \S+ delete statefulset \S+( --cascade=orphan)?), then upgrade again`)

// follow does what the chart says is to be done.
func (c *cluster) follow(t *testing.T, said string) string {
	t.Helper()
	found := orphaning.FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("there is no way out in\n%s", said)
	}
	c.kubectl(t, strings.Fields(found[1])...)
	return "kubectl " + found[1]
}

func upgradesTheReleasedChart(t *testing.T, c *cluster) {
	const name = "openai-openai-exporter"
	for _, file := range valuesFiles(t) {
		if strings.Contains(file, "scrapeconfig") {
			continue // The released chart has no ScrapeConfig.
		}
		label := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(label, func(t *testing.T) {
			ns, count, name := c.namespace(t, "released-"+label), shards(t, file), name
			if label == "existing" {
				name = "spend"
			}
			c.install(t, ns, "openai", releasedChart, "--values="+file)
			c.ready(t, ns, count)
			before := c.claims(t, ns)
			args := []string{"upgrade", "openai", chart, "--namespace=" + ns, "--values=" + file}
			said := c.helmRefuses(t, "the governing service, the order in which replicas start: Kubernetes can't change this in the stateful set "+name, args...)
			way := c.follow(t, said)
			c.upgrade(t, ns, "openai", "--values="+file)
			c.settled(t, ns, name)
			c.ready(t, ns, count)
			if s := c.set(t, ns, name); s.Spec.PodManagementPolicy != "Parallel" || !strings.HasSuffix(s.Spec.ServiceName, "-headless") {
				t.Errorf("the set is governed by %s and starts %s", s.Spec.ServiceName, s.Spec.PodManagementPolicy)
			}
			held(t, "%s: refused in our words; after %q the upgrade takes the pods over", file, way)
			if label != "minimal" {
				return
			}
			// Helm applies what it applied then, and asks no chart: the words are those of Kubernetes.
			c.helmRefuses(t, "Forbidden", "rollback", "openai", "1", "--namespace="+ns)
			c.kubectl(t, "--namespace="+ns, "delete", "statefulset", name, "--cascade=orphan")
			c.helm(t, "rollback", "openai", "1", "--namespace="+ns, "--wait", "--timeout=90s")
			c.settled(t, ns, name)
			if s := c.set(t, ns, name); s.Spec.ServiceName != name {
				t.Errorf("after the rollback the set is governed by %s", s.Spec.ServiceName)
			}
			c.follow(t, c.helmRefuses(t, "the governing service", args...))
			c.upgrade(t, ns, "openai", "--values="+file)
			c.settled(t, ns, name)
			c.ready(t, ns, count)
			if diff := cmp.Diff(before, c.claims(t, ns)); diff != "" {
				t.Errorf("volumes (-before the upgrade +after upgrade, rollback and upgrade):\n%s", diff)
			}
			held(t, "rolled back in the same way, upgraded again, and the volume is the same")
		})
	}
}

// row matches the line of a value in the chart's README, which is generated from values.yaml.
var row = regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|")

// unchangeable are the values that an upgrade can't change, each with another value and what the refusal begins with.
var unchangeable = map[string][2]string{
	"persistence.enabled":       {`false`, "persistence.enabled or persistence.existingClaim"},
	"persistence.size":          {`"2Gi"`, "persistence.size"},
	"persistence.storageClass":  {`"fast"`, "persistence.storageClass"},
	"persistence.accessModes":   {`["ReadWriteOncePod"]`, "persistence.accessModes"},
	"persistence.existingClaim": {`"totals"`, "persistence.enabled or persistence.existingClaim"},
	"persistence.annotations":   {`{"example.com/backup":"true"}`, "persistence.annotations"},
	"nameOverride":              {`"other"`, "nameOverride or fullnameOverride: release openai runs as openai-openai-exporter, and as openai-other it would have an empty volume"},
	"fullnameOverride":          {`"other"`, "nameOverride or fullnameOverride: release openai runs as openai-openai-exporter, and as other it would have an empty volume"},
}

// changeable are all others, each with another value that an installation may have.
var changeable = map[string]string{
	"image.repository": `"registry.example.com/openai_exporter"`, "image.tag": `"0.1.1"`, "image.digest": `"sha256:` + strings.Repeat("1", 64) + `"`, "image.pullPolicy": `"Always"`,
	"imagePullSecrets": `[{"name":"registry"}]`, "commonLabels": `{"team":"finops"}`,
	"existingSecret": `"another"`, "existingSecretKey": `"other-key"`,
	"config": `{"counters":{"start":"month"}}`, "shards": `2`, "shardBy": `"endpoint"`,
	"extraArgs": `["--log.level=debug"]`, "extraEnv": `[{"name":"GOGC","value":"75"}]`,
	"extraVolumes": `[{"name":"ca","configMap":{"name":"proxy-ca"}}]`, "extraVolumeMounts": `[{"name":"ca","mountPath":"/etc/ssl/proxy"}]`,
	"web.existingSecret": `"openai-exporter-web"`, "web.tls": `true`,
	"service.type": `"NodePort"`, "service.port": `80`, "service.annotations": `{"example.com/owner":"finops"}`,
	"serviceAccount.create": `false`, "serviceAccount.name": `"robot"`, "serviceAccount.annotations": `{"example.com/owner":"finops"}`,
	"serviceMonitor.enabled": `true`, "serviceMonitor.labels": `{"release":"p"}`, "serviceMonitor.job": `"spend"`, "serviceMonitor.interval": `"15s"`,
	"serviceMonitor.scrapeTimeout": `"5s"`, "serviceMonitor.basicAuth": `{"username":{"name":"openai-exporter-scrape","key":"username"}}`,
	"serviceMonitor.tlsConfig": `{"serverName":"openai-exporter"}`, "serviceMonitor.relabelings": `[{"targetLabel":"cluster","replacement":"eu-1"}]`,
	"serviceMonitor.metricRelabelings": `[{"sourceLabels":["__name__"],"regex":"go_.*","action":"drop"}]`,
	"scrapeConfig.enabled":             `true`, "scrapeConfig.labels": `{"release":"p"}`,
	"prometheusRule.enabled": `true`, "prometheusRule.labels": `{"release":"p"}`, "prometheusRule.disabled": `["OpenAIExporterReloadFailed"]`,
	"prometheusRule.overrides": `{"OpenAIKeyRejected":{"for":"15m"}}`,
	"dashboards.enabled":       `true`, "dashboards.labels": `{"grafana":"yes"}`, "dashboards.annotations": `{"folder":"OpenAI"}`,
	"networkPolicy.enabled": `true`, "networkPolicy.from": `[{"podSelector":{}}]`, "networkPolicy.extraEgress": `[{"ports":[{"port":3128}]}]`,
	"podDisruptionBudget.enabled": `false`,
	"probes.periodSeconds":        `30`, "probes.failureThreshold": `5`, "probes.timeoutSeconds": `3`,
	"resources": `{"limits":{"memory":"512Mi"}}`, "podLabels": `{"example.com/sidecar":"false"}`, "podAnnotations": `{"example.com/owner":"finops"}`,
	"nodeSelector": `{"kubernetes.io/hostname":"first"}`, "tolerations": `[{"key":"dedicated","operator":"Exists"}]`,
	"affinity":                  `{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname"}}]}}`,
	"priorityClassName":         `"system-cluster-critical"`,
	"topologySpreadConstraints": `[{"maxSkew":1,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{}}]`,
	// In place of existingSecret.
	"organizations": `[{"name":"acme","existingSecret":"openai-acme"}]`,
}

// together are values that only work with another one.
var together = map[string][]string{
	"organizations":          {"--set=existingSecret="},
	"existingSecretKey":      {"--set=existingSecret=another"},
	"extraVolumeMounts":      {"--set-json=extraVolumes=" + changeable["extraVolumes"]},
	"scrapeConfig.enabled":   {"--set=serviceMonitor.enabled=false"},
	"serviceMonitor.enabled": {"--set=scrapeConfig.enabled=false"},
}

func changesEveryValue(t *testing.T, c *cluster) {
	b, err := os.ReadFile(filepath.Join(root, "deploy/helm/openai-exporter/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, found := range row.FindAllStringSubmatch(string(b), -1) {
		all = append(all, found[1])
		_, may := changeable[found[1]]
		if _, mayNot := unchangeable[found[1]]; may == mayNot {
			t.Errorf("%s has to be either among the values that may change or among those that may not", found[1])
		}
	}
	if len(all) != len(changeable)+len(unchangeable) {
		t.Errorf("the chart has %d values, the test changes %d", len(all), len(changeable)+len(unchangeable))
	}
	ns := c.namespace(t, "changes")
	c.install(t, ns, "openai", chart, minimal...)
	before := c.claims(t, ns)
	// The same size in other words is no change.
	c.helm(t, append([]string{"upgrade", "openai", chart, "--namespace=" + ns, "--set=persistence.size=1024Mi"}, minimal...)...)
	paths := slices.Sorted(maps.Keys(changeable))
	for _, path := range paths {
		args := append([]string{"upgrade", "openai", chart, "--namespace=" + ns, "--reuse-values", "--history-max=100"}, together[path]...)
		c.helm(t, append(args, "--set-json="+path+"="+changeable[path])...)
	}
	c.settled(t, ns, "openai-openai-exporter")
	c.ready(t, ns, 2)
	for claim, volume := range before {
		if after := c.claims(t, ns)[claim]; after != volume {
			t.Errorf("claim %s has the volume %s, and had %s", claim, after, volume)
		}
	}
	c.helm(t, "rollback", "openai", "1", "--namespace="+ns, "--wait", "--timeout=90s")
	c.settled(t, ns, "openai-openai-exporter")
	c.ready(t, ns, 1)
	held(t, "%d values changed, one upgrade after the other, with the same volume, and rolled back: %s", len(paths), strings.Join(paths, ", "))
}

func refusesWhatCannotChange(t *testing.T, c *cluster) {
	ns := c.namespace(t, "unchangeable")
	const name = "openai-openai-exporter"
	c.install(t, ns, "openai", chart, minimal...)
	before := c.claims(t, ns)
	for _, path := range slices.Sorted(maps.Keys(unchangeable)) {
		value, words := unchangeable[path][0], unchangeable[path][1]
		args := append([]string{"upgrade", "openai", chart, "--namespace=" + ns, "--set-json=" + path + "=" + value}, minimal...)
		c.helmRefuses(t, words, args...)
		held(t, "%s=%s is refused: %s …", path, value, words)
	}
	if revisions := strings.Count(c.helm(t, "history", "openai", "--namespace="+ns), "\n"); revisions != 2 {
		t.Errorf("the refused upgrades have left traces in the history of the release")
	}
	larger := append([]string{"--set=persistence.size=2Gi,persistence.annotations.backup=daily"}, minimal...)
	said := c.helmRefuses(t, "persistence.size, persistence.annotations: Kubernetes can't change this", append([]string{"upgrade", "openai", chart, "--namespace=" + ns}, larger...)...)
	way := c.follow(t, said)
	c.upgrade(t, ns, "openai", larger...)
	c.settled(t, ns, name)
	c.ready(t, ns, 1)
	if got := c.set(t, ns, name).Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage; got != "2Gi" {
		t.Errorf("the set asks for %s, want 2Gi", got)
	}
	if diff := cmp.Diff(before, c.claims(t, ns)); diff != "" {
		t.Errorf("volumes (-before +after the set was replaced):\n%s", diff)
	}
	held(t, "after %q the upgrade goes through, with the same volume", way)

	// Another name with the volume of the former one.
	moved := append([]string{"--set=fullnameOverride=spend,persistence.existingClaim=data-" + name + "-0"}, minimal...)
	c.upgrade(t, ns, "openai", moved...)
	c.settled(t, ns, "spend")
	pods := c.ready(t, ns, 1)
	if diff := cmp.Diff(before, c.claims(t, ns)); diff != "" || pods[0].Metadata.Name != "spend-0" {
		t.Errorf("pod %s; volumes (-before +after the release was renamed):\n%s", pods[0].Metadata.Name, diff)
	}
	held(t, "renamed with persistence.existingClaim, the pod spend-0 has the former volume")

	// The labels by which a set finds its pods: those have to go, too.
	relabelled := append([]string{"--set=nameOverride=other"}, moved...)
	said = c.helmRefuses(t, "nameOverride: Kubernetes can't change this", append([]string{"upgrade", "openai", chart, "--namespace=" + ns}, relabelled...)...)
	way = c.follow(t, said)
	c.upgrade(t, ns, "openai", relabelled...)
	c.settled(t, ns, "spend")
	held(t, "nameOverride beside fullnameOverride: after %q the upgrade goes through", way)

	// Another release.
	c.helm(t, "uninstall", "openai", "--namespace="+ns, "--wait", "--timeout=90s")
	c.install(t, ns, "spend", chart, append(minimal, "--set=persistence.existingClaim=data-"+name+"-0")...)
	c.settled(t, ns, "spend-openai-exporter")
	if diff := cmp.Diff(before, c.claims(t, ns)); diff != "" {
		t.Errorf("volumes (-before +after another release took them):\n%s", diff)
	}
	held(t, "a release of another name goes on with the former volume")
}
