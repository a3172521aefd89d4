package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBaseURLOfOpenAIWithoutAVersionIsAWarning(t *testing.T) {
	t.Setenv("SOME_KEY", "sk-admin-a")
	for _, c := range []struct{ url, want string }{
		{"https://api.openai.com", "https://api.openai.com/v1"},
		{"https://eu.api.openai.com/", "https://eu.api.openai.com/v1"},
		{"https://US.api.openai.com", "https://US.api.openai.com/v1"},
		{"https://eu.api.openai.com/v1", ""},
		{"https://eu.api.openai.com/v1/", ""},
		{"https://proxy.example.com", ""},
		{"https://notapi.openai.com", ""},
	} {
		text := "organizations:\n- api_key_env: SOME_KEY\n  base_url: " + c.url + "\n"
		v, err := Parse("some.yml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", c.url, err)
		}
		got := strings.Join(v.Warnings(), "\n")
		if c.want == "" {
			if got != "" {
				t.Errorf("%s: %q, want none", c.url, got)
			}
			continue
		}
		if !strings.HasPrefix(got, "some.yml:3: ") || !strings.HasSuffix(got, "write "+c.want) {
			t.Errorf("%s: %q, want line 3 and %s", c.url, got, c.want)
		}
	}
}

func TestTwoOrganizationsWithOneKeyAreAWarning(t *testing.T) {
	dir := t.TempDir()
	for name, key := range map[string]string{"a": "sk-admin-same", "b": "sk-admin-same", "c": "sk-admin-other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOME_KEY", "sk-admin-same")
	for _, c := range []struct {
		name, first, second string
		same                bool
	}{
		{"one file", "api_key_file: " + dir + "/a", "api_key_file: " + dir + "/./a", true},
		{"one file that is absent", "api_key_file: " + dir + "/x", "api_key_file: " + dir + "/../" + filepath.Base(dir) + "/x", true},
		{"one variable", "api_key_env: SOME_KEY", "api_key_env: SOME_KEY", true},
		{"one content", "api_key_file: " + dir + "/a", "api_key_file: " + dir + "/b", true},
		{"a file and a variable", "api_key_file: " + dir + "/a", "api_key_env: SOME_KEY", true},
		{"two keys", "api_key_file: " + dir + "/a", "api_key_file: " + dir + "/c", false},
		{"two absent files", "api_key_file: " + dir + "/x", "api_key_file: " + dir + "/y", false},
	} {
		text := "organizations:\n- name: one\n  " + c.first + "\n- name: two\n  " + c.second + "\n"
		v, err := Parse("some.yml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := strings.Join(v.Warnings(), "\n")
		if same := strings.Contains(got, `some.yml:5: organization "two": has the key of organization "one"`); same != c.same {
			t.Errorf("%s: %q, same key %t", c.name, got, c.same)
		}
		if strings.Contains(got, "sk-admin") {
			t.Errorf("%s: the warning shows a key", c.name)
		}
	}
}

func TestBudgetWithoutCostsIsAWarning(t *testing.T) {
	t.Setenv("OPENAI_ADMIN_KEY", "sk-admin-a")
	for enabled, want := range map[string]string{"true": "", "false": `some.yml:3: budget "all": costs.enabled is false`} {
		v, err := Parse("some.yml", []byte("costs: {enabled: "+enabled+"}\nbudgets:\n- {name: all, monthly_usd: 5}\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(v.Warnings(), "\n")
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("enabled %s: %q, want %q", enabled, got, want)
		}
	}
}

func TestFiltersThatMakeBudgetsInexactAreAWarning(t *testing.T) {
	t.Setenv(DefaultKeyEnv, "sk-admin-a")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"no budget", "costs: {filters: {line_items: [x]}}\n", nil},
		{"projects alone", "organizations: [{project_ids: [proj_a]}]\nbudgets: [{name: b, monthly_usd: 1}]\n", nil},
		{"both", "usage: {endpoints: {embeddings: {filters: {models: [x]}}, images: {enabled: false, filters: {models: [x]}}}}\ncosts:\n  filters: {line_items: [x]}\nbudgets: [{name: b, monthly_usd: 1}]\n", []string{
			"some.yml:1: usage.endpoints.embeddings.filters: some usage is left out of the estimate, but not of the bill, so budgets are not exact: filter in Prometheus instead, or by organizations[].project_ids",
			"some.yml:3: costs.filters: the bill of some usage is left out, but its estimate is not, so budgets are not exact: filter in Prometheus instead, or by organizations[].project_ids",
		}},
	} {
		v, err := Parse("some.yml", []byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := strings.Join(v.Warnings(), "\n"); got != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestADirectoryInPlaceOfAKeyIsAWarning(t *testing.T) {
	v, err := Parse("some.yml", []byte("organizations: [{api_key_file: "+t.TempDir()+"}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(v.Warnings(), "\n"); !strings.Contains(got, "is not a regular file: name the file that holds the admin key") || strings.Contains(got, "chmod") {
		t.Errorf("%q", got)
	}
}
