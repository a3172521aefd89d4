//go:build manifests

package deploy_test

import (
	"strings"
	"testing"
)

// excused are findings of kube-score that stay, each with its reason. Everything else it says is an error.
var excused = map[string]string{
	"ImagePullPolicy is not set to Always":                 "the tag of a release never moves, and a pod starts while the registry is away",
	"CPU limit is not set":                                 "a throttled exporter answers scrapes late; its request bounds what it takes from others",
	"Ephemeral Storage limit is not set":                   "the root is read-only and the state is on a volume: there is nothing to limit but logs",
	"Ephemeral Storage request is not set":                 "the root is read-only and the state is on a volume: there is nothing to ask for",
	"The pod does not have a matching NetworkPolicy":       "the chart can't know who scrapes and which proxy there is: networkPolicy.enabled makes one",
	"StatefulSet does not have a host podAntiAffinity set": "topologySpreadConstraints spread the shards, without refusing to start one where nodes are few",
}

// TestKubeScoreFindsNothingThatHasNoReason: a reader that we did not write, on everything that is rendered.
func TestKubeScoreFindsNothingThatHasNoReason(t *testing.T) {
	used := map[string]bool{}
	for name, text := range everything(t) {
		out, _ := tool(t, "KUBE_SCORE", text, "score", "--output-format=ci", "--kubernetes-version=v1.28", "-")
		found := 0
		for line := range strings.SplitSeq(out, "\n") {
			found++
			if !strings.HasPrefix(line, "[CRITICAL]") && !strings.HasPrefix(line, "[WARNING]") {
				continue
			}
			_, finding, _ := strings.Cut(line, ": ")
			finding = strings.TrimPrefix(finding, "(openai-exporter) ")
			if excused[finding] == "" {
				t.Errorf("%s: %s", name, line)
			}
			used[finding] = true
		}
		if found < 15 {
			t.Errorf("%s: kube-score has looked at little:\n%s", name, out)
		}
	}
	for finding := range excused {
		if !used[finding] {
			t.Errorf("nothing is found any more that %q excuses", finding)
		}
	}
}

// The check is worth what it finds.
func TestKubeScoreRefusesAPodThatMayDoMore(t *testing.T) {
	text := strings.Replace(build(t, "deploy/kubernetes"), "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", 1)
	out, err := tool(t, "KUBE_SCORE", text, "score", "--output-format=ci", "-")
	if err == nil || !strings.Contains(out, "[CRITICAL] openai-exporter/openai apps/v1/StatefulSet: (openai-exporter) The pod has a container with a writable root filesystem") {
		t.Errorf("error %v\n%s", err, out)
	}
}
