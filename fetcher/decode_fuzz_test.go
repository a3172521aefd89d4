package fetcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// generated streams a page of so many buckets with so many rows each, without holding it.
func generated(buckets, rows int) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := fmt.Fprint(w, `{"object":"page","data":[`)
		row := 0
		for i := 0; i < buckets && err == nil; i++ {
			var b bytes.Buffer
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[`, 60*(i+1), 60*(i+2))
			for j := range rows {
				if j > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"object":"organization.usage.completions.result","input_tokens":%d,"output_tokens":40,"num_model_requests":1,"project_id":"proj_%d","user_id":null,"api_key_id":null,"model":"gpt-5-2025-08-07","batch":false,"service_tier":"default","input_cached_tokens":0,"input_audio_tokens":0,"output_audio_tokens":0}`, row, row)
				row++
			}
			b.WriteString("]}")
			_, err = w.Write(b.Bytes())
		}
		if err == nil {
			_, err = fmt.Fprint(w, `],"has_more":false,"next_page":null}`)
		}
		w.CloseWithError(err)
	}()
	return r
}

// count is a sink that holds nothing.
type count struct {
	forgetful
	rows int
}

func (*count) Bucket(time.Time) {}

func (c *count) Row([]string, []decimal.Fixed) { c.rows++ }

func TestMemoryDoesNotGrowWithThePage(t *testing.T) {
	e := endpoint(t, "completions")
	held := func(buckets int) (most uint64) {
		var c count
		d := newDecoder(e, columnsOf(e))
		seen := 0
		_, err := d.page(generated(buckets, 25), &c, func(time.Time, time.Time) (bool, error) {
			if seen++; seen%(buckets/4) == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.rows != buckets*25 {
			t.Fatalf("%d rows, want %d", c.rows, buckets*25)
		}
		return most
	}
	held(40) // What is made once is made now.
	small, large := held(40), held(1440)
	if large > small+256<<10 {
		t.Errorf("a page of 1440 buckets holds %d bytes, one of 40 %d", large, small)
	}
}

func FuzzDecode(f *testing.F) {
	err := filepath.WalkDir(filepath.Join("testdata", "samples"), func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		f.Add(body)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{
		pageOf(`{"results":[{"input_tokens":3}],"start_time":60}`),
		pageOf(`{"start_time":60,"result":[{"num_sessions":null,"sessions":"1E+2"}]}`),
		pageOf(`{"start_time":60,"end_time":120,"results":[{"amount":{"value":"0E-6176","currency":"usd"}},{"amount":{"value":-2.5,"currency":"eur"}}]}`),
		pageOf("{\"start_time\":60,\"results\":[{\"model\":\"a\xffb\\ud800\\u0000\",\"input_tokens\":1}]}"),
		`{"data":[],"object":"page","has_more":true,"next_page":"page_=="}`,
		`<html>`, "",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, name := range []string{"completions", "code_interpreter_sessions", "costs"} {
			whole, p, err := decode(t, name, bytes.NewReader(body))
			if err != nil {
				continue
			}
			if !json.Valid(body) && !bytes.ContainsFunc(body, func(r rune) bool { return r >= 0x80 }) {
				t.Fatalf("what is no JSON was taken for a page")
			}
			slow, q, err := decode(t, name, iotest.OneByteReader(bytes.NewReader(body)))
			if err != nil || p != q || !cmp.Equal(whole.text(), slow.text()) || whole.rows != slow.rows {
				t.Fatalf("the same body decodes otherwise when it comes slowly: %v", err)
			}
			first := remember(t, name, body, nil)
			again := remember(t, name, body, first)
			if !cmp.Equal(whole.text(), again.text()) || whole.rows != again.rows || !slices.Equal(whole.buckets, again.buckets) {
				t.Fatalf("what is known by its fingerprint decodes otherwise: %v rows, want %v", again.rows, whole.rows)
			}
		}
	})
}

// fullPage is a page of 1440 minutes with a few rows each.
func fullPage(b *testing.B) []byte {
	body, err := io.ReadAll(generated(1440, 5))
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func BenchmarkDecode(b *testing.B) {
	body := fullPage(b)
	e := endpoint(b, "completions")
	d := newDecoder(e, columnsOf(e))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var c count
		if _, err := d.page(bytes.NewReader(body), &c, everything); err != nil || c.rows != 1440*5 {
			b.Fatal(c.rows, err)
		}
	}
}

// BenchmarkPage reads an hour of a busy organization: 60 buckets of 600 rows, of which none or all but the newest fifteen
// are as they were in the read before.
func BenchmarkPage(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var buckets []string
	for i := range 60 {
		buckets = append(buckets, bucketWith(random, 60+60*i, 600))
	}
	before := remember(b, "completions", minutes(random, buckets), nil)
	for i := 45; i < 60; i++ {
		buckets[i] = bucketWith(random, 60+60*i, 600)
	}
	body := minutes(random, buckets)
	e := endpoint(b, "completions")
	for _, bc := range []struct {
		name  string
		sink  sink
		known int
	}{
		{"Unknown", new(count), 0},
		{"Known", &knowing{before: before}, 45},
	} {
		b.Run(bc.name, func(b *testing.B) {
			d := newDecoder(e, columnsOf(e))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				d.next, d.width = time.Unix(60, 0).UTC(), time.Minute
				d.gist = gist{}
				if _, err := d.page(bytes.NewReader(body), bc.sink, everything); err != nil || d.rows != 36000 {
					b.Fatal(d.rows, err)
				}
			}
		})
	}
}

// knowing is a sink that knows the buckets of a read before, and holds nothing of this one.
type knowing struct {
	count
	before *record
}

func (s *knowing) Recorded(start time.Time) (ledger.Fingerprint, bool) {
	kept := s.before.kept[start.Unix()]
	if kept == nil {
		return ledger.Fingerprint{}, false
	}
	return kept.fingerprint, true
}
