package exporter

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/test/process"
)

type snapshots struct{ s *directory.Snapshot }

func (s *snapshots) Snapshot() *directory.Snapshot { return s.s }

func TestAProjectIsProcessedInARegionWhereItsResidencySaysSo(t *testing.T) {
	of := func(residency string) *directory.Snapshot {
		return &directory.Snapshot{Organizations: []*directory.Organization{
			{Name: "acme", Projects: []directory.Project{{ID: "proj_a", Residency: residency}, {ID: "proj_b", Residency: "GLOBAL"}}},
			{Name: "beta", Projects: []directory.Project{{ID: "proj_c"}}},
		}}
	}
	s := &snapshots{&directory.Snapshot{}}
	r := &regions{snapshots: s}
	for _, c := range []struct {
		residency string
		want      bool
	}{{"EU_STORAGE_PROCESSING", true}, {"EU_STORAGE", false}, {"US_STORAGE_PROCESSING", true}, {"", false}} {
		s.s = of(c.residency)
		if got := r.regional("acme", "proj_a"); got != c.want {
			t.Errorf("%q is processed in a region: %v", c.residency, got)
		}
		if r.regional("acme", "proj_b") || r.regional("beta", "proj_a") || r.regional("beta", "proj_c") || r.regional("gone", "") {
			t.Errorf("with %q another project is processed in a region", c.residency)
		}
	}
}

// TestUsageIsPricedByTheRegionThatTheLookUpsFound: the running whole, before any bill.
func TestUsageIsPricedByTheRegionThatTheLookUpsFound(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	process.WriteFile(t, filepath.Join(dir, "key"), "sk-admin-regions\n")
	u, err := StartUnserved(UnservedOptions{StoragePath: filepath.Join(dir, "data"), Logger: log.NewNopLogger(), Load: func() (*config.Valid, error) {
		return config.Parse("", fmt.Appendf(nil, `
organizations: [{name: acme, api_key_file: %q, base_url: %q, requests_per_minute: 6000}]
usage: {interval: 1h}
costs: {enabled: false}
names: {interval: 1s}
limits: {enabled: false}
`, filepath.Join(dir, "key"), server.URL+"/v1"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := u.Stop(); err != nil {
			t.Error(err)
		}
	}()
	e, _ := api.Find("completions")
	row := make([]decimal.Fixed, len(e.Measures))
	for i, m := range e.Measures {
		if m.Name == "input_tokens" {
			row[i] = decimal.FromInt(1_000_000)
		}
	}
	want := map[string]string{"Research": "0.22", "Marketing Studio": "0.2", "Search": "0.2"} // Research is processed in the EU.
	process.Eventually(t, 3*time.Minute, "projects cost what they do in their region", func() error {
		for _, p := range sim.Projects() {
			usd, _ := u.Pricer("acme", e)([]string{"project_id", "model", "batch", "service_tier"}, []ledger.Label{{Name: "model", Value: "gpt-5.6-luna"}, {Name: "project_id", Value: p.ID}})(time.Now(), row)
			if w, known := want[p.Name]; known && usd.String() != w {
				return fmt.Errorf("%s costs %s, want %s", p.Name, usd, w)
			}
		}
		return nil
	})
}
