package fetcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
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
type count int

func (*count) Bucket(time.Time) {}

func (c *count) Row([]string, []decimal.Fixed) { *c++ }

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
		if int(c) != buckets*25 {
			t.Fatalf("%d rows, want %d", c, buckets*25)
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
		if _, err := d.page(bytes.NewReader(body), &c, everything); err != nil || c != 1440*5 {
			b.Fatal(c, err)
		}
	}
}
