package exporter

import (
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/directory"
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
