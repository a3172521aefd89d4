package pricing_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func parseList(t *testing.T, text string) *pricing.List {
	t.Helper()
	l, err := pricing.ParseList([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// models makes a list of these models, written as JSON.
func models(of ...string) string {
	return `[{"id": "openai", "models": [` + strings.Join(of, ",") + `]}]`
}

func published(t *testing.T) (text []byte, list *pricing.List) {
	t.Helper()
	text, err := os.ReadFile("builtin/openai.json")
	if err != nil {
		t.Fatal(err)
	}
	if list, err = pricing.ParseBuiltin(text); err != nil {
		t.Fatal(err)
	}
	return text, list
}

func TestEveryModelOfThePublishedListIsFoundUnderItsNames(t *testing.T) {
	text, list := published(t)
	var providers []struct {
		Models []struct {
			ID    string
			Match json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &providers); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range providers[0].Models {
		var names func(raw json.RawMessage)
		names = func(raw json.RawMessage) {
			var c struct {
				Equals string            `json:"equals"`
				Or     []json.RawMessage `json:"or"`
			}
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			for _, o := range c.Or {
				names(o)
			}
			if c.Equals == "" {
				return
			}
			n++
			if got := list.Entry(c.Equals); got != m.ID {
				t.Errorf("%s is priced as %q, want %q", c.Equals, got, m.ID)
			}
		}
		names(m.Match)
	}
	if n < 150 {
		t.Errorf("%d names were tried, want all of the list", n)
	}
}

func TestModelsAreNeverTakenForOthersThatBeginAlike(t *testing.T) {
	_, list := published(t)
	for model, want := range map[string]string{
		"o1":                              "o1",
		"o1-2024-12-17":                   "o1",
		"o1-2031-01-01":                   "o1",
		"o1-pro":                          "o1-pro",
		"o1-pro-2025-03-19":               "o1-pro",
		"o1-pro-2031-01-01":               "o1-pro",
		"o1-ultra":                        "",
		"o3-pro":                          "o3-pro",
		"gpt-4o":                          "gpt-4o",
		"gpt-4o-2024-05-13":               "gpt-4o-2024-05-13",
		"gpt-4o-mini":                     "gpt-4o-mini",
		"gpt-4o-audio-preview-2025-06-03": "gpt-4o-audio-preview",
		"gpt-4o-mini-audio-preview":       "gpt-4o-mini-audio-preview",
		"gpt-4o-mini-realtime-preview":    "gpt-4o-mini-realtime-preview",
		"gpt-4o-realtime-preview":         "gpt-4o-realtime-preview",
		"gpt-4o-new":                      "",
		"gpt-5":                           "gpt-5",
		"gpt-5-nano-2025-08-07":           "gpt-5-nano",
		"gpt-5-chat-latest":               "gpt-5",
		"gpt-5-ultra":                     "",
		"gpt-image-1":                     "gpt-image-1",
		"gpt-image-1-2025-04-23":          "gpt-image-1",
		"gpt-image-1-large":               "",
		"computer-use-other":              "",
		"gpt-5-nano-large":                "",
		"my-moderation":                   "",
		"gpt-image-1-mini":                "gpt-image-1-mini",
		"gpt-6-astra":                     "gpt-6-astra",
		"gpt-6-astra-2031-01-01":          "gpt-6-astra",
		"2024-05-13":                      "",
		"-2024-05-13":                     "",
		"":                                "",
		"gpt-4o-2024-08-6":                "",
		"ft:gpt-4o-2024-08-06:acme::ab12": "ft:gpt-4o",
		"ft-gpt-4o-2024-08-06":            "ft:gpt-4o",
		"ft:gpt-4o-mini-2024-07-18:acme:support:ab12:ckpt-step-90": "ft:gpt-4o-mini",
		"ft:gpt-3.5-turbo-0125:acme::ab12":                         "ft:gpt-3.5-turbo-",
		// The list has no price of these when they are fine-tuned, only of their base.
		"ft:gpt-4.1-mini-2025-04-14:acme::ab12": "",
		"ft:o4-mini-2025-04-16:acme::ab12":      "",
		"ft:omni-moderation-latest:acme::ab12":  "",
		"omni-moderation-latest":                "moderation",
	} {
		if got := list.Entry(model); got != want {
			t.Errorf("%q is priced as %q, want %q", model, got, want)
		}
	}
}

func TestTheMostSpecificClauseWins(t *testing.T) {
	list := parseList(t, models(
		`{"id": "family", "match": {"starts_with": "o1"}, "prices": {}}`,
		`{"id": "regex", "match": {"regex": "^o[134]"}, "prices": {}}`,
		`{"id": "pro", "match": {"starts_with": "o1-pro"}, "prices": {}}`,
		`{"id": "exact", "match": {"or": [{"equals": "o1-pro-max"}, {"equals": "o1"}]}, "prices": {}}`,
		`{"id": "ends", "match": {"ends_with": "-preview"}, "prices": {}}`,
		`{"id": "both", "match": {"and": [{"starts_with": "x"}, {"contains": "long-name"}]}, "prices": {}}`,
		`{"id": "tuned", "match": {"and": [{"starts_with": "ft:"}, {"contains": "o3"}]}, "prices": {}}`,
		`{"id": "anything", "match": {"regex": "nano"}, "prices": {}}`,
	))
	for model, want := range map[string]string{
		"o1": "exact", "o1-2024-12-17": "family", "o1-pro": "pro", "o1-pro-max": "exact", "o3": "regex", "x-preview": "ends",
		"x-long-name": "both", "y-long-name": "", "ft:o3:acme::1": "tuned", "ft:o1-pro:acme::1": "", "ft:nano:acme::1": "", "o2-nano": "anything",
	} {
		if got := list.Entry(model); got != want {
			t.Errorf("%q is priced as %q, want %q", model, got, want)
		}
	}
}

func TestListsThatCantBeReadAreRefusedInOneLine(t *testing.T) {
	model := func(match, prices string) string {
		return models(`{"id": "a", "match": {"equals": "a"}, "prices": {}}`, `{"id": "b", "match": `+match+`, "prices": `+prices+`}`)
	}
	ok := `{"equals": "b"}`
	for _, tc := range []struct{ text, want string }{
		{"", "line 1: unexpected end of JSON input: correct the JSON"},
		{"[\n{\"id\":\n]", "line 3: invalid character ']'"},
		{"[] []", "line 1: invalid character '['"},
		{"null", "want a list of providers"},
		{`{"id": "openai"}`, "want a list of providers"},
		{`[1]`, "[0]: want a provider"},
		{`[]`, `no provider with the id "openai": add one`},
		{`[{"id": "azure", "models": []}]`, `no provider with the id "openai"`},
		{`[{"id": "openai", "models": []}, {"id": "openai", "models": []}]`, "[1]: there are two providers"},
		{`[{"id": "openai"}]`, "[0].models: want a list of models"},
		{`[{"id": "openai", "models": {}}]`, "[0].models: want a list of models"},
		{models(`{"match": {"equals": "a"}, "prices": {}}`), `[0].models[0]: want a model with an "id"`},
		{models(`{"id": "a", "prices": {}}`), `[0].models[0] ("a"): it has no "match": add {"equals": "a"}`},
		{models(`{"id": "a", "match": {"equals": "a"}}`), `[0].models[0] ("a"): it has no "prices"`},
		{model(`{}`, `{}`), `[0].models[1] ("b").match: want an object with one member`},
		{model(`{"equals": "a", "contains": "b"}`, `{}`), `("b").match: want an object with one member`},
		{model(`{"like": "a"}`, `{}`), `("b").match.like: unknown clause, want equals,`},
		{model(`{"equals": 1}`, `{}`), `("b").match.equals: want a non-empty string`},
		{model(`{"contains": ""}`, `{}`), `("b").match.contains: want a non-empty string`},
		{model(`{"or": []}`, `{}`), `("b").match.or: want a list of clauses`},
		{model(`{"and": [{"equals": "b"}, {"regex": "(?=b)"}]}`, `{}`), `("b").match.and[1].regex: want a regular expression in RE2 syntax`},
		{model(strings.Repeat(`{"or": [`, 30)+ok+strings.Repeat(`]}`, 30), `{}`), "nested more than 20 deep"},
		{model(ok, `{"input_mtok": "1"}`), `("b").prices.input_mtok: want a number of US dollars`},
		{model(ok, `{"input_mtok": -1}`), `("b").prices.input_mtok: a price can't be negative`},
		{model(ok, `{"input_mtok": 1e99}`), `("b").prices.input_mtok: want a number of US dollars: number out of range`},
		{model(ok, `{"input_mtok": {"tiers": []}}`), `("b").prices.input_mtok: want a number, or {"base": 2.5`},
		{model(ok, `1`), `("b").prices: want an object such as`},
		{model(ok, `[{}]`), `("b").prices[0]: want {"constraint"`},
		{model(ok, `[{"prices": 1}]`), `("b").prices[0].prices: want an object`},
		{model(ok, `[{"constraint": {}, "prices": {}}]`), `("b").prices[0].constraint: want a start_date, or`},
		{model(ok, `[{"constraint": {"start_date": "soon"}, "prices": {}}]`), `("b").prices[0].constraint.start_date: want a date such as`},
		{model(ok, `[{"constraint": {"start_time": "25:00", "end_time": "26:00"}, "prices": {}}]`), `("b").prices[0].constraint: want a start_time`},
		{strings.Repeat(" ", 17<<20), "larger than 16 MiB"},
	} {
		path := filepath.Join(t.TempDir(), "prices.json")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := pricing.Load(path)
		switch {
		case err == nil:
			t.Errorf("%.200s was taken", tc.text)
		case !strings.Contains(err.Error(), tc.want):
			t.Errorf("%.200s: %v, want %s", tc.text, err, tc.want)
		case !strings.HasPrefix(err.Error(), "read price list "+path+": "):
			t.Errorf("the error does not name the file: %v", err)
		case strings.Contains(err.Error(), "\n") || len(err.Error()) > 400:
			t.Errorf("the error is not one line: %q", err)
		}
	}
}

func TestAFileThatCantBeOpenedIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := pricing.Load(dir); err == nil || !strings.Contains(err.Error(), dir+": it is a directory") {
		t.Errorf("error = %v", err)
	}
	absent := filepath.Join(dir, "absent.json")
	if _, err := pricing.Load(absent); err == nil || !strings.Contains(err.Error(), "open "+absent+": no such file") {
		t.Errorf("error = %v", err)
	}
}

func TestAFileDatesFromItsModification(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.json")
	if err := os.WriteFile(path, []byte(models()), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	l, err := pricing.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := pricing.New(pricing.Options{File: l}).Time(pricing.SourceFile); !got.Equal(at) {
		t.Errorf("the file dates from %s, want %s", got, at)
	}
}

func FuzzParseList(f *testing.F) {
	for _, path := range []string{"builtin/openai.json", "builtin/more.json"} {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var providers []struct{ Models []json.RawMessage }
		if err := json.Unmarshal(b, &providers); err != nil {
			f.Fatal(err)
		}
		// One seed a model: a whole list is too long to change at random in any good time.
		for _, m := range providers[0].Models {
			f.Add([]byte(models(string(m))), "gpt-5.4-2026-03-05")
		}
	}
	for _, m := range []string{
		`{"id": "a", "match": {"and": [{"starts_with": "ft:"}, {"regex": "^a|b$"}]}, "prices": [{"constraint": {"start_date": "2026-01-31"}, "prices": {"input_mtok": {"base": 1, "tiers": [{"start": 5, "price": 2}]}}}]}`,
		`{"id": "a", "match": {"or": [{"ends_with": "x"}, {"contains": "y"}]}, "prices": [{"constraint": {"start_time": "01:00:00Z", "end_time": "02:00:00Z"}, "prices": {"images_kcount": 1e-3}}, {"prices": {}}]}`,
	} {
		f.Add([]byte(models(m)), "ft:a")
	}
	f.Fuzz(func(t *testing.T, b []byte, model string) {
		l, err := pricing.ParseList(b)
		if err != nil {
			if s := err.Error(); strings.Contains(s, "\n") || s == "" {
				t.Fatalf("the error is not one line: %q", s)
			}
			return
		}
		p := pricing.New(pricing.Options{File: l, At: now})
		for _, e := range endpoints(t) {
			values := ones(e)
			usd, unpriced := p.Row(e, pricing.Labels{Model: model, TierKnown: true}, values)
			if usd.Sign() < 0 || unpriced.Sign() < 0 {
				t.Fatalf("%s of %q costs %s with %s unpriced", e.Name, model, usd, unpriced)
			}
		}
	})
}

func TestAnErrorOfAListHasItsLine(t *testing.T) {
	list := func(price, match string) string {
		return `[
  {"id": "other", "models": [1,
    2]},
  {
    "id": "openai",
    "models": [
      {"id": "a", "match": {"equals": "a"}, "prices": {"input_mtok": 1}},

      {
        "id": "b",
        "match": ` + match + `,
        "prices": [
          {"prices": {}},
          {"constraint": {"start_date": "2026-01-01"},
           "prices": {
             "output_mtok": 2,
             "input_mtok": ` + price + `}}
        ]
      }
    ]
  }
]`
	}
	for text, want := range map[string]string{
		list(`-1`, `{"equals": "b"}`):                                           `line 17: [1].models[1] ("b").prices[1].prices.input_mtok: a price can't be negative`,
		list(`1`, "{\"or\": [{\"equals\": \"b\"},\n  {\"resembles\": \"b\"}]}"): `line 12: [1].models[1] ("b").match.or[1].resembles: unknown clause`,
		list(`1`, `[]`): `line 11: [1].models[1] ("b").match: want an object`,
		"[{\"id\": \"openai\"},\n\n{\"id\": \"openai\"}]": `line 3: [1]: there are two providers`,
		"[{\"id\": \"openai\", \"models\": [\n{}]}]":      `line 2: [0].models[0]: want a model with an "id"`,
		"[{\"id\": \"openai\"}]":                          `line 1: [0].models: want a list of models`,
	} {
		if _, err := pricing.ParseList([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n%v, want %s", text, err, want)
		}
	}
}

func TestAListMayBeginWithAMarkOfItsEncoding(t *testing.T) {
	text := models(`{"id": "a", "match": {"equals": "a"}, "prices": {"input_mtok": 1}}`)
	l, err := pricing.ParseList([]byte("\ufeff" + text))
	if err != nil || l.Entry("a") != "a" {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"\xff\xfe[\x00]\x00", "\xfe\xff\x00[\x00]"} {
		if _, err := pricing.ParseList([]byte(text)); err == nil || err.Error() != "it is in UTF-16: save it as UTF-8" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestATunedModelIsFoundUnderItsSnapshotFirst: how an organization has called it says nothing of its price.
func TestATunedModelIsFoundUnderItsSnapshotFirst(t *testing.T) {
	list := parseList(t, models(
		`{"id": "snapshot", "match": {"equals": "ft:gpt-9-2026-01-02"}, "prices": {}}`,
		`{"id": "any", "match": {"equals": "ft:gpt-9"}, "prices": {}}`,
	))
	for model, want := range map[string]string{
		"ft:gpt-9-2026-01-02:acme::ab12": "snapshot", "ft-gpt-9-2026-01-02": "snapshot",
		"ft:gpt-9-2026-03-04:acme::ab12": "any", "ft:gpt-9:acme::ab12": "any", "gpt-9-2026-01-02": "",
	} {
		if got := list.Entry(model); got != want {
			t.Errorf("%q is priced as %q, want %q", model, got, want)
		}
	}
}
