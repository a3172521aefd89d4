package deploy_test

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/openai-exporter/openai_exporter"

// imports are those of the packages of the binary among each other, main being "main.go".
func imports(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{if .Module}}{{if .Module.Main}}{{.ImportPath}} {{join .Imports " "}}{{end}}{{end}}`, ".")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	graph := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := "main.go"
		if words[0] != module {
			from = strings.TrimPrefix(words[0], module+"/")
		}
		graph[from] = nil
		for _, to := range words[1:] {
			if short, ok := strings.CutPrefix(to, module+"/"); ok {
				graph[from] = append(graph[from], short)
			}
		}
	}
	return graph
}

// reaches says whether there is a way of imports.
func reaches(graph map[string][]string, from, to string) bool {
	return slices.ContainsFunc(graph[from], func(next string) bool { return next == to || reaches(graph, next, to) })
}

func TestArchitectureShowsTheImportsOfTheCode(t *testing.T) {
	graph := imports(t)
	var picture strings.Builder
	picture.WriteString("```mermaid\nflowchart TD\n")
	id := func(name string) string { return strings.NewReplacer("/", "_", ".", "_").Replace(name) }
	names := slices.Sorted(maps.Keys(graph))
	for _, from := range names {
		fmt.Fprintf(&picture, "    %s[\"%s\"]\n", id(from), from)
	}
	for _, from := range names {
		for _, to := range slices.Sorted(slices.Values(graph[from])) {
			// An arrow that other arrows make already would hide them.
			if !slices.ContainsFunc(graph[from], func(over string) bool { return reaches(graph, over, to) }) {
				fmt.Fprintf(&picture, "    %s --> %s\n", id(from), id(to))
			}
		}
	}
	picture.WriteString("```\n")

	const begin, end = "<!-- Drawn from the code. -->\n\n", "\n<!-- The end of what is drawn. -->"
	const page = "docs/architecture.md"
	before, rest, ok := strings.Cut(read(t, page), begin)
	_, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("%s has lost its marks", page)
	}
	golden(t, page, before+begin+picture.String()+end+after)
}

func TestArchitectureDescribesEveryRoom(t *testing.T) {
	rooms, _, _ := strings.Cut(read(t, "docs/architecture.md"), "\n## Imports\n")
	for name := range imports(t) {
		if !strings.Contains(rooms, "`"+name+"`") && !strings.Contains(rooms, "`"+name+"/`") {
			t.Errorf("docs/architecture.md does not say what %s knows", name)
		}
	}
}

// The way of the data goes one way: what is drawn may not have an arrow back.
func TestDataGoesOneWay(t *testing.T) {
	graph := imports(t)
	for _, forbidden := range [][2]string{
		{"fetcher", "collector"},
		{"fetcher", "internal/server"},
		{"fetcher", "config"},
		{"internal/ledger", "fetcher"},
		{"internal/ledger", "collector"},
		{"internal/ledger", "config"},
		{"internal/directory", "fetcher"},
		{"internal/pricing", "fetcher"},
		{"internal/pricing", "collector"},
		{"internal/budget", "internal/ledger"},
		{"internal/spend", "fetcher"},
		{"internal/spend", "collector"},
		{"internal/spend", "config"},
		{"internal/backfill", "config"},
		{"internal/verify", "config"},
		{"collector", "internal/server"},
		{"collector", "config"},
		{"collector", "internal/simulator"},
		{"internal/exporter", "internal/command"},
	} {
		for _, p := range forbidden {
			if _, ok := graph[p]; !ok {
				t.Fatalf("there is no package %s", p)
			}
		}
		if reaches(graph, forbidden[0], forbidden[1]) {
			t.Errorf("%s reaches %s", forbidden[0], forbidden[1])
		}
	}
}
