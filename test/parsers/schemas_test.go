//go:build parsers

package parsers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/test/process"
)

const root = "../.."

// validate holds documents against a schema. What it returns names what does not fit.
func validate(t *testing.T, schema string, documents ...string) (string, error) {
	t.Helper()
	if os.Getenv("AJV") == "" {
		t.Fatal("$AJV is not set: run make parsers")
	}
	args := append([]string{filepath.Join(root, "tools/ajv/validate.mjs"), filepath.Join(root, schema)}, documents...)
	out, err := exec.CommandContext(t.Context(), process.Tool(t, "NODE", "node"), args...).CombinedOutput()
	return string(out), err
}

// write writes a document as JSON.
func write(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "document.json")
	process.WriteFile(t, file, string(b))
	return file
}

var listening = regexp.MustCompile(`msg=(?:Listening|"Simulating the API").* address=(\S+)`)

// serve runs the exporter and returns its base URL.
func serve(t *testing.T, binary string, args ...string) string {
	t.Helper()
	p := process.Start(t, binary, append(args, "--web.listen-address=127.0.0.1:0")...)
	var found []string
	process.Eventually(t, time.Minute, "it listens", func() error {
		if found = listening.FindStringSubmatch(p.Output()); found == nil {
			return errors.New("it does not")
		}
		return nil
	})
	return "http://" + found[1]
}

const statusSchema = "docs/status.schema.json"

// TestLiveStatusFitsItsSchema: before the first poll, in order, and with a key that is refused.
func TestLiveStatusFitsItsSchema(t *testing.T) {
	binary := process.Build(t)
	dir := t.TempDir()
	simulator := process.Start(t, binary, "simulate", "--listen-address=127.0.0.1:0", "--admin-key=sk-admin-other")
	var api []string
	process.Eventually(t, time.Minute, "the simulator listens", func() error {
		if api = listening.FindStringSubmatch(simulator.Output()); api == nil {
			return errors.New("it does not")
		}
		return nil
	})
	process.WriteFile(t, filepath.Join(dir, "key"), "sk-admin-refused")
	process.WriteFile(t, filepath.Join(dir, "refused.yml"), "organizations: [{name: refused, api_key_file: key, base_url: http://"+api[1]+"/v1}]\n")
	demo := serve(t, binary, "--demo")
	refused := serve(t, binary, "--config.file="+filepath.Join(dir, "refused.yml"), "--storage.path="+filepath.Join(dir, "data"))
	fits := func(base string) {
		t.Helper()
		b, err := process.Get(t.Context(), base+"/api/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := validate(t, statusSchema, write(t, json.RawMessage(b))); err != nil {
			t.Errorf("%v\n%s\n%s", err, out, b)
		}
	}
	fits(demo)
	fits(refused)
	for _, base := range []string{demo, refused} {
		process.Eventually(t, time.Minute, "every endpoint was polled or has failed", func() error {
			_, err := process.Get(t.Context(), base+"/-/ready")
			return err
		})
		fits(base)
	}

	// The check is worth what it finds.
	b, err := process.Get(t.Context(), demo+"/api/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	var status map[string]any
	if err := json.Unmarshal(b, &status); err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(status)) {
		changed := maps.Clone(status)
		changed[key+"_misspelt"] = changed[key]
		if out, err := validate(t, statusSchema, write(t, changed)); err == nil {
			t.Errorf("%s_misspelt fits the schema:\n%s", key, out)
		}
	}
}

// TestValuesFitTheSchemaOfTheChart: its own values, and those that its golden files are made of.
func TestValuesFitTheSchemaOfTheChart(t *testing.T) {
	const chart, schema = "deploy/helm/openai-exporter", "deploy/helm/openai-exporter/values.schema.json"
	files, err := filepath.Glob(filepath.Join(root, "deploy/helm/testdata/values/*.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d values files: %v", len(files), err)
	}
	for _, file := range append(files, filepath.Join(root, chart, "values.yaml")) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var values any
		if err := yaml.Unmarshal(b, &values); err != nil {
			t.Fatal(err)
		}
		if out, err := validate(t, schema, write(t, values)); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
	for _, wrong := range []any{map[string]any{"shards": 0}, map[string]any{"apiKey": "sk"}, map[string]any{"persistence": map[string]any{"size": "large"}}} {
		if out, err := validate(t, schema, write(t, wrong)); err == nil {
			t.Errorf("%s fits the schema:\n%s", fmt.Sprint(wrong), out)
		}
	}
}
