package collector_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"

	"github.com/openai-exporter/openai_exporter/collector"
)

// made asks once and says whether the answer to a large view had to be made: kept bytes take little new memory.
func made(t *testing.T, h http.Handler, accept, coding string) bool {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", coding)
	s := &sink{header: http.Header{}, code: http.StatusOK}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.ServeHTTP(s, r)
	runtime.ReadMemStats(&after)
	if s.code != http.StatusOK {
		t.Fatalf("%s, %s: status %d", accept, coding, s.code)
	}
	return after.TotalAlloc-before.TotalAlloc > 2<<20
}

// The forms that differ, the least recently asked first. Only one is with gzip: what it takes to make so few bytes can't be
// told from what the compressors take, whenever the pool has dropped them.
var forms = []struct{ accept, coding string }{
	{acceptable["OpenMetrics 1.0"], "identity"},
	{acceptable["OpenMetrics 1.0"], "gzip"},
	{acceptable["OpenMetrics 2.0"], "identity"},
	{acceptable["protobuf"], "identity"},
	{acceptable["text"], "identity"},
}

func TestOtherSpellingsOfAWishAreAnsweredWithTheSameBytes(t *testing.T) {
	const series = 20_000
	h := many(t, series).Handler()
	for kind, spellings := range map[string][]string{
		"text/plain": {
			"", "*/*", "text/plain", "text/*", "text/plain;version=0.0.4", "text/plain;version=1.0.0", "text/html, */*;q=0.1",
			"text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain;escaping=dots", "text/plain;escaping=values", "text/plain;escaping=underscores",
		},
		"application/openmetrics-text": {
			"application/openmetrics-text", "application/openmetrics-text;version=0.0.1", "application/openmetrics-text;version=1.0.0",
			"application/openmetrics-text;version=1.0.0;escaping=dots", "application/openmetrics-text;version=1.0.0;q=0.5",
		},
	} {
		want := lines(t, ask(t, h, "/metrics", spellings[0], "gzip"), kind)
		for _, accept := range spellings {
			for _, coding := range []string{"gzip", "gzip;q=0.5", "x-gzip", "deflate, gzip, br, zstd"} {
				if made(t, h, accept, coding) {
					t.Errorf("%s as %q, %q is made again", kind, accept, coding)
				}
			}
			if !slices.Equal(want, lines(t, ask(t, h, "/metrics", accept, "gzip"), kind)) {
				t.Errorf("%s as %q has other samples", kind, accept)
			}
		}
	}
}

func TestAFormThatIsAskedForNoMoreGoes(t *testing.T) {
	const series = 20_000
	for name, prepare := range map[string]func(*testing.T) (*collector.Collector, func()){
		"one view": func(t *testing.T) (*collector.Collector, func()) { return many(t, series), func() {} },
		"many views": func(t *testing.T) (*collector.Collector, func()) {
			c, change := shown(t, series)
			return c, func() { change(false) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, change := prepare(t)
			h := c.Handler()
			for _, f := range forms {
				if !made(t, h, f.accept, f.coding) && f.coding == "identity" {
					t.Errorf("%s, %s is there before it is asked for", f.accept, f.coding)
				}
				change()
			}
			for _, f := range forms[1:] {
				if made(t, h, f.accept, f.coding) && f.coding == "identity" {
					t.Errorf("%s, %s is made again", f.accept, f.coding)
				}
			}
			if f := forms[0]; !made(t, h, f.accept, f.coding) {
				t.Error("more forms than four are kept")
			}
		})
	}
}
