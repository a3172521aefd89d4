package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// hostile are names that somebody who may name a project might think of.
var hostile = []string{
	"plain",
	"<script>alert(1)</script>",
	`"><img src=x onerror=alert(1)>`,
	"</pre></style><iframe src=javascript:alert(1)>",
	"line\nbreak\r\nand\ttab",
	"\x1b[2J\x1b]0;title\x07\x1b[31mred",
	"nul\x00and\x7fdel\u0085nel\u2028ls",
	"right\u202eto\u2066left",
	`quote " backslash \ brace } comma , equals = hash # EOF`,
	"\"} 1e9\nopenai_cost_usd_total{organization=\"acme\"} 1e9\n# EOF\n",
	"{{.Config}} ${jndi:ldap://x} %s %n",
	"invalid \xff\xfe\xc0\x80 UTF-8",
	"💥é中",
	strings.Repeat("long", 100_000),
}

// quoted is JSON as a careless API writes it: what is no UTF-8 stays as it is.
func quoted(s string) string {
	if utf8.ValidString(s) {
		b, _ := json.Marshal(s)
		return string(b)
	}
	return `"` + s + `"`
}

// meaning is the name as the exporter must show it: valid UTF-8, and no longer than a label may be.
func meaning(s string) string {
	s = string([]rune(s)) // It replaces what is invalid, byte by byte, as JSON decoders do.
	for len(s) > 512 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// TestHostileNamesBreakNeitherExpositionNorPageNorLog has an API whose every name is an attack.
func TestHostileNamesBreakNeitherExpositionNorPageNorLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Seed: 41})
	w.let(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		now := w.clock.Now()
		rw.Header().Set("Date", now.Format(http.TimeFormat))
		bucket := func(start time.Time, width time.Duration, row string) {
			var rows []string
			for i, name := range hostile {
				rows = append(rows, strings.NewReplacer("NAME", quoted(name), "NUMBER", fmt.Sprint(i+1)).Replace(row))
			}
			fmt.Fprintf(rw, `{"object":"page","data":[{"start_time":%d,"end_time":%d,"results":[%s]}],"has_more":false}`, start.Unix(), start.Add(width).Unix(), strings.Join(rows, ","))
		}
		switch {
		case asks(r, "completions") && r.URL.Query().Get("bucket_width") == "1m":
			bucket(now.Add(-5*time.Minute).Truncate(time.Minute), time.Minute, `{"project_id":NAME,"model":NAME,"input_tokens":NUMBER,"num_model_requests":1}`)
		case asks(r, "costs"):
			bucket(now.Truncate(24*time.Hour), 24*time.Hour, `{"project_id":NAME,"line_item":NAME,"quantity":NUMBER,"quantity_unit":NAME,"amount":{"value":NUMBER,"currency":"usd"}}`)
		case asks(r, "projects"), asks(r, "users"):
			var objects []string
			for i, name := range hostile {
				objects = append(objects, fmt.Sprintf(`{"id":"proj_%d","name":%s,"status":%s,"role":%s}`, i, quoted(name), quoted(name), quoted(name)))
			}
			fmt.Fprintf(rw, `{"object":"list","data":[%s],"has_more":false}`, strings.Join(objects, ","))
		case asks(r, "embeddings"):
			rw.Header().Set("X-Request-Id", "\x1b[31m<script>")
			rw.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(rw, `{"error":{"message":%s,"param":%s}}`, quoted(strings.Join(hostile[1:7], " ")), quoted(hostile[5]))
		case asks(r, "images"):
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(rw, `{"error":`+quoted(hostile[9]+hostile[5])+`}`) // A client that has gone is no concern here.
		default:
			return false
		}
		return true
	})
	e := configured(t, w.baseURL(), adminKey, fast+"names: {interval: 1s}\ncounters: {start: \"2026-11-10T09:00:00Z\", zero_hold: 0s}\n", "--log.level=debug").listen()
	eventually(t, "names, usage, costs and errors", func() error {
		f, err := e.scrape()
		if err != nil {
			return err
		}
		for _, name := range []string{"openai_usage_input_tokens_total", "openai_cost_usd_total", "openai_project_info", "openai_user_info"} {
			if len(f[name].GetMetric()) < len(hostile) {
				return fmt.Errorf("%d series of %s", len(f[name].GetMetric()), name)
			}
		}
		if f.sum("openai_exporter_polls_total", "endpoint", "embeddings", "outcome", "error")*f.sum("openai_exporter_polls_total", "endpoint", "images", "outcome", "error") == 0 {
			return errors.New("nothing has failed")
		}
		return nil
	})

	formats := []string{
		"text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8",
		"application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
	}
	// A poll or a look-up may change something between two scrapes, so they are compared once nothing does.
	eventually(t, "all formats to say the same", func() error {
		var first map[string]float64
		for _, accept := range formats {
			resp, body, err := e.get("/metrics", "Accept", accept)
			if err != nil {
				return err
			}
			got := parsed(t, resp.Header.Get("Content-Type"), body)
			for i, name := range hostile {
				spelled := labels.FromStrings("__name__", "openai_usage_input_tokens_total", "organization", "acme", "endpoint", "completions", "project_id", meaning(name), "model", meaning(name)).String()
				if got[spelled] != float64(i+1) {
					return fmt.Errorf("%s: %.120s is %v, want %d", accept, spelled, got[spelled], i+1)
				}
			}
			if first == nil {
				first = got
			} else if !maps.Equal(first, got) {
				return fmt.Errorf("%s says something else than text does", accept)
			}
		}
		return nil
	})

	page := e.page("/")
	for _, tag := range regexp.MustCompile(`(?i)<[a-z!/][^>]*`).FindAllString(page, -1) {
		for _, never := range []string{"script", "iframe", "onerror", "javascript", "img src"} {
			if strings.Contains(strings.ToLower(tag), never) {
				t.Errorf("the page has the tag %s", tag)
			}
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the page shows no hostile name: that proves nothing")
	}
	if !utf8.ValidString(page) || len(page) > 100_000 {
		t.Errorf("the page is %d bytes long, or no UTF-8", len(page))
	}
	var status any
	if err := json.Unmarshal([]byte(e.page("/api/v1/status")), &status); err != nil {
		t.Errorf("the status is no JSON: %v", err)
	}
	whole := regexp.MustCompile(`^level=\w+ .*\n$`)
	for line := range strings.Lines(e.log.String()) {
		if !whole.MatchString(line) || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) || len(line) > 2000 {
			t.Errorf("no line of a log: %.300q", line)
		}
	}
}

// parsed reads a scrape with the parsers of Prometheus: our own series and their values.
func parsed(t *testing.T, contentType string, body []byte) map[string]float64 {
	t.Helper()
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", contentType, err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, v := p.Series()
		var l labels.Labels
		p.Labels(&l)
		name := l.Get("__name__")
		if slices.ContainsFunc([]string{"openai_usage_", "openai_cost_", "openai_project_info", "openai_user_info"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) &&
			!bytes.HasSuffix([]byte(name), []byte("_created")) && !strings.Contains(name, "timestamp") {
			out[l.String()] = v
		}
	}
}
