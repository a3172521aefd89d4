package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const builtinList = "../../internal/pricing/builtin/openai.json"

var now = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

// take runs the program on a newer list, and returns what it printed and the list that it wrote.
func take(t *testing.T, newer string) (printed, written string) {
	t.Helper()
	dir := t.TempDir()
	list, into := filepath.Join(dir, "newer.json"), filepath.Join(dir, "builtin.json")
	for path, text := range map[string]string{
		list: newer,
		into: `[{"id": "openai", "models": [{"id": "gpt-9", "match": {"equals": "gpt-9"}, "prices": {"input_mtok": 2}}]}]`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	if err := run([]string{"-list", list, "-into", into}, &stdout, &stderr, now); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(into)
	if err != nil {
		t.Fatal(err)
	}
	return stdout.String(), string(text)
}

func TestANewerListIsTakenOverWithoutItsOtherProviders(t *testing.T) {
	printed, written := take(t, `[{"id": "azure", "models": []}, {"id": "openai", "models": [{"id": "gpt-9", "match": {"equals": "gpt-9"}, "prices": {"input_mtok": 1}}, {"id": "free", "match": {"equals": "free"}, "prices": {}}]}]`)
	for _, want := range []string{"gpt-9: input_mtok 2 → 1\n", `Without a price: 1 of the models of the list, ["free"].`, "Set BuiltinDate"} {
		if !strings.Contains(printed, want) {
			t.Errorf("printed %q, without %q", printed, want)
		}
	}
	if strings.Contains(written, "azure") || !strings.Contains(written, `"id": "gpt-9"`) {
		t.Errorf("wrote %s", written)
	}
}

func TestTheBuiltinListIsTakenOverUnchanged(t *testing.T) {
	text, err := os.ReadFile(builtinList)
	if err != nil {
		t.Fatal(err)
	}
	if _, written := take(t, string(text)); strings.TrimSpace(written) != strings.TrimSpace(string(text)) {
		t.Error("taking the built-in list over changes its spelling")
	}
}

func TestAListThatCantBeReadChangesNothing(t *testing.T) {
	into := filepath.Join(t.TempDir(), "builtin.json")
	bad := filepath.Join(t.TempDir(), "bad.json")
	for _, path := range []string{into, bad} {
		if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{nil, {"-list", bad, "-into", into}, {"-list", bad + ".absent", "-into", into}} {
		if err := run(args, &bytes.Buffer{}, &bytes.Buffer{}, now); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if text, err := os.ReadFile(into); err != nil || string(text) != "[]" {
		t.Errorf("the built-in list is %q, %v", text, err)
	}
}
