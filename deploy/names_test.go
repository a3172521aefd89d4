//go:build manifests

package deploy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// serviceName is a name that every Kubernetes accepts for a service: it begins with a letter, has no dot,
// and at most 63 characters.
var serviceName = regexp.MustCompile(`(?m)^  name: "[a-z][-a-z0-9]{0,61}[a-z0-9]"$`)

// setName is a name that Kubernetes accepts for a stateful set, whose pods have it and a number.
var setName = regexp.MustCompile(`(?m)^  name: "[a-z0-9][-a-z0-9]{0,50}[a-z0-9]"$`)

// TestChartInstallsUnderAnyReleaseName: what looks like a number, a truth value or nothing in YAML is a name all the same.
func TestChartInstallsUnderAnyReleaseName(t *testing.T) {
	for _, release := range []string{"123", "1e3", "true", "null", "0755", "1234567e8", "9f86d081884c7d65", "a.b", strings.Repeat("9", 53)} {
		text, err := tool(t, "HELM", "", "template", release, chart, "--namespace=monitoring", "--set=existingSecret=openai-admin-key,serviceMonitor.enabled=true", `--set=commonLabels.app\.kubernetes\.io/component=metrics`)
		if err != nil {
			t.Errorf("release %s: %v\n%s", release, err, text)
			continue
		}
		if out, err := validate(t, text); err != nil {
			t.Errorf("release %s: %v\n%s", release, err, out)
		}
		for _, want := range []string{`app.kubernetes.io/instance: "` + release + `"`} {
			if !strings.Contains(text, want) {
				t.Errorf("release %s: there is no %s", release, want)
			}
		}
		services := 0
		for manifest := range strings.SplitSeq(text, "\n---\n") {
			// A set's name has no dot: Kubernetes' schemas don't say so, and its API server does.
			if strings.Contains(manifest, "\nkind: StatefulSet\n") && !setName.MatchString(manifest) {
				t.Errorf("release %s: Kubernetes refuses the name of the stateful set\n%s", release, manifest)
			}
			if !strings.Contains(manifest, "\nkind: Service\n") {
				continue
			}
			services++
			if !serviceName.MatchString(manifest) {
				t.Errorf("release %s: Kubernetes refuses the name of the service\n%s", release, manifest)
			}
		}
		if services != 2 {
			t.Errorf("release %s: %d services, want 2", release, services)
		}
	}
}

// TestTheHeadlessServiceGovernsAndIsNotScraped: it cannot be changed after a release, and each pod is scraped once.
func TestTheHeadlessServiceGovernsAndIsNotScraped(t *testing.T) {
	long := strings.Repeat("a", 52)
	chart, err := tool(t, "HELM", "", "template", long, chart, "--namespace=monitoring", "--set=existingSecret=openai-admin-key,serviceMonitor.enabled=true")
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, chart)
	}
	for name, text := range map[string]string{"chart": chart, "manifests": build(t, "deploy/kubernetes")} {
		for _, want := range []string{"podManagementPolicy: Parallel", "clusterIP: None", "publishNotReadyAddresses: true", "app.kubernetes.io/component: headless"} {
			if strings.Count(text, want) != 1 {
				t.Errorf("%s: %d times %q, want it once", name, strings.Count(text, want), want)
			}
		}
		if name == "chart" && !strings.Contains(text, "operator: NotIn, values: [headless]") {
			t.Errorf("the ServiceMonitor of the chart takes both services")
		}
	}
	if !strings.Contains(chart, `serviceName: "`+long+`-headless"`) {
		t.Errorf("a long release name leaves no room for the headless service")
	}
}

// TestServiceMonitorsSelectOneService: two services have the same pods behind them, and each pod is scraped once.
func TestServiceMonitorsSelectOneService(t *testing.T) {
	type selector struct {
		MatchLabels      map[string]string `yaml:"matchLabels"`
		MatchExpressions []struct {
			Key, Operator string
			Values        []string
		} `yaml:"matchExpressions"`
	}
	seen := 0
	for name, text := range everything(t) {
		if !strings.Contains(text, "kind: ServiceMonitor") {
			continue
		}
		seen++
		var monitor struct {
			Selector  selector
			Endpoints []struct{ Port string }
		}
		if err := only(t, text, "ServiceMonitor")[0].Spec.Decode(&monitor); err != nil {
			t.Fatal(err)
		}
		var selected []string
		for _, service := range only(t, text, "Service") {
			matches := true
			for key, value := range monitor.Selector.MatchLabels {
				matches = matches && service.Metadata.Labels[key] == value
			}
			for _, e := range monitor.Selector.MatchExpressions {
				if e.Operator != "NotIn" {
					t.Fatalf("%s: this test does not know the operator %s", name, e.Operator)
				}
				matches = matches && !slices.Contains(e.Values, service.Metadata.Labels[e.Key])
			}
			if matches && strings.Contains(service.text, "name: "+monitor.Endpoints[0].Port+"\n") {
				selected = append(selected, service.Metadata.Name)
			}
		}
		if len(selected) != 1 || strings.HasSuffix(selected[0], "-headless") {
			t.Errorf("%s: the ServiceMonitor selects the services %v, want the one that is not headless", name, selected)
		}
	}
	if seen < 3 {
		t.Errorf("only %d renderings have a ServiceMonitor", seen)
	}
}

// TestABudgetAndASpreadAreForShards: of a single replica a budget could only hold up a drain.
func TestABudgetAndASpreadAreForShards(t *testing.T) {
	for name, text := range everything(t) {
		shared := strings.Contains(text, "--shard=$(POD_INDEX)/")
		if budget := strings.Contains(text, "kind: PodDisruptionBudget"); budget != shared {
			t.Errorf("%s: several replicas: %v, a budget for disruptions: %v", name, shared, budget)
		}
		if spread := strings.Contains(text, "topologyKey: kubernetes.io/hostname"); spread != shared {
			t.Errorf("%s: several replicas: %v, spread over nodes: %v", name, shared, spread)
		}
	}
}

// TestNotesSayWhatToScrape: of several shards each one, never an address that answers with another one each time.
func TestNotesSayWhatToScrape(t *testing.T) {
	for _, c := range []struct {
		set       string
		want, not []string
	}{
		{"shards=1", []string{"openai-openai-exporter.monitoring:10095", "port-forward service/openai-openai-exporter 10095:10095"}, []string{"-headless"}},
		{"shards=2", []string{
			"openai-openai-exporter-0.openai-openai-exporter-headless.monitoring.svc:10095", "openai-openai-exporter-1.openai-openai-exporter-headless.monitoring.svc:10095", "Do not scrape",
			"port-forward pod/openai-openai-exporter-0 10095:10095", "port-forward pod/openai-openai-exporter-1 10096:10095",
		}, []string{"exporter-2", "port-forward service/"}},
		{"shards=2,serviceMonitor.enabled=true", nil, []string{"let your Prometheus scrape", "Do not scrape"}},
		{"shards=2,scrapeConfig.enabled=true", nil, []string{"let your Prometheus scrape", "Do not scrape"}},
		{"shards=2,web.existingSecret=web,web.tls=true", []string{"by https", "web.existingSecret asks"}, nil},
	} {
		text, err := tool(t, "HELM", "", "install", "openai", chart, "--namespace=monitoring", "--dry-run=client", "--set=existingSecret=openai-admin-key,"+c.set)
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.set, err, text)
		}
		_, notes, found := strings.Cut(text, "NOTES:")
		if !found {
			t.Fatalf("%s: there are no notes in\n%s", c.set, text)
		}
		for _, want := range c.want {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: the notes do not say %q:\n%s", c.set, want, notes)
			}
		}
		for _, not := range c.not {
			if strings.Contains(notes, not) {
				t.Errorf("%s: the notes say %q:\n%s", c.set, not, notes)
			}
		}
	}
}
