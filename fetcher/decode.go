package fetcher

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// maxValue bounds one string or number of a page, far above any that the API sends, so that a broken body can't fill
// the memory within the body's own limit.
const maxValue = 1 << 20

// maxEarly bounds the rows of a bucket that come before its start_time, which have to be held until it is known. The
// API sends the start first.
const maxEarly = 16 << 20

// maxLabel bounds a label value, far above any identifier that the API sends, since series keep theirs for weeks. Rows
// whose labels become equal by it are added up as any others, so sums stay exact.
const maxLabel = 512

// A sink takes the rows of pages as they are decoded. A ledger.Read is one.
type sink interface {
	// Bucket opens the bucket that the next rows belong to.
	Bucket(start time.Time)
	// Row adds a row; both slices are reused for the next one.
	Row(labels []string, values []decimal.Fixed)
	// Recorded is the fingerprint of the bucket that starts at start, if its rows are on record as they were read then.
	Recorded(start time.Time) (ledger.Fingerprint, bool)
	// Same adds a bucket that has the bytes of its fingerprint, and so the rows that are on record.
	Same(start time.Time, p ledger.Fingerprint)
	// Fingerprint says what the fingerprint of the open bucket is, after its last row.
	Fingerprint(p ledger.Fingerprint)
}

// A page is what stands around the buckets of a page.
type page struct {
	more   bool
	cursor string
}

var (
	errNotPage   = errors.New(`it is not a JSON object "page" with "data"`)
	errNoCursor  = errors.New("has_more is true, but next_page is missing")
	errTooLong   = errors.New("a value is too long")
	errTrailing  = errors.New("there is more data after the page")
	errNoStart   = errors.New("a bucket has no start_time")
	errNoResults = errors.New("a bucket has no results")
	errNoText    = errors.New("a list or an object stands in place of a string")
	errTwoLists  = errors.New(`a bucket's "results" and "result" have different rows`)
)

// A currencyError is an amount that is not in US dollars, which no counter of dollars can take.
type currencyError string

func (e currencyError) Error() string {
	return fmt.Sprintf("an amount is in the currency %q, not in usd", string(e))
}

// A field says what becomes of a member of a row.
type field struct {
	column  int // index of the label, or -1
	measure int // index of the measure, or -1
	rank    int // place among the fields that may carry the measure; the lowest one present wins
}

// A decoder reads pages of one endpoint as a stream: its memory does not depend on the length of a page.
type decoder struct {
	fields map[string]field

	labels []string
	values []decimal.Fixed
	ranks  []int

	gist            // of all pages
	next  time.Time // where the next bucket is expected to start
	width time.Duration

	bucketRows rowSum // of the bucket that is being read
	places     []placed

	dec      *jsontext.Decoder
	tape     tape
	unquoted []byte
	strings  stringCache
}

// newDecoder returns a decoder of an endpoint's pages whose rows have these columns.
func newDecoder(e *api.Endpoint, columns []string) *decoder {
	d := &decoder{
		fields: make(map[string]field),
		labels: make([]string, len(columns)),
		values: make([]decimal.Fixed, len(e.Measures)),
		ranks:  make([]int, len(e.Measures)),
	}
	d.strings.seed = maphash.MakeSeed()
	for i, name := range columns {
		d.fields[name] = field{column: i, measure: -1}
	}
	for i, m := range e.Measures {
		for rank, name := range m.Fields {
			d.fields[name] = field{column: -1, measure: i, rank: rank}
		}
	}
	return d
}

// options are lenient where the API or a gateway before it may be sloppy without a doubt about what is meant.
func options() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// page decodes one page into the sink. keep says whether a bucket is wanted, or why it can't be right. After an error
// the sink may hold a part of the page.
func (d *decoder) page(r io.Reader, into sink, keep func(start, end time.Time) (bool, error)) (page, error) {
	if d.dec == nil {
		d.dec = new(jsontext.Decoder)
	}
	d.tape.reset(r, d.dec)

	if d.dec.PeekKind() != '{' {
		// What can't be read says so; what can be read is something else than a page.
		if err := d.dec.SkipValue(); err != nil {
			return page{}, err
		}
		return page{}, errNotPage
	}
	p := pageReader{d: d, into: into, keep: keep}
	if err := d.members(p.member); err != nil {
		return p.page, err
	}
	return p.end()
}

// A pageReader reads one page, whose members may come in any order.
type pageReader struct {
	page
	d    *decoder
	into sink
	keep func(start, end time.Time) (bool, error)

	object  string
	data    bool // there was a list of buckets
	buckets int  // of it so far
	last    bool // it says that no page follows
}

func (p *pageReader) member(name []byte) error {
	d := p.d
	switch string(name) {
	case "object":
		v, err := d.scalar()
		p.object = string(v)
		return err
	case "has_more":
		switch kind := d.dec.PeekKind(); kind {
		case 't', 'f', 'n':
			p.more, p.last = kind == 't', kind == 'f'
			return d.dec.SkipValue()
		}
		return d.wrongType("has_more")
	case "next_page":
		v, err := d.scalar()
		p.cursor = string(v)
		return err
	case "data":
		if d.dec.PeekKind() != '[' {
			return d.wrongType("data")
		}
		if p.data {
			return errors.New(`"data" appears twice`)
		}
		p.data = true
		return d.elements(p.bucket)
	}
	return d.dec.SkipValue()
}

// end reads what is behind the page and says whether another one follows.
func (p *pageReader) end() (page, error) {
	if p.object != "page" || !p.data {
		return p.page, errNotPage
	}
	if p.more && p.cursor == "" {
		return p.page, errNoCursor
	}
	// Where nothing says that this is the last page, a cursor says that it is not.
	p.more = p.more || p.cursor != "" && !p.last
	// Reading to the end finds what was torn or appended, and lets the connection be used again.
	if _, err := p.d.dec.ReadToken(); err == nil {
		return p.page, errTrailing
	} else if !errors.Is(err, io.EOF) {
		return p.page, err
	}
	return p.page, nil
}

// members calls f for every member of the object that comes next, with its name. The name is valid until the next read.
func (d *decoder) members(f func(name []byte) error) error {
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := f(d.unquote(name)); err != nil {
			return err
		}
	}
	_, err := d.dec.ReadToken()
	return err
}

// elements calls f before every element of the array that comes next.
func (d *decoder) elements(f func() error) error {
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	for d.dec.PeekKind() != ']' {
		if d.dec.PeekKind() == 0 {
			return d.dec.SkipValue() // It says what is wrong.
		}
		if err := f(); err != nil {
			return err
		}
	}
	_, err := d.dec.ReadToken()
	return err
}

// A stringCache saves the allocations of label values that come again and again. Its size is fixed: a value that meets
// another one in its place replaces it.
type stringCache struct {
	seed  maphash.Seed
	slots [512]string
}

func (c *stringCache) get(b []byte) string {
	const longest = 128
	if len(b) == 0 {
		return ""
	}
	if len(b) > longest {
		return string(b)
	}
	slot := &c.slots[maphash.Bytes(c.seed, b)%uint64(len(c.slots))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
