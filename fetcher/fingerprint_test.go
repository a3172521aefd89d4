package fetcher

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// forgetful is a sink that has no record.
type forgetful struct{}

func (forgetful) Recorded(time.Time) (ledger.Fingerprint, bool) { return ledger.Fingerprint{}, false }
func (forgetful) Same(time.Time, ledger.Fingerprint)            {}
func (forgetful) Fingerprint(ledger.Fingerprint)                {}

// A record is a sink that adds up like totals, and takes the rows of buckets that are known by their fingerprint from the record
// before it.
type record struct {
	*totals
	before *record
	kept   map[int64]*keptBucket
	open   *keptBucket
	passed int
}

type keptBucket struct {
	fingerprint ledger.Fingerprint
	rows        []keptRow
}

type keptRow struct {
	labels []string
	values []decimal.Fixed
}

func (s *record) Bucket(start time.Time) {
	s.totals.Bucket(start)
	s.open = &keptBucket{}
	s.kept[start.Unix()] = s.open
}

func (s *record) Row(labels []string, values []decimal.Fixed) {
	s.totals.Row(labels, values)
	s.open.rows = append(s.open.rows, keptRow{slices.Clone(labels), slices.Clone(values)})
}

func (s *record) Recorded(start time.Time) (ledger.Fingerprint, bool) {
	if s.before == nil || s.before.kept[start.Unix()] == nil {
		return ledger.Fingerprint{}, false
	}
	fingerprint := s.before.kept[start.Unix()].fingerprint
	return fingerprint, fingerprint.Size > 0
}

func (s *record) Same(start time.Time, p ledger.Fingerprint) {
	s.passed++
	s.Bucket(start)
	for _, row := range s.before.kept[start.Unix()].rows {
		s.Row(row.labels, row.values)
	}
	s.Fingerprint(p)
}

func (s *record) Fingerprint(p ledger.Fingerprint) { s.open.fingerprint = p }

// remember decodes a page of minutes from 60 on.
func remember(t testing.TB, name string, body []byte, before *record) *record {
	t.Helper()
	s, err := tryRemember(t, name, body, before)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryRemember(t testing.TB, name string, body []byte, before *record) (*record, error) {
	t.Helper()
	e := endpoint(t, name)
	s := &record{totals: newTotals(e), before: before, kept: map[int64]*keptBucket{}}
	d := newDecoder(e, s.columns)
	d.next, d.width = time.Unix(60, 0).UTC(), time.Minute
	_, err := d.page(iotest.HalfReader(bytes.NewReader(body)), s, everything)
	if d.rows != s.rows {
		t.Errorf("%d rows are counted, want %d", d.rows, s.rows)
	}
	return s, err
}

// minutes writes a page of buckets, with blanks that differ from page to page.
func minutes(random *rand.Rand, buckets []string) []byte {
	blanks := func() string { return strings.Repeat(" ", random.IntN(3)) + strings.Repeat("\n", random.IntN(2)) }
	var b strings.Builder
	b.WriteString(`{"object":"page","data":[`)
	for i, bucket := range buckets {
		if i > 0 {
			b.WriteString(blanks() + ",")
		}
		b.WriteString(blanks() + bucket)
	}
	b.WriteString(blanks() + `],"has_more":false,"next_page":null}`)
	return []byte(b.String())
}

// bucketWith writes a bucket with a few rows.
func bucketWith(random *rand.Rand, start, rows int) string {
	list := make([]string, rows)
	for i := range list {
		list[i] = fmt.Sprintf(`{"object":"organization.usage.completions.result","input_tokens":%d,"model":"gpt-%d","project_id":"proj_%d"}`, random.IntN(1000), random.IntN(4), random.IntN(3))
	}
	return fmt.Sprintf(`{"object":"bucket","start_time":%d,"end_time":%d,"results":[%s]}`, start, start+60, strings.Join(list, ","))
}

// A fingerprint has the length and two sums with keys of their own: a bucket that agrees in one of them alone is another one.
func TestAPrintIsOfOneBucketAlone(t *testing.T) {
	bucket := []byte(bucketWith(rand.New(rand.NewPCG(5, 6)), 60, 5))
	var p printer
	p.begin(0)
	for _, b := range bucket {
		p.write([]byte{b})
	}
	fingerprint, ok := p.sum()
	if !ok || !matches(bucket, fingerprint) {
		t.Fatal("a bucket does not have its own fingerprint")
	}
	for i := range fingerprint.Sums {
		other := fingerprint
		other.Sums[i]++
		if matches(bucket, other) {
			t.Errorf("sum %d is not looked at", i)
		}
	}
	if other := fingerprint; matches(bucket[1:], other) || matches(append(bytes.Clone(bucket), ' '), other) {
		t.Error("the length is not looked at")
	}
	if fingerprint.Sums[0] == fingerprint.Sums[1] {
		t.Error("both sums are made with one key")
	}
}

// What the decoder never saw must not let it accept what it would refuse otherwise.
func TestWhatStandsBehindAPassedBucketIsChecked(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var buckets []string
	for i := range 4 {
		buckets = append(buckets, bucketWith(random, 60+60*i, 3))
	}
	join := func(s string) []byte {
		return []byte(`{"object":"page","data":[` + buckets[0] + `,` + buckets[1] + s + `,` + buckets[2] + `,` + buckets[3] + `],"has_more":false,"next_page":null}`)
	}
	before := remember(t, "completions", join(""), nil)
	for _, s := range []string{".5", "e5", "E+1", ".0e3", "5", "x", " .5"} {
		// The third one has changed, so the decoder goes on behind the second.
		body := bytes.Replace(join(s), []byte(`"start_time":180,`), []byte(`"start_time":180 ,`), 1)
		_, wantErr := tryRemember(t, "completions", body, nil)
		_, err := tryRemember(t, "completions", body, before)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%q: error %v, want %v", s, err, wantErr)
		}
	}
}

// endless is a body of blanks, behind something.
type endless struct {
	head string
	read int
}

func (b *endless) Read(p []byte) (int, error) {
	if b.head != "" {
		n := copy(p, b.head)
		b.head = b.head[n:]
		return n, nil
	}
	if b.read > 64<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	for i := range p {
		p[i] = ' '
	}
	b.read += len(p)
	return len(p), nil
}

// TestBlanksBehindAPassedBucketAreNotHeld: anyone who sends them must not fill the memory.
func TestBlanksBehindAPassedBucketAreNotHeld(t *testing.T) {
	bucket := bucketWith(rand.New(rand.NewPCG(3, 4)), 60, 3)
	before := remember(t, "completions", []byte(pageOf(bucket)), nil)
	before.kept[120] = before.kept[60] // The one behind it is expected, too.
	e := endpoint(t, "completions")
	s := &record{totals: newTotals(e), before: before, kept: map[int64]*keptBucket{}}
	d := newDecoder(e, s.columns)
	d.next, d.width = time.Unix(60, 0).UTC(), time.Minute
	body := &endless{head: `{"object":"page","data":[` + bucket}
	if _, err := d.page(body, s, everything); !errors.Is(err, errTooLong) {
		t.Errorf("error = %v", err)
	}
	if s.passed != 1 || body.read > 2*maxValue {
		t.Errorf("%d buckets were passed over, and %d bytes of blanks read", s.passed, body.read)
	}
}
