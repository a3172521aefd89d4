package queries_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	blocks = regexp.MustCompile("(?s)```promql\n(.*?)```")
	// A sum over a metric of ours, or over what it has grown by, with nothing in between that would take replicas once.
	doubled = regexp.MustCompile(`sum(?: by \([^)]*\))?\s*\(\s*(?:(?:increase|rate)\()?openai_\w+`)
)

// One exporter may be scraped by several jobs, and several exporters may show one organization.
func TestQueriesInDocumentsCountReplicasOnce(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/runbooks/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	seen := 0
	for _, f := range files {
		// Accuracy explains it step by step, and what a backfill has written has neither job nor instance.
		if slices.Contains([]string{"accuracy.md", "history.md"}, filepath.Base(f)) {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range blocks.FindAllStringSubmatch(string(b), -1) {
			seen += strings.Count(m[1], "openai_")
			for _, q := range doubled.FindAllString(m[1], -1) {
				t.Errorf("%s sums over replicas: %s", f, q)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d metrics are asked for in documents", seen)
	}
}
