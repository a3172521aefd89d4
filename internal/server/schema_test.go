package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/server"
)

// A schema checks what ours uses of JSON Schema, and fails on what it does not know.
type schema struct{ defs map[string]any }

func (s schema) check(rule map[string]any, v any, at string) (wrong []string) {
	say := func(format string, args ...any) {
		wrong = append(wrong, at+": "+fmt.Sprintf(format, args...))
	}
	for _, keyword := range slices.Sorted(maps.Keys(rule)) {
		want := rule[keyword]
		switch keyword {
		case "$schema", "$defs", "title", "description":
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			def, ok := s.defs[name].(map[string]any)
			if !ok {
				say("the schema has no %v", want)
				continue
			}
			wrong = append(wrong, s.check(def, v, at)...)
		case "type":
			if got := kind(v); got != want && (want != "number" || got != "integer") {
				say("is of the type %s, want %v", got, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				say("%v is none of %v", v, want)
			}
		case "format":
			text, _ := v.(string)
			if _, err := time.Parse(time.RFC3339, text); want != "date-time" || err != nil {
				say("%q is no %v", text, want)
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < want.(float64) {
				say("%v is below %v", n, want)
			}
		case "maximum":
			if n, ok := v.(float64); ok && n > want.(float64) {
				say("%v is above %v", n, want)
			}
		case "maxItems":
			if list, ok := v.([]any); ok && len(list) > int(want.(float64)) {
				say("has %d items", len(list))
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				wrong = append(wrong, s.check(want.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "required":
			object, _ := v.(map[string]any)
			for _, name := range want.([]any) {
				if _, ok := object[name.(string)]; !ok {
					say("%v is missing", name)
				}
			}
		case "properties":
			object, _ := v.(map[string]any)
			for name, p := range want.(map[string]any) {
				if value, ok := object[name]; ok {
					wrong = append(wrong, s.check(p.(map[string]any), value, at+"."+name)...)
				}
			}
		case "additionalProperties":
			object, _ := v.(map[string]any)
			known, _ := rule["properties"].(map[string]any)
			for name, value := range object {
				if _, ok := known[name]; ok {
					continue
				}
				if more, ok := want.(map[string]any); ok {
					wrong = append(wrong, s.check(more, value, at+"."+name)...)
				} else if want == false {
					say("%s is not known", name)
				}
			}
		default:
			say("the schema says %s, which this test does not know", keyword)
		}
	}
	return wrong
}

func kind(v any) string {
	switch n := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if n == math.Trunc(n) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

func loadSchema(t *testing.T) (schema, map[string]any) {
	t.Helper()
	b, err := os.ReadFile("../../docs/status.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	return schema{root["$defs"].(map[string]any)}, root
}

func TestTheStatusIsAsItsSchemaSays(t *testing.T) {
	s, root := loadSchema(t)
	starting := new(source)
	starting.set(fetcher.Status{Organization: "acme", Endpoint: "costs", State: fetcher.StateStarting})
	refused := new(source)
	for name, o := range map[string]server.Options{
		"described":     described(t),
		"nothing known": {Views: new(source), Statuses: new(source)},
		"starting":      {Views: starting, Statuses: starting},
		"no feeds":      {Views: refused, Statuses: organization(t)},
		"spending":      spent(spenders(t, "acme"), everything()),
	} {
		t.Run(name, func(t *testing.T) {
			body := start(t, o).do(t, http.MethodGet, "/api/v1/status").body
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				t.Fatal(err)
			}
			for _, w := range s.check(root, v, "status") {
				t.Error(w)
			}
		})
	}
}

// everything is an organization of which there is something to say in every field.
func everything() *directory.Organization {
	o := acme()
	o.Only = []string{"proj_a"}
	o.Teams, o.Unowned = []directory.Team{{Name: "search", ProjectIDs: []string{"proj_a"}}}, "unallocated"
	o.SpendLimits = []directory.SpendLimit{{ProjectID: "proj_b", USD: 200, Enforcement: directory.Enforcing}}
	return o
}

func TestASchemaThatIsBrokenIsNoticed(t *testing.T) {
	s, root := loadSchema(t)
	body := start(t, described(t)).do(t, http.MethodGet, "/api/v1/status").body
	for from, to := range map[string]string{
		`"state": "ok"`:        `"state": "fine"`,
		`"label_sets": 1312`:   `"label_sets": "many"`,
		`"ready": true`:        `"redy": true`,
		`"2026-11-20T12:00:00`: `"noon`,
		`"waiting": 3`:         `"waiting": -3`,
	} {
		changed := strings.Replace(body, from, to, 1)
		if changed == body {
			t.Errorf("the status has no %s", from)
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(changed), &v); err != nil {
			t.Fatal(err)
		}
		if len(s.check(root, v, "status")) == 0 {
			t.Errorf("%s goes through", to)
		}
	}
}

func TestTheSchemaKnowsEveryFieldOfTheReport(t *testing.T) {
	s, root := loadSchema(t)
	fields := func(of any) (names []string) {
		typ := reflect.TypeOf(of)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	item := func(path ...string) map[string]any {
		object := s.defs["organization"].(map[string]any)
		for _, name := range path {
			object = object["properties"].(map[string]any)[name].(map[string]any)["items"].(map[string]any)
		}
		return object
	}
	for _, tc := range []struct {
		of     any
		object map[string]any
	}{
		{server.Report{}, root},
		{server.Organization{}, s.defs["organization"].(map[string]any)},
		{server.Endpoint{}, s.defs["endpoint"].(map[string]any)},
		{server.Project{}, item("top_projects_today")},
		{server.Model{}, item("top_models_today")},
		{server.Key{}, item("top_keys_today")},
		{server.Refusal{}, item("refused")},
		{server.Day{}, item("days")},
		{server.Part{}, item("days", "parts")},
	} {
		known := slices.Sorted(maps.Keys(tc.object["properties"].(map[string]any)))
		if got := fields(tc.of); !slices.Equal(got, known) {
			t.Errorf("%T has %v, the schema %v", tc.of, got, known)
		}
	}
}
