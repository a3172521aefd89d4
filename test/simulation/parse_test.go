//go:build !race

package simulation_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// A scraped exposition is what it shows, by the spelling of each series. Histograms are left out: they are of what took
// how long.
type scraped map[string]float64

// A sample is a series of the exporter's own metrics, with the name and the type of its metric.
type sample struct {
	name, key string
	value     float64
	counter   bool
}

// The forms of an exposition that Prometheus asks for, its text first.
var forms = []string{
	"text/plain;version=0.0.4;escaping=allow-utf-8;q=0.4,*/*;q=0.1",
	"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
	"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}

// ask asks the exporter for its exposition in a form, and parses it as a scrape of Prometheus does.
func (w *world) ask(accept string, compressed bool) ([]sample, error) {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	if compressed {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	answer := httptest.NewRecorder()
	w.running.Metrics().ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		return nil, fmt.Errorf("it is answered with %d", answer.Code)
	}
	body := answer.Body.Bytes()
	if compressed {
		z, err := gzip.NewReader(answer.Body)
		if err != nil {
			return nil, err
		}
		z.Multistream(false) // Many clients read one member only.
		if body, err = io.ReadAll(z); err != nil {
			return nil, err
		}
	}
	return parse(answer.Header().Get("Content-Type"), body)
}

// parse reads an exposition with Prometheus' own parser of that form.
func parse(contentType string, body []byte) ([]sample, error) {
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{OpenMetricsSkipSTSeries: true})
	if err != nil {
		return nil, err
	}
	var out []sample
	var l labels.Labels
	var kind model.MetricType
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case entry == textparse.EntryType:
			_, kind = p.Type()
			continue
		case entry != textparse.EntrySeries || kind != model.MetricTypeCounter && kind != model.MetricTypeGauge:
			continue
		}
		_, _, value := p.Series()
		p.Labels(&l)
		name := l.Get(model.MetricNameLabel)
		if !strings.HasPrefix(name, "openai_") {
			continue
		}
		out = append(out, sample{name, spell(name, l), value, kind == model.MetricTypeCounter})
	}
}

// spell spells a series with its labels in the order of their names, in which they are parsed.
func spell(name string, l labels.Labels) string {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte('{')
	first := true
	l.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel {
			return
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(l.Name)
		b.WriteString(`="`)
		b.WriteString(l.Value)
		b.WriteByte('"')
	})
	b.WriteByte('}')
	return b.String()
}

// sameIn holds that another form of the exposition shows the same.
func (w *world) sameIn(accept string, compressed bool, want scraped) {
	samples, err := w.ask(accept, compressed)
	if err != nil {
		w.fault("the exposition as %s can't be read: %v", accept, err)
		return
	}
	seen := make(map[string]bool, len(samples))
	for _, s := range samples {
		if n, ok := want[s.key]; !ok || n != s.value || seen[s.key] {
			w.fault("%s is %v in %s, and %v (%t) in the text", s.key, s.value, accept, n, ok)
		}
		seen[s.key] = true
	}
	if len(seen) != len(want) {
		for _, key := range sorted(want) {
			if !seen[key] {
				w.fault("%s is not in %s", key, accept)
			}
		}
	}
}
