package queries_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
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

// What promtool tests of the cookbook is what stands there, in the words that every server knows.
func TestTheCookbooksQueriesAreThoseThatPromtoolTests(t *testing.T) {
	document, err := os.ReadFile("../../docs/cookbook.md")
	if err != nil {
		t.Fatal(err)
	}
	inLine := func(expr string) string { return strings.Join(strings.Fields(expr), " ") }
	stands := map[string]bool{}
	for _, m := range blocks.FindAllStringSubmatch(string(document), -1) {
		stands[inLine(queries.Portable(m[1]))] = true
	}
	b, err := os.ReadFile("../prometheus/tests/openai-cookbook.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Exprs []struct{ Expr string } `yaml:"promql_expr_test"`
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, test := range file.Tests {
		for _, e := range test.Exprs {
			if tested++; !stands[inLine(e.Expr)] {
				t.Errorf("docs/cookbook.md does not ask %s", e.Expr)
			}
		}
	}
	if tested < 3 {
		t.Errorf("promtool tests only %d queries of the cookbook", tested)
	}
}
