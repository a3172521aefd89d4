//go:build cluster

package cluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// uids are the identities of pods, which a restart changes.
func uids(pods []pod) map[string]string {
	found := map[string]string{}
	for _, p := range pods {
		found[p.Metadata.Name] = p.Metadata.UID
	}
	return found
}

func putsAWrongInstallationRight(t *testing.T, c *cluster) {
	ns := c.namespace(t, "wrong")
	args := []string{"--namespace=" + ns, "--set=shards=3,shardBy=endpoint"}
	c.helm(t, append([]string{"install", "openai", chart, "--set=existingSecret=mistyped"}, args...)...)
	process.Eventually(t, time.Minute, "three pods wait for a secret that is not there", func() error {
		pods := c.pods(t, ns)
		for _, p := range pods {
			if p.ready() || p.Spec.NodeName == "" {
				return fmt.Errorf("%s is ready, or nowhere", p.Metadata.Name)
			}
		}
		for claim, volume := range c.claims(t, ns) {
			if volume == "" {
				return fmt.Errorf("%s has no volume", claim)
			}
		}
		if len(pods) != 3 {
			return fmt.Errorf("there are %d pods", len(pods))
		}
		return nil
	})
	held(t, "a pod that is not ready keeps no other from starting")
	before := c.claims(t, ns)
	c.helm(t, append([]string{"upgrade", "openai", chart, "--set=existingSecret=openai-admin-key"}, args...)...)
	// Whether Kubernetes replaces pods that were never ready depends on its version. Deleted, they come back as they should be.
	c.kubectl(t, "--namespace="+ns, "delete", "pods", "--selector=app.kubernetes.io/instance=openai", "--wait=false")
	c.ready(t, ns, 3)
	c.settled(t, ns, "openai-openai-exporter")
	if diff := cmp.Diff(before, c.claims(t, ns)); diff != "" {
		t.Errorf("volumes (-before +after):\n%s", diff)
	}
	held(t, "after an upgrade with the right secret, and once the pods that never were ready are deleted, all three are ready on the same volumes")
}

// mount writes a secret's keys as a kubelet does: into a new directory, to which a link is turned in one step.
func mount(t *testing.T, c *cluster, namespace, secret, dir string, paths map[string]string) {
	t.Helper()
	data := get[struct{ Data map[string]string }](t, c, "/api/v1/namespaces/"+namespace+"/secrets/"+secret).Data
	version := filepath.Join(dir, time.Now().Format("..2006_01_02_15_04_05.000000000"))
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	for key, path := range paths {
		process.WriteFile(t, filepath.Join(version, path), string(decode(t, data[key])))
		link := filepath.Join(dir, path)
		if err := os.Symlink(filepath.Join("..data", path), link); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	next := filepath.Join(dir, "..data_next")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

var listening = regexp.MustCompile(`msg=(?:Listening|"Simulating the API").* address=(\S+)`)

// address waits until a program says where it listens.
func address(t *testing.T, p *process.Program) string {
	t.Helper()
	var found []string
	process.Eventually(t, time.Minute, "it listens", func() error {
		if found = listening.FindStringSubmatch(p.Output()); found == nil {
			return errors.New("it does not listen")
		}
		return nil
	})
	return found[1]
}

func rotatesTheSecret(t *testing.T, c *cluster) {
	binary, ns := process.Build(t), c.namespace(t, "rotation")
	api := "http://" + address(t, process.Start(t, binary, "simulate", "--admin-key=sk-admin-new", "--listen-address=127.0.0.1:0")) + "/v1"
	c.install(t, ns, "openai", chart, "--set=organizations[0].name=acme,organizations[0].existingSecret=openai-acme,organizations[0].config.base_url="+api)
	before, generation := uids(c.ready(t, ns, 1)), c.set(t, ns, "openai-openai-exporter").Metadata.Generation

	// No kubelet: this writes the files that one would write, and runs the exporter with the configuration of the release.
	keys, dir := t.TempDir(), t.TempDir()
	mount(t, c, ns, "openai-acme", keys, map[string]string{"admin-key": "acme"})
	configuration := get[struct{ Data map[string]string }](t, c, "/api/v1/namespaces/"+ns+"/configmaps/openai-openai-exporter").Data["openai_exporter.yml"]
	if !strings.Contains(configuration, "/etc/openai_exporter/keys/acme") {
		t.Fatalf("the key is not named in\n%s", configuration)
	}
	file := filepath.Join(dir, "openai_exporter.yml")
	process.WriteFile(t, file, strings.ReplaceAll(configuration, "/etc/openai_exporter/keys", keys))
	exporter := process.Start(t, binary, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	metrics := "http://" + address(t, exporter) + "/metrics"
	up := func(want string) func() error {
		return func() error {
			b, err := process.Get(t.Context(), metrics)
			if err != nil {
				return err
			}
			if line := regexp.MustCompile(`(?m)^openai_up\{.*\} ` + want + `$`); !line.Match(b) {
				return fmt.Errorf("openai_up is not %s", want)
			}
			return nil
		}
	}
	process.Eventually(t, time.Minute, "the API refuses the former key", up("0"))
	c.kubectl(t, "--namespace="+ns, "patch", "secret", "openai-acme", `--patch={"stringData":{"admin-key":"sk-admin-new"}}`)
	mount(t, c, ns, "openai-acme", keys, map[string]string{"admin-key": "acme"})
	process.Eventually(t, time.Minute, "the API takes the new key", up("1"))
	select {
	case <-exporter.Done():
		t.Error("the exporter has ended")
	default:
	}
	if after := uids(c.ready(t, ns, 1)); cmp.Diff(before, after) != "" || c.set(t, ns, "openai-openai-exporter").Metadata.Generation != generation {
		t.Errorf("the pod was replaced: %v, before %v", after, before)
	}
	held(t, "a new key in the secret reaches an exporter that runs on, and no pod is replaced. What a kubelet does in between is done here by the test")
}

func (c *cluster) evict(t *testing.T, p pod) error {
	t.Helper()
	return c.api(t.Context(), http.MethodPost, p.path()+"/eviction", o{
		"apiVersion": "policy/v1", "kind": "Eviction", "metadata": o{"name": p.Metadata.Name, "namespace": p.Metadata.Namespace},
	}, nil)
}

func drainsOneShardAtATime(t *testing.T, c *cluster) {
	ns := c.namespace(t, "drain")
	c.install(t, ns, "openai", chart, append(minimal, "--set=shards=3,shardBy=endpoint")...)
	pods := c.ready(t, ns, 3)
	process.Eventually(t, time.Minute, "the budget knows three pods, of which one may go", func() error {
		budget := get[struct {
			Status struct{ CurrentHealthy, DisruptionsAllowed int }
		}](t, c, "/apis/policy/v1/namespaces/"+ns+"/poddisruptionbudgets/openai-openai-exporter").Status
		if budget.CurrentHealthy != 3 || budget.DisruptionsAllowed != 1 {
			return fmt.Errorf("%+v", budget)
		}
		return nil
	})
	spread := c.kubectl(t, "--namespace="+ns, "get", "pods", "--output=jsonpath={.items[*].spec.topologySpreadConstraints[*].topologyKey}")
	if spread != strings.TrimSpace(strings.Repeat("kubernetes.io/hostname ", 3)) {
		t.Errorf("the pods are spread by %q", spread)
	}
	// A node that is silent keeps the first shard from ending and from coming back.
	c.nodes.lose(pods[0].Spec.NodeName)
	defer c.nodes.back(pods[0].Spec.NodeName)
	if err := c.evict(t, pods[0]); err != nil {
		t.Fatalf("the first shard may not go: %v", err)
	}
	other := pods[1]
	if other.Spec.NodeName == pods[0].Spec.NodeName {
		other = pods[2]
	}
	process.Eventually(t, 3*time.Minute, "a second shard may not go as long as the first is away", func() error {
		if err := c.evict(t, other); !is(err, http.StatusTooManyRequests) {
			return fmt.Errorf("it is answered with %v", err)
		}
		return nil
	})
	held(t, "a drain takes one shard of three; while it is away, the next one is refused")

	single := c.namespace(t, "drain-single")
	c.install(t, single, "openai", chart, minimal...)
	if err := c.evict(t, c.ready(t, single, 1)[0]); err != nil {
		t.Errorf("a single replica holds up the drain: %v", err)
	}
	held(t, "a single replica holds up no drain")
}

func leavesANodeOutOfService(t *testing.T, c *cluster) {
	ns := c.namespace(t, "service")
	c.install(t, ns, "openai", chart, minimal...)
	before, claims := c.ready(t, ns, 1)[0], c.claims(t, ns)
	node := before.Spec.NodeName
	c.nodes.lose(node)
	defer c.nodes.back(node)
	process.Eventually(t, 3*time.Minute, "the pod counts as not ready", func() error {
		if c.pods(t, ns)[0].ready() {
			return errors.New("it is ready")
		}
		return nil
	})
	if p := c.pods(t, ns)[0]; p.Metadata.UID != before.Metadata.UID || p.Spec.NodeName != node {
		t.Errorf("a second pod was started while the first may still run")
	}
	held(t, "while the node is silent, the pod is not started elsewhere: it may still run")
	c.kubectl(t, "taint", "node", node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
	defer c.kubectl(t, "taint", "node", node, "node.kubernetes.io/out-of-service-")
	process.Eventually(t, 2*time.Minute, "the pod is ready on another node", func() error {
		pods := c.pods(t, ns)
		if len(pods) != 1 || !pods[0].ready() || pods[0].Spec.NodeName == node {
			return fmt.Errorf("%d pods, on %v", len(pods), pods)
		}
		return nil
	})
	if diff := cmp.Diff(claims, c.claims(t, ns)); diff != "" {
		t.Errorf("volumes (-before +after):\n%s", diff)
	}
	held(t, "the taint out-of-service moves it to another node, with the same volume")
}

// components copies plain manifests and enables some of their components.
func components(t *testing.T, from, list string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, from))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kustomization.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	process.WriteFile(t, file, regexp.MustCompile(`(?m)^# components:.*`).ReplaceAllString(string(b), "components: "+list))
	return dir
}

func installsTheManifests(t *testing.T, c *cluster) {
	const ns, name = "openai", "openai-exporter"
	t.Cleanup(func() { _, _ = c.run(t, "KUBECTL", "kubectl", "", "delete", "namespace", ns, "--wait=false") })
	c.kubectl(t, "create", "namespace", ns)
	c.kubectl(t, "--namespace="+ns, "create", "secret", "generic", "openai-admin-key", "--from-literal=admin-key=sk-admin-test")
	c.kubectl(t, "apply", "-k", releasedManifest)
	c.ready(t, ns, 1)
	before := c.claims(t, ns)
	if out, err := c.run(t, "KUBECTL", "kubectl", "", "apply", "-k", manifest); err == nil || !strings.Contains(out, "Forbidden") {
		t.Errorf("the stateful set of the release is changed: %v\n%s", err, out)
	}
	c.kubectl(t, "--namespace="+ns, "delete", "statefulset", name, "--cascade=orphan")
	c.kubectl(t, "apply", "-k", manifest)
	c.settled(t, ns, name)
	c.ready(t, ns, 1)
	held(t, "the released manifests can't be changed; after kubectl delete statefulset %s --cascade=orphan the new ones take the pod over", name)

	c.kubectl(t, "apply", "-k", components(t, manifest, "[prometheus-operator, shards]"))
	c.settled(t, ns, name)
	c.ready(t, ns, 3)
	c.kubectl(t, "apply", "-k", components(t, manifest, "[scrape-config]"))
	c.settled(t, ns, name)
	c.ready(t, ns, 1)
	for claim, volume := range before {
		if after := c.claims(t, ns)[claim]; after != volume {
			t.Errorf("claim %s has the volume %s, and had %s", claim, after, volume)
		}
	}
	c.kubectl(t, "--namespace="+ns, "get", "servicemonitor/"+name, "scrapeconfig/"+name, "poddisruptionbudget/"+name)
	held(t, "three shards with a ServiceMonitor and a budget, and back to one with a ScrapeConfig, on the same volume")
}
