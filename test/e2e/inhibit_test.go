//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

func TestWhatFollowsFromOneTroubleIsNotToldTwice(t *testing.T) {
	m := &monitor{alertmanager: "http://" + process.FreeAddress(t), webhook: startWebhook(t)}
	startAlertmanager(t, m, t.TempDir())
	process.Eventually(t, 3*time.Minute, "Alertmanager is ready", func() error {
		_, err := process.Get(t.Context(), m.alertmanager+"/-/ready")
		return err
	})
	type labels map[string]string
	alert := func(name string, more ...string) labels {
		l := labels{"alertname": name}
		for i := 0; i < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	a := []string{"job", "openai", "instance", "a:10095"}
	b := []string{"job", "openai", "instance", "b:10095"}
	in := func(where []string, more ...string) []string { return append(append([]string{}, where...), more...) }
	cases := []struct {
		labels
		silenced bool
	}{
		{alert("OpenAIExporterDown", a...), false},
		{alert("OpenAIEndpointFailing", in(a, "organization", "acme", "endpoint", "images")...), true},
		{alert("OpenAICostsStale", in(a, "organization", "acme", "endpoint", "costs")...), true},
		{alert("OpenAIExporterStateCommitErrors", a...), true},
		{alert("OpenAISpendTodayHigh", "organization", "acme"), false},

		{alert("OpenAIKeyRejected", in(b, "organization", "beta", "endpoint", "costs")...), false},
		{alert("OpenAIEndpointFailing", in(b, "organization", "beta", "endpoint", "costs")...), true},
		{alert("OpenAIEndpointFailing", in(b, "organization", "beta", "endpoint", "images")...), false},

		{alert("OpenAIExporterStateCommitErrors", "job", "openai", "instance", "c:10095"), false},
		{alert("OpenAIUsageStale", "job", "openai", "instance", "c:10095", "endpoint", "images"), true},

		{alert("OpenAIExporterLabelSetsOverflow", in(b, "organization", "beta")...), false},
		{alert("OpenAIExporterLabelSetsNearLimit", in(b, "organization", "beta")...), true},
		{alert("OpenAIExporterLabelSetsNearLimit", in(b, "organization", "gamma")...), false},

		{alert("OpenAISpendBurst", "organization", "acme", "project_id", "proj_a", "severity", "critical"), false},
		{alert("OpenAISpendGrowingFast", "organization", "acme", "project_id", "proj_a"), true},
		{alert("OpenAITokensJump", "organization", "acme", "project_id", "proj_a"), true},
		{alert("OpenAITokensJump", "organization", "acme", "project_id", "proj_b"), false},
		{alert("OpenAISpendAboveUsual", "organization", "beta", "project_id", "proj_a"), false},

		{alert("OpenAIBudgetSpent", "organization", "acme", "budget", "research"), false},
		{alert("OpenAIBudgetNear", "organization", "acme", "budget", "research"), true},
		{alert("OpenAIBudgetForecastOver", "organization", "acme", "budget", "research"), true},
		{alert("OpenAIBudgetNear", "organization", "acme", "budget", "everything"), false},
		{alert("OpenAIBudgetForecastOver", "organization", "beta", "budget", "research"), false},
		{alert("OpenAIUnpricedUsage", "organization", "acme", "endpoint", "completions", "model", "gpt-new"), false},
		{alert("OpenAIEstimateOff", "organization", "acme", "project_id", "proj_c"), true},
		{alert("OpenAIEstimateOff", "organization", "beta", "project_id", "proj_c"), false},
	}
	var all []map[string]any
	for _, c := range cases {
		all = append(all, map[string]any{"labels": c.labels})
	}
	if err := post(t, m.alertmanager+"/api/v2/alerts", all); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		process.Eventually(t, 3*time.Minute, fmt.Sprintf("%v is silenced: %v", c.labels, c.silenced), func() error {
			silenced, err := inhibited(t, m.alertmanager, c.labels)
			if err == nil && silenced != c.silenced {
				err = errors.New("it is not so")
			}
			return err
		})
	}
}

func post(t *testing.T, url string, body any) error {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", url, resp.Status)
	}
	return nil
}

// inhibited says whether Alertmanager holds an alert back, once it knows.
func inhibited(t *testing.T, alertmanager string, labels map[string]string) (bool, error) {
	t.Helper()
	body, err := process.Get(t.Context(), alertmanager+"/api/v2/alerts")
	if err != nil {
		return false, err
	}
	var alerts []struct {
		Labels map[string]string `json:"labels"`
		Status struct {
			State       string   `json:"state"`
			InhibitedBy []string `json:"inhibitedBy"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &alerts); err != nil {
		return false, err
	}
	for _, a := range alerts {
		if key("", a.Labels) == key("", labels) && a.Labels["instance"] == labels["instance"] && a.Labels["organization"] == labels["organization"] {
			if a.Status.State == "unprocessed" {
				return false, errors.New("not processed yet")
			}
			return len(a.Status.InhibitedBy) > 0, nil
		}
	}
	return false, fmt.Errorf("%v is unknown", labels)
}
