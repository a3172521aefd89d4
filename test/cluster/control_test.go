//go:build cluster

package cluster_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// The token of an administrator, of a control plane that lives for minutes on loopback.
const token = "administrator"

// A cluster is a control plane without machines.
type cluster struct {
	dir, server, kubeconfig string
	client                  *http.Client
	nodes                   *nodes
}

// start starts etcd, the API server and the controllers, and the stand-in for machines.
func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir()}
	etcd, peer, server := process.FreeAddress(t), process.FreeAddress(t), process.FreeAddress(t)
	c.server, c.kubeconfig = "https://"+server, filepath.Join(c.dir, "kubeconfig")
	certificates := filepath.Join(c.dir, "certificates")
	file := func(name string) string { return filepath.Join(c.dir, name) }
	process.WriteFile(t, file("tokens.csv"), token+`,admin,admin,"system:masters"`+"\n")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	process.WriteFile(t, file("accounts.key"), string(private))

	process.Start(t, process.Tool(t, "ETCD", "etcd"), "--data-dir="+file("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://"+etcd, "--advertise-client-urls=http://"+etcd,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer, "--initial-cluster=default=http://"+peer)
	process.Start(t, process.Tool(t, "APISERVER", "kube-apiserver"), "--etcd-servers=http://"+etcd,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+port(server), "--cert-dir="+certificates,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+file("accounts.key"),
		"--service-account-signing-key-file="+file("accounts.key"), "--token-auth-file="+file("tokens.csv"),
		"--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/16", "--endpoint-reconciler-type=none", "--allow-privileged")
	authority := filepath.Join(certificates, "apiserver.crt")
	process.WriteFile(t, c.kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test,
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}],
users: [{name: admin, user: {token: %s}}],
contexts: [{name: test, context: {cluster: test, user: admin}}]}
`, c.server, authority, token))
	process.Eventually(t, 2*time.Minute, "the API server is ready", func() error {
		pem, err := os.ReadFile(authority)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		c.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
		return c.api(t.Context(), http.MethodGet, "/readyz", nil, nil)
	})
	process.Start(t, process.Tool(t, "CONTROLLERS", "kube-controller-manager"), "--kubeconfig="+c.kubeconfig,
		"--authentication-kubeconfig="+c.kubeconfig, "--authorization-kubeconfig="+c.kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port="+port(process.FreeAddress(t)), "--cert-dir="+file("controllers"), "--leader-elect=false",
		"--service-account-private-key-file="+file("accounts.key"), "--root-ca-file="+authority, "--node-monitor-period=1s", "--node-monitor-grace-period=20s", "--pvclaimbinder-sync-period=1s")
	c.nodes = startNodes(t, c, "first", "second")
	process.Eventually(t, 2*time.Minute, "the controllers work", func() error {
		return c.api(t.Context(), http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", nil, nil)
	})
	return c
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// refused is an answer of the API server that is no success.
type refused struct {
	code int
	text string
}

func (r refused) Error() string { return fmt.Sprintf("%d: %s", r.code, process.Tail(r.text, 500)) }

// is reports whether the API server answered with a code.
func is(err error, code int) bool {
	var r refused
	return errors.As(err, &r) && r.code == code
}

// api makes a request of the API server. A patch is a strategic one.
func (c *cluster) api(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/strategic-merge-patch+json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %w", method, path, refused{resp.StatusCode, string(b)})
	case into == nil:
		return nil
	}
	return json.Unmarshal(b, into)
}

// get reads an object or a list, and fails where there is none.
func get[T any](t *testing.T, c *cluster, path string) T {
	t.Helper()
	var v T
	if err := c.api(t.Context(), http.MethodGet, path, nil, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// run runs one of the pinned programs on the cluster.
func (c *cluster) run(t *testing.T, variable, name, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, process.Tool(t, variable, name), args...)
	cmd.Dir = root
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "KUBECONFIG=" + c.kubeconfig}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// kubectl fails the test where kubectl fails.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.apply(t, "", args...)
}

// apply gives kubectl something to read.
func (c *cluster) apply(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.run(t, "KUBECTL", "kubectl", stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (c *cluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, "HELM", "helm", "", args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// helmRefuses wants helm to fail with certain words, and returns all that it said.
func (c *cluster) helmRefuses(t *testing.T, words string, args ...string) string {
	t.Helper()
	out, err := c.run(t, "HELM", "helm", "", args...)
	if err == nil {
		t.Fatalf("helm %s: no error, want %q\n%s", strings.Join(args, " "), words, out)
	}
	if !strings.Contains(out, words) {
		t.Fatalf("helm %s: want %q in\n%s", strings.Join(args, " "), words, out)
	}
	return out
}
