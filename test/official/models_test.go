package official

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// unpriced are the models that the official client names and the built-in list has no price for.
var unpriced = []string{
	"babbage-002", "chatgpt-image-latest", "davinci-002", "gpt-5.6-cyber", "gpt-6-cyber", "gpt-6-rosalind", "gpt-daybreak-blue-latest",
	"gpt-daybreak-red-latest", "gpt-live-1", "sora-2", "sora-2-2025-10-06", "sora-2-2025-12-08", "sora-2-pro", "sora-2-pro-2025-10-06",
}

// models are all names of models that the client has constants for.
func models(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/openai/openai-go/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	err = filepath.WalkDir(strings.TrimSpace(string(out)), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			kind, ok := v.Type.(*ast.Ident)
			text, literal := v.Values[0].(*ast.BasicLit)
			if ok && literal && text.Kind == token.STRING && (strings.HasSuffix(kind.Name, "Model") || kind.Name == "AllModels") {
				name, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Error(err)
				}
				found[name] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestModelsOfTheClientHaveAPrice names those that have none, in any endpoint.
func TestModelsOfTheClientHaveAPrice(t *testing.T) {
	p := pricing.New(pricing.Options{At: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)})
	all := models(t)
	if len(all) < 150 {
		t.Fatalf("%d models are not all that the client has", len(all))
	}
	var without []string
	for _, name := range all {
		// Calls of tools cost the same with any model, and moderation is free whatever does it.
		endpoints := []string{"completions", "embeddings", "images", "audio_speeches", "audio_transcriptions"}
		if strings.Contains(name, "moderation") {
			endpoints = append(endpoints, "moderations")
		}
		priced := false
		for _, endpoint := range endpoints {
			e, ok := api.Find(endpoint)
			if !ok {
				t.Fatalf("there is no endpoint %s", endpoint)
			}
			priced = priced || p.Sources(e, name) != pricing.SourceNone
		}
		if !priced {
			without = append(without, name)
		}
	}
	if !slices.Equal(unpriced, without) {
		t.Errorf("without a price are %q, want %q", without, unpriced)
	}
	doc, err := os.ReadFile("../../docs/pricing.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Of the %d models that OpenAI's own client names, %d have no price: `%s`.", len(all), len(without), strings.Join(without, "`, `"))
	if !strings.Contains(strings.Join(strings.Fields(string(doc)), " "), want) {
		t.Errorf("docs/pricing.md does not say %q", want)
	}
}
