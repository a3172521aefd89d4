//go:build cluster

package cluster_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
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

// startOperator gives the cluster the operator's kinds, and starts the operator.
func startOperator(t *testing.T, c *cluster) {
	t.Helper()
	crds := os.Getenv("CRDS")
	for _, kind := range []string{"servicemonitors", "podmonitors", "probes", "prometheusrules", "prometheuses", "scrapeconfigs"} {
		c.kubectl(t, "apply", "--server-side", "--filename="+filepath.Join(crds, "monitoring.coreos.com_"+kind+".yaml"))
	}
	c.kubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	for _, class := range []string{"fast"} {
		c.post(t, "/apis/storage.k8s.io/v1/storageclasses", o{
			"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": o{"name": class}, "provisioner": "kubernetes.io/no-provisioner",
		})
	}
	process.Start(t, "env", "KUBECONFIG="+c.kubeconfig, process.Tool(t, "OPERATOR", "operator"), "--web.listen-address="+process.FreeAddress(t), "--log-level=warn")
}

// passwordOfP is the hash of the password p, which the secret openai-exporter-scrape has.
const passwordOfP = "$2a$04$TVKvx3T.xLvqb50.c2qkvOP0OcQVcfWA0HCSdRjXbKNet4OXMXSi."

// certificate makes a certificate for a name that signs itself.
func certificate(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

// demo runs the exporter that a pod would run, and returns the address that stands for the pod's.
func demo(t *testing.T, binary string, args ...string) string {
	t.Helper()
	return address(t, process.Start(t, binary, append([]string{"--demo", "--web.listen-address=127.0.0.1:0"}, args...)...))
}

func scrapesWhatTheOperatorGenerates(t *testing.T, c *cluster) {
	binary := process.Build(t)
	shared, listed, locked := c.namespace(t, "scraped-shared"), c.namespace(t, "scraped-listed"), c.namespace(t, "scraped-locked")
	cert, key := certificate(t, "openai-exporter")
	dir := t.TempDir()
	process.WriteFile(t, filepath.Join(dir, "tls.crt"), cert)
	process.WriteFile(t, filepath.Join(dir, "tls.key"), key)
	process.WriteFile(t, filepath.Join(dir, "web.yml"), "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\nbasic_auth_users: {u: "+passwordOfP+"}\n")
	patch, err := json.Marshal(o{"stringData": o{"ca.crt": cert}})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "--namespace="+locked, "patch", "secret", "openai-exporter-scrape", "--patch="+string(patch))
	c.install(t, shared, "shared", chart, append(minimal, "--set=shards=2,shardBy=endpoint,serviceMonitor.enabled=true,serviceMonitor.interval=1s,serviceMonitor.scrapeTimeout=1s,prometheusRule.enabled=true")...)
	c.install(t, listed, "listed", chart, append(minimal, "--set=scrapeConfig.enabled=true,serviceMonitor.interval=1s,serviceMonitor.scrapeTimeout=1s")...)
	c.install(t, locked, "locked", chart, "--values=deploy/helm/testdata/values/web.yaml", "--set=serviceMonitor.interval=1s,serviceMonitor.scrapeTimeout=1s")
	pods := map[string]string{
		"shared-openai-exporter-0": demo(t, binary, "--shard=0/2", "--shard.by=endpoint"),
		"shared-openai-exporter-1": demo(t, binary, "--shard=1/2", "--shard.by=endpoint"),
		"listed-openai-exporter-0": demo(t, binary),
		"locked-openai-exporter-0": demo(t, binary, "--web.config.file="+filepath.Join(dir, "web.yml")),
	}

	// No network leads to the pods: a scrape class of the operator's gives each target the address of its exporter.
	var addresses l
	for pod, address := range pods {
		for label, regex := range map[string]string{"__meta_kubernetes_pod_name": pod, "__address__": pod + `\..*`} {
			addresses = append(addresses, o{"sourceLabels": l{label}, "regex": regex, "targetLabel": "__address__", "replacement": address})
		}
	}
	const ns = "monitoring"
	c.post(t, "/api/v1/namespaces", o{"apiVersion": "v1", "kind": "Namespace", "metadata": o{"name": ns}})
	t.Cleanup(func() { _, _ = c.run(t, "KUBECTL", "kubectl", "", "delete", "namespace", ns, "--wait=false") })
	named := o{"matchExpressions": l{o{"key": "kubernetes.io/metadata.name", "operator": "In", "values": l{shared, listed, locked}}}}
	c.post(t, "/apis/monitoring.coreos.com/v1/namespaces/"+ns+"/prometheuses", o{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": o{"name": "main"},
		"spec": o{
			"serviceMonitorSelector": o{}, "serviceMonitorNamespaceSelector": named, "scrapeConfigSelector": o{}, "scrapeConfigNamespaceSelector": named,
			"ruleSelector": o{}, "ruleNamespaceSelector": named, "evaluationInterval": "5s",
			"apiserverConfig": o{"host": c.server, "bearerToken": token, "tlsConfig": o{"insecureSkipVerify": true}},
			"scrapeClasses":   l{o{"name": "here", "default": true, "relabelings": addresses}},
		},
	})
	server := startPrometheus(t, c, ns)
	wantTargets(t, server, pods)
	wantRules(t, server)
	c.upgrade(t, listed, "listed", "--reuse-values", "--set=prometheusRule.enabled=true")
	process.Eventually(t, time.Minute, "a second release with rules brings them a second time", func() error {
		rules := get[struct{ Data map[string]string }](t, c, "/api/v1/namespaces/"+ns+"/configmaps/prometheus-main-rulefiles-0").Data
		if len(rules) != 2 {
			return fmt.Errorf("there are %d files of rules", len(rules))
		}
		return nil
	})
	held(t, "rules of two releases are there twice, as the documentation says")
}

// startPrometheus runs what the operator generated. The paths are those of a pod, of which there is none.
func startPrometheus(t *testing.T, c *cluster, namespace string) string {
	t.Helper()
	type data struct{ Data map[string]string }
	var config string
	process.Eventually(t, 3*time.Minute, "the operator has generated a configuration for three releases", func() error {
		var secret data
		if err := c.api(t.Context(), "GET", "/api/v1/namespaces/"+namespace+"/secrets/prometheus-main", nil, &secret); err != nil {
			return err
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(decode(t, secret.Data["prometheus.yaml.gz"])))
		if err != nil {
			return err
		}
		b, err := io.ReadAll(unpacked)
		if err != nil {
			return err
		}
		config = string(b)
		if jobs := strings.Count(config, "- job_name: "); jobs != 3 {
			return fmt.Errorf("there are %d jobs, want 3", jobs)
		}
		return nil
	})
	dir := t.TempDir()
	rules := get[data](t, c, "/api/v1/namespaces/"+namespace+"/configmaps/prometheus-main-rulefiles-0").Data
	if len(rules) != 1 {
		t.Errorf("there are %d files of rules, want one", len(rules))
	}
	assets := get[data](t, c, "/api/v1/namespaces/"+namespace+"/secrets/prometheus-main-tls-assets-0").Data
	for _, sub := range []string{"rules/prometheus-main-rulefiles-0", "certs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range rules {
		process.WriteFile(t, filepath.Join(dir, "rules/prometheus-main-rulefiles-0", name), text)
	}
	for name, text := range assets {
		process.WriteFile(t, filepath.Join(dir, "certs", name), string(decode(t, text)))
	}
	// What the operator's reloader would put in.
	config = strings.NewReplacer("/etc/prometheus", dir, "$(SHARD)", "0", "$(POD_NAME)", "prometheus-main-0").Replace(config)
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), config)
	listen := process.FreeAddress(t)
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	server := "http://" + listen
	process.Eventually(t, time.Minute, "Prometheus takes the configuration", func() error {
		_, err := process.Get(t.Context(), server+"/-/ready")
		return err
	})
	return server
}

// ask decodes the data of an answer of Prometheus.
func ask[T any](t *testing.T, url string) (T, error) {
	t.Helper()
	var answer struct{ Data T }
	b, err := process.Get(t.Context(), url)
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	return answer.Data, err
}

// wantTargets wants each pod to be scraped once, under the labels that alerts and dashboards know.
func wantTargets(t *testing.T, server string, pods map[string]string) {
	t.Helper()
	want := map[string]string{}
	for pod := range pods {
		want["openai/"+pod] = "up"
	}
	process.Eventually(t, 3*time.Minute, "each pod is scraped once", func() error {
		found, err := ask[struct {
			ActiveTargets []struct {
				Labels                       map[string]string
				Health, LastError, ScrapeURL string
			}
		}](t, server+"/api/v1/targets?state=active")
		if err != nil {
			return err
		}
		got := map[string]string{}
		for _, target := range found.ActiveTargets {
			name := target.Labels["job"] + "/" + target.Labels["instance"]
			if _, twice := got[name]; twice || target.Labels["endpoint"] != "" {
				return fmt.Errorf("%s is there twice, or has a label endpoint: %v", name, target.Labels)
			}
			got[name] = target.Health
			if target.Health != "up" && target.LastError != "" {
				got[name] += ": " + target.LastError
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
	var series []struct{ Metric map[string]string }
	process.Eventually(t, time.Minute, "usage of every release is there", func() error {
		found, err := ask[struct {
			Result []struct{ Metric map[string]string }
		}](t, server+"/api/v1/query?query="+url.QueryEscape(`count by (instance, endpoint) ({__name__=~"openai_poll.*|openai_up|openai_usage_.*"})`))
		if err != nil {
			return err
		}
		series = found.Result
		instances := map[string]bool{}
		for _, s := range series {
			instances[s.Metric["instance"]] = true
		}
		if len(instances) != len(pods) {
			return fmt.Errorf("there is usage of %v", instances)
		}
		return nil
	})
	if !slices.ContainsFunc(series, func(s struct{ Metric map[string]string }) bool { return s.Metric["endpoint"] == "completions" }) {
		t.Errorf("our own label endpoint is lost: %v", series)
	}
	held(t, "a ServiceMonitor of two shards, one with TLS and a password, and a ScrapeConfig: %d targets, each up and there once, and our label endpoint is kept", len(pods))
}

// wantRules wants every rule of the chart to be there once and evaluated without an error.
func wantRules(t *testing.T, server string) {
	t.Helper()
	want := map[string]int{}
	files, err := filepath.Glob(filepath.Join(root, "deploy/prometheus/rules/*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Groups []struct {
				Rules []struct{ Alert, Record string }
			}
		}
		if err := yaml.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		for _, g := range doc.Groups {
			for _, r := range g.Rules {
				want[r.Alert+r.Record]++
			}
		}
	}
	process.Eventually(t, 3*time.Minute, "every rule is there and evaluated without an error", func() error {
		found, err := ask[struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}](t, server+"/api/v1/rules")
		if err != nil {
			return err
		}
		got := map[string]int{}
		for _, g := range found.Groups {
			for _, r := range g.Rules {
				got[r.Name]++
				if r.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
	process.Eventually(t, time.Minute, "the rules see the exporters", func() error {
		found, err := ask[struct{ Result []struct{ Value []any } }](t, server+"/api/v1/query?query="+url.QueryEscape("count(organization:openai_cost_today_usd:sum)"))
		if err != nil {
			return err
		}
		if len(found.Result) == 0 {
			return errors.New("no cost of today is recorded")
		}
		down, err := ask[struct {
			Alerts []struct{ Labels map[string]string }
		}](t, server+"/api/v1/alerts")
		if err != nil {
			return err
		}
		for _, a := range down.Alerts {
			if regexp.MustCompile(`^OpenAIExporter(Down|Missing)$`).MatchString(a.Labels["alertname"]) {
				return fmt.Errorf("%v fires", a.Labels)
			}
		}
		return nil
	})
	held(t, "one set of rules in one of three releases: %d rules, each there once and without an error", len(want))
}
