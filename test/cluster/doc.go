// Package cluster installs the chart and the plain manifests on a real Kubernetes control plane with a real Prometheus
// operator: `make cluster`. There is no kubelet and no scheduler: a stand-in binds pods to nodes, makes volumes for
// claims, and calls a pod ready once the secrets, configurations and volumes that it mounts are there.
package cluster
