package fetcher

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzRefusal(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "samples", "error_*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(401), body, "1")
	}
	f.Add(uint16(400), []byte(`{"error":{"message":"Invalid value: 'model'. Supported values are: 'project_id'.","param":"group_by[1]"}}`), "")
	f.Add(uint16(522), []byte("<html>sk-proj-abc"), "Sat, 01 Jan 2000 01:02:00 GMT")
	f.Add(uint16(429), []byte(`{"error":["sk-a*b"]}`), "1e99")
	dimensions := []string{"project_id", "user_id", "model"}
	f.Fuzz(func(t *testing.T, status uint16, body []byte, after string) {
		q := inquiry{path: "organization/costs", scope: "api.usage.read", dimensions: dimensions, baseURL: "http://api.test"}
		header := http.Header{"Retry-After": {after}, "X-Request-Id": {string(body)}}
		e := refuse(q, int(status%600), header, body, time.Unix(946684800, 0))
		text := e.Error()
		if text == "" || len(text) > 600 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00") {
			t.Errorf("not one short line: %q", text)
		}
		for _, s := range []string{text, e.RequestID, e.Param} {
			if i := strings.Index(s, " sk-"); i >= 0 && !strings.HasPrefix(s[i:], " sk-…") {
				t.Errorf("a key is repeated: %q", s)
			}
		}
		if e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
			t.Errorf("Retry-After %q waits %s", after, e.RetryAfter)
		}
		if e.Class == "" || Code(e) == "" {
			t.Errorf("no class: %+v", e)
		}
		if e.Dimension != "" && e.Dimension != dimensions[0] && e.Dimension != dimensions[1] && e.Dimension != dimensions[2] {
			t.Errorf("a dimension that was not asked for: %q", e.Dimension)
		}
	})
}
