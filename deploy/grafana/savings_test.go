package grafana_test

import (
	"strings"
	"testing"
)

// What the cache saves is the difference of two prices, which are not the same.
func TestCacheSavingsAreOfTwoPrices(t *testing.T) {
	found := 0
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			if p.Title != "Saved by the prompt cache" {
				continue
			}
			found++
			for _, kind := range []string{"input", "cached_input"} {
				if want := `token_type="` + kind + `"`; !strings.Contains(p.Targets[0].Expr, want) {
					t.Errorf("%s: %q does not ask for %s: %s", file, p.Title, want, p.Targets[0].Expr)
				}
			}
		}
	}
	if found != 1 {
		t.Errorf("%d panels show what the cache saves, want one", found)
	}
}
