package fetcher

import (
	"strings"
	"testing"
)

func TestTheListThatHasRowsCounts(t *testing.T) {
	const rows, other = `[{"input_tokens":3}]`, `[{"input_tokens":4}]`
	for _, test := range []struct {
		name, bucket string
		refused      bool
	}{
		{"null first", `"start_time":60,"result":null,"results":` + rows, false},
		{"null last", `"start_time":60,"results":` + rows + `,"result":null`, false},
		{"old name, null first", `"start_time":60,"results":null,"result":` + rows, false},
		{"empty first", `"start_time":60,"result":[],"results":` + rows, false},
		{"empty last", `"start_time":60,"results":` + rows + `,"result":[]`, false},
		{"the same rows twice", `"start_time":60,"results":` + rows + `,"result":` + rows, false},
		{"before the start", `"result":[],"results":` + rows + `,"start_time":60`, false},
		{"the same rows twice before the start", `"result":` + rows + `,"results":` + rows + `,"start_time":60`, false},
		{"the same rows before and after the start", `"result":` + rows + `,"start_time":60,"results":` + rows, false},
		{"different rows", `"start_time":60,"results":` + rows + `,"result":` + other, true},
		{"different rows before the start", `"results":` + rows + `,"result":` + other + `,"start_time":60`, true},
		{"more rows", `"start_time":60,"results":` + rows + `,"result":[{"input_tokens":3},{"input_tokens":3}]`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _, err := decode(t, "embeddings", strings.NewReader(pageOf("{"+test.bucket+"}")))
			if test.refused {
				if err == nil {
					t.Errorf("taken for %v", s.text())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.text()["input_tokens"] != "3" || s.rows != 1 {
				t.Errorf("got %v of %d rows", s.text(), s.rows)
			}
		})
	}
}

func TestACursorWithoutHasMoreIsAFurtherPage(t *testing.T) {
	for body, more := range map[string]bool{
		`{"object":"page","data":[],"next_page":"page_x"}`:                  true,
		`{"object":"page","data":[],"has_more":null,"next_page":"page_x"}`:  true,
		`{"object":"page","data":[],"has_more":false,"next_page":"page_x"}`: false,
		`{"object":"page","data":[],"next_page":null}`:                      false,
		`{"object":"page","data":[]}`:                                       false,
	} {
		if _, p, err := decode(t, "embeddings", strings.NewReader(body)); err != nil || p.more != more {
			t.Errorf("%s: a further page: %v, %v", body, p.more, err)
		}
	}
}

func TestARowWithoutAnyFieldThatIsCountedIsAnError(t *testing.T) {
	for _, test := range []struct{ name, row, names string }{
		{"completions", `{"object":"x","input_token_count":1000,"model":"m"}`, "object, input_token_count, model"},
		{"costs", `{"object":"x","price":{"value":3},"line_item":"l"}`, "object, price, line_item"},
		{"embeddings", `{}`, ""},
	} {
		_, _, err := decode(t, test.name, strings.NewReader(pageOf(bucketOf(test.row))))
		if err == nil {
			t.Errorf("%s: the row is taken for zero", test.name)
			continue
		}
		text := bodyError(endpoint(t, test.name), "", err).Error()
		if !strings.Contains(text, test.name) || !strings.Contains(text, test.names) {
			t.Errorf("%s: the error names neither the endpoint nor the fields: %s", test.name, text)
		}
	}
	// A field that is null is there.
	if _, _, err := decode(t, "completions", strings.NewReader(pageOf(bucketOf(`{"input_tokens":null,"model":"m"}`)))); err != nil {
		t.Error(err)
	}
}
