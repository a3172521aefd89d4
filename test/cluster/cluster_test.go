//go:build cluster

package cluster_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

const (
	root     = "../.."
	manifest = "deploy/kubernetes"
	// released are chart and manifests as users of the last release have them.
	releasedChart, releasedManifest = "test/cluster/testdata/chart-0.1.0", "test/cluster/testdata/manifests-0.1.0"
)

// chart is the one that is tested.
var chart = os.Getenv("CHART")

// TestCluster takes its steps on one control plane, each in namespaces of its own.
func TestCluster(t *testing.T) {
	if chart == "" {
		t.Fatal("$CHART is not set: run make cluster")
	}
	c := start(t)
	startOperator(t, c)
	for _, step := range []struct {
		what string
		take func(*testing.T, *cluster)
	}{
		{"the chart installs with every values file, goes, and comes back to its volumes", installsEveryValuesFile},
		{"the chart installs under every release name", installsUnderEveryName},
		{"the released chart is upgraded, rolled back and upgraded again", upgradesTheReleasedChart},
		{"every value that may change changes by an upgrade", changesEveryValue},
		{"what an upgrade can't change is refused, and the way that is named works", refusesWhatCannotChange},
		{"a first installation that was wrong is put right by an upgrade", putsAWrongInstallationRight},
		{"a changed secret reaches the pods that run", rotatesTheSecret},
		{"a drain takes one shard at a time, and shards are spread", drainsOneShardAtATime},
		{"a pod leaves a node that is gone, once the node is said to be out of service", leavesANodeOutOfService},
		{"the plain manifests install, are upgraded from those released, and share out", installsTheManifests},
		{"Prometheus scrapes and evaluates what the operator generates", scrapesWhatTheOperatorGenerates},
	} {
		began, outcome := time.Now(), "NOT ASKED FOR"
		passed := t.Run(strings.ReplaceAll(step.what, ",", ""), func(t *testing.T) {
			outcome = "HELD"
			step.take(t, c)
		})
		if !passed {
			outcome = "FAILED"
		}
		t.Logf("%s: %s, %.0f s", outcome, step.what, time.Since(began).Seconds())
	}
}

// held prints what a step has shown, unless something has failed before.
func held(t *testing.T, format string, args ...any) {
	t.Helper()
	if !t.Failed() {
		t.Logf("held: "+format, args...)
	}
}

// namespace makes a namespace that enforces the restricted pod security standard, with what the values files name.
func (c *cluster) namespace(t *testing.T, name string) string {
	t.Helper()
	secret := func(name string, data o) o {
		return o{"apiVersion": "v1", "kind": "Secret", "metadata": o{"name": name}, "stringData": data}
	}
	c.post(t, "/api/v1/namespaces", o{"apiVersion": "v1", "kind": "Namespace", "metadata": o{
		"name": name, "labels": o{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"},
	}})
	t.Cleanup(func() { _, _ = c.run(t, "KUBECTL", "kubectl", "", "delete", "namespace", name, "--wait=false") })
	for _, s := range []o{
		secret("openai-admin-key", o{"admin-key": "sk-admin-test"}), secret("openai-acme", o{"admin-key": "sk-admin-test"}),
		secret("openai-globex", o{"admin-key": "sk-admin-test", "key": "sk-admin-test"}), secret("openai-initech", o{"admin-key": "sk-admin-test"}),
		secret("openai-exporter-web", o{"web.yml": "{}"}), secret("openai-exporter-scrape", o{"username": "u", "password": "p", "ca.crt": "c"}),
		secret("another", o{"admin-key": "sk-admin-test", "other-key": "sk-admin-test"}),
	} {
		c.post(t, "/api/v1/namespaces/"+name+"/secrets", s)
	}
	c.post(t, "/api/v1/namespaces/"+name+"/configmaps", o{"apiVersion": "v1", "kind": "ConfigMap", "metadata": o{"name": "proxy-ca"}, "data": o{"ca.crt": "c"}})
	c.post(t, "/api/v1/namespaces/"+name+"/serviceaccounts", o{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": o{"name": "robot"}})
	c.post(t, "/api/v1/namespaces/"+name+"/persistentvolumeclaims", o{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": o{"name": "totals"},
		"spec": o{"accessModes": l{"ReadWriteOnce"}, "resources": o{"requests": o{"storage": "1Gi"}}},
	})
	process.Eventually(t, time.Minute, "the claim of "+name+" has a volume", func() error {
		if c.claims(t, name)["totals"] == "" {
			return errors.New("it has none")
		}
		return nil
	})
	return name
}

func (c *cluster) post(t *testing.T, path string, body o) {
	t.Helper()
	if err := c.api(t.Context(), http.MethodPost, path, body, nil); err != nil {
		t.Fatal(err)
	}
}

// pods are those of the exporter in a namespace, ready or not.
func (c *cluster) pods(t *testing.T, namespace string) []pod {
	t.Helper()
	return get[list[pod]](t, c, "/api/v1/namespaces/"+namespace+"/pods?labelSelector=app.kubernetes.io/name%3Dopenai-exporter").Items
}

// ready waits until so many pods of the exporter are there and ready, and no others.
func (c *cluster) ready(t *testing.T, namespace string, count int) []pod {
	t.Helper()
	var pods []pod
	process.Eventually(t, 3*time.Minute, fmt.Sprintf("%d pods are ready in %s", count, namespace), func() error {
		pods = c.pods(t, namespace)
		ready := 0
		for _, p := range pods {
			if p.ready() && p.Metadata.DeletionTimestamp == "" {
				ready++
			}
		}
		if ready != count || len(pods) != count {
			return fmt.Errorf("%d of %d pods are ready, want %d", ready, len(pods), count)
		}
		return nil
	})
	return pods
}

// settled waits until a stateful set has taken its newest template over to all of its pods.
func (c *cluster) settled(t *testing.T, namespace, name string) {
	t.Helper()
	c.kubectl(t, "--namespace="+namespace, "rollout", "status", "statefulset/"+name, "--timeout=90s")
}

// claims are the volumes of a namespace, by the claim's name. A claim that was made again has another volume.
func (c *cluster) claims(t *testing.T, namespace string) map[string]string {
	t.Helper()
	volumes := map[string]string{}
	for _, claim := range get[list[claim]](t, c, "/api/v1/namespaces/"+namespace+"/persistentvolumeclaims").Items {
		volumes[claim.Metadata.Name] = claim.Spec.VolumeName
	}
	return volumes
}

type set struct {
	object
	Spec struct {
		Replicas                         int
		ServiceName, PodManagementPolicy string
		Template                         o
		VolumeClaimTemplates             []claim
	}
	Status struct{ CurrentRevision, UpdateRevision string }
}

func (c *cluster) set(t *testing.T, namespace, name string) set {
	t.Helper()
	return get[set](t, c, "/apis/apps/v1/namespaces/"+namespace+"/statefulsets/"+name)
}

// valuesFiles are those that the chart's golden files are made of.
func valuesFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy/helm/testdata/values/*.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d values files: %v", len(files), err)
	}
	for i, f := range files {
		files[i] = strings.TrimPrefix(f, root+"/")
	}
	return files
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
