//go:build cluster

package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// nodes stand in for what a control plane lacks: scheduler, kubelet and volumes.
type nodes struct {
	c     *cluster
	names []string

	mu        sync.Mutex
	gone      map[string]bool
	addresses map[string]string // of pods, by their UID
	heartbeat time.Time
	last      error
}

type object struct {
	Metadata struct {
		Name, Namespace, UID, DeletionTimestamp string
		Generation                              int
		Labels, Annotations                     map[string]string
	}
}

type list[T any] struct{ Items []T }

type mounted struct {
	Name, SecretName string
	Items            []struct{ Key string }
}

type pod struct {
	object
	Spec struct {
		NodeName   string
		Containers []struct{ Name, Image string }
		Volumes    []struct {
			Secret, ConfigMap     *mounted
			PersistentVolumeClaim *struct{ ClaimName string }
			Projected             *struct {
				Sources []struct{ Secret, ConfigMap *mounted }
			}
		}
	}
	Status struct {
		Phase, PodIP string
		Conditions   []struct{ Type, Status string }
	}
}

func (p pod) path() string {
	return "/api/v1/namespaces/" + p.Metadata.Namespace + "/pods/" + p.Metadata.Name
}

func (p pod) ready() bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c struct{ Type, Status string }) bool { return c.Type == "Ready" && c.Status == "True" })
}

type claim struct {
	object
	Spec struct {
		VolumeName, StorageClassName string
		AccessModes                  []string
		Resources                    struct{ Requests struct{ Storage string } }
	}
	Status struct{ Phase string }
}

// With these, what is written in Go is close to what the API calls an object.
type (
	o = map[string]any
	l = []any
)

func startNodes(t *testing.T, c *cluster, names ...string) *nodes {
	t.Helper()
	n := &nodes{c: c, names: names, gone: map[string]bool{}, addresses: map[string]string{}}
	for _, name := range names {
		node := o{"apiVersion": "v1", "kind": "Node", "metadata": o{"name": name, "labels": o{"kubernetes.io/hostname": name}}}
		if err := c.api(t.Context(), http.MethodPost, "/api/v1/nodes", node, nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				n.work(ctx)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("the last error of the stand-in for nodes: %v", n.last)
		}
	})
	return n
}

// beat says that a node lives.
func (n *nodes) beat(ctx context.Context, name string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	condition := o{"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now}
	room := o{"pods": "110", "cpu": "8", "memory": "8Gi"}
	return n.c.api(ctx, http.MethodPatch, "/api/v1/nodes/"+name+"/status", o{"status": o{"conditions": l{condition}, "capacity": room, "allocatable": room}}, nil)
}

// lose lets a node fall silent: its pods may run on, and nothing confirms their end.
func (n *nodes) lose(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone[name] = true
}

// back lets a node work again.
func (n *nodes) back(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.gone, name)
}

// work does once what kubelets, scheduler and volumes do all the time. What fails is tried again.
func (n *nodes) work(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.heartbeat) > 2*time.Second {
		n.heartbeat = time.Now()
		for _, name := range n.names {
			if !n.gone[name] {
				n.note(n.beat(ctx, name))
			}
		}
	}
	var claims list[claim]
	n.note(n.c.api(ctx, http.MethodGet, "/api/v1/persistentvolumeclaims", nil, &claims))
	for _, c := range claims.Items {
		if c.Spec.VolumeName == "" {
			n.note(n.provision(ctx, c))
		}
	}
	var pods list[pod]
	n.note(n.c.api(ctx, http.MethodGet, "/api/v1/pods", nil, &pods))
	for _, p := range pods.Items {
		switch {
		case p.Spec.NodeName == "" && p.Metadata.DeletionTimestamp == "":
			n.note(n.bind(ctx, p, pods.Items))
		case n.gone[p.Spec.NodeName]:
		case p.Metadata.DeletionTimestamp != "":
			n.note(n.c.api(ctx, http.MethodDelete, p.path(), o{"gracePeriodSeconds": 0}, nil))
		case !p.ready() && n.mounts(ctx, p):
			n.note(n.run(ctx, p))
		}
	}
}

// note keeps an error, of which some are a matter of course: others change the same objects.
func (n *nodes) note(err error) {
	if err != nil && !is(err, http.StatusConflict) && !is(err, http.StatusNotFound) {
		n.last = err
	}
}

func (n *nodes) provision(ctx context.Context, c claim) error {
	return n.c.api(ctx, http.MethodPost, "/api/v1/persistentvolumes", o{
		"apiVersion": "v1", "kind": "PersistentVolume", "metadata": o{"name": "volume-" + c.Metadata.UID},
		"spec": o{
			"capacity": o{"storage": c.Spec.Resources.Requests.Storage}, "accessModes": c.Spec.AccessModes, "storageClassName": c.Spec.StorageClassName,
			"persistentVolumeReclaimPolicy": "Retain", "hostPath": o{"path": "/nowhere"},
			"claimRef": o{"namespace": c.Metadata.Namespace, "name": c.Metadata.Name},
		},
	}, nil)
}

// bind puts a pod on the node with the fewest pods.
func (n *nodes) bind(ctx context.Context, p pod, all []pod) error {
	best, fewest := "", len(all)+1
	for _, name := range n.names {
		count := 0
		for _, other := range all {
			if other.Spec.NodeName == name {
				count++
			}
		}
		if !n.gone[name] && count < fewest {
			best, fewest = name, count
		}
	}
	return n.c.api(ctx, http.MethodPost, p.path()+"/binding", o{
		"apiVersion": "v1", "kind": "Binding", "metadata": o{"name": p.Metadata.Name}, "target": o{"apiVersion": "v1", "kind": "Node", "name": best},
	}, nil)
}

// mounts reports whether everything is there that a kubelet would mount, key by key.
func (n *nodes) mounts(ctx context.Context, p pod) bool {
	there := func(kind string, m *mounted) bool {
		if m == nil {
			return true
		}
		var found struct{ Data map[string]string }
		if n.c.api(ctx, http.MethodGet, "/api/v1/namespaces/"+p.Metadata.Namespace+"/"+kind+"/"+m.Name+m.SecretName, nil, &found) != nil {
			return false
		}
		return !slices.ContainsFunc(m.Items, func(i struct{ Key string }) bool { return found.Data[i.Key] == "" })
	}
	for _, v := range p.Spec.Volumes {
		if !there("secrets", v.Secret) || !there("configmaps", v.ConfigMap) {
			return false
		}
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if !there("secrets", s.Secret) || !there("configmaps", s.ConfigMap) {
					return false
				}
			}
		}
		if v.PersistentVolumeClaim != nil {
			var c claim
			err := n.c.api(ctx, http.MethodGet, "/api/v1/namespaces/"+p.Metadata.Namespace+"/persistentvolumeclaims/"+v.PersistentVolumeClaim.ClaimName, nil, &c)
			if err != nil || c.Status.Phase != "Bound" {
				return false
			}
		}
	}
	return true
}

// run calls a pod ready.
func (n *nodes) run(ctx context.Context, p pod) error {
	address, ok := n.addresses[p.Metadata.UID]
	if !ok {
		address = fmt.Sprintf("10.1.%d.%d", len(n.addresses)/250, len(n.addresses)%250+1)
		n.addresses[p.Metadata.UID] = address
	}
	now := time.Now().UTC().Format(time.RFC3339)
	var containers l
	for _, c := range p.Spec.Containers {
		containers = append(containers, o{
			"name": c.Name, "image": c.Image, "imageID": c.Image, "ready": true, "started": true, "restartCount": 0,
			"state": o{"running": o{"startedAt": now}},
		})
	}
	return n.c.api(ctx, http.MethodPatch, p.path()+"/status", o{"status": o{
		"phase": "Running", "podIP": address, "podIPs": l{o{"ip": address}}, "startTime": now, "containerStatuses": containers,
		"conditions": l{
			o{"type": "Ready", "status": "True", "lastTransitionTime": now}, o{"type": "ContainersReady", "status": "True", "lastTransitionTime": now},
		},
	}}, nil)
}
