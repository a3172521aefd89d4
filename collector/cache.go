package collector

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/expfmt"
	names "github.com/prometheus/common/model"
)

// A form is one of the ways to write a page: what a scrape may ask for.
type form struct {
	format expfmt.Format
	coding coding
}

// formOf returns the form for a format that was negotiated: one for all formats of which the bytes are the same. All our
// names are legal without escaping, so no way of escaping changes them; and versions of a text format differ in nothing
// that we write, apart from OpenMetrics 2.0.
func formOf(negotiated expfmt.Format, c coding) form {
	f := negotiated.WithEscapingScheme(names.NoEscaping)
	switch {
	case f.FormatType() == expfmt.TypeTextPlain:
		f = expfmt.FmtText
	case f.FormatType() == expfmt.TypeOpenMetrics && f.Version() != expfmt.OpenMetricsVersion_2_0_0:
		f = expfmt.FmtOpenMetrics_1_0_0
	}
	return form{f, c}
}

// encoded is a page in a form: what every scrape that asks for it gets, until the page is another one.
type encoded struct {
	form   form
	page   *page
	chunks []*chunk
	sum    checked // of the chunks
	asked  time.Time
	until  time.Time // It is handed out until then without a look at what has changed since.
}

// A cache has the bytes of the forms that were asked for last.
type cache struct {
	coder coder

	mu    sync.Mutex
	forms []*encoded // the one that was asked for last at the end
}

const (
	// mostForms bounds the memory that odd wishes can fill: servers of one version all ask for the same.
	mostForms = 4
	// lately is longer than anybody lets pass between two scrapes. A form that nobody asks for is not worth its memory.
	lately = 5 * time.Minute
	// manySamples are so many that to make an answer of them takes a good part of a second, in which their scrape would wait.
	// Such an answer is handed out as it is while it is fresh. Polls make it again meanwhile.
	manySamples = 200_000
	fresh       = 15 * time.Second
)

// get returns the bytes of a form, perhaps of an earlier page, for someone who asks for them now.
func (c *cache) get(f form, now time.Time) *encoded {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.forms, func(e *encoded) bool { return e.form == f })
	if i < 0 {
		return nil
	}
	e := c.forms[i]
	e.asked = now
	c.forms = append(slices.Delete(c.forms, i, i+1), e)
	return e
}

// put takes bytes in place of earlier ones of the form. The form that was longest not asked for goes for a new one.
func (c *cache) put(e *encoded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.forms, func(o *encoded) bool { return o.form == e.form }); i >= 0 {
		e.asked = c.forms[i].asked
		c.forms[i] = e
		return
	}
	if len(c.forms) == mostForms {
		c.forms = slices.Delete(c.forms, 0, 1)
	}
	c.forms = append(c.forms, e)
}

// recent returns the forms that were asked for lately, and lets go of the others.
func (c *cache) recent(now time.Time) []*encoded {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forms = slices.DeleteFunc(c.forms, func(e *encoded) bool { return now.Sub(e.asked) > lately })
	return slices.Clone(c.forms)
}

// encode returns the bytes of a page in a form. before may be those of an earlier page, of which chunks are taken over. read
// is when the page was.
func (c *cache) encode(p *page, f form, before *encoded, read time.Time) (*encoded, error) {
	if before != nil && before.page == p {
		return before, nil
	}
	e := &encoded{form: f, page: p, asked: read}
	old := make(map[*block]*chunk)
	if before != nil {
		for _, k := range before.chunks {
			old[k.pieces[0].block] = k
		}
	}
	var missing []*chunk
	room := int64(mostBytes)
	for pieces := range cut(p.pieces(f), f.coding) {
		if k := old[pieces[0].block]; k != nil && slices.Equal(k.pieces, pieces) {
			e.chunks = append(e.chunks, k)
			room -= int64(len(k.bytes))
			continue
		}
		k := &chunk{pieces: pieces}
		e.chunks, missing = append(e.chunks, k), append(missing, k)
	}
	if err := c.fill(f, missing, room); err != nil {
		return nil, err
	}
	samples := 0
	for _, k := range e.chunks {
		e.sum = e.sum.and(k.checked)
		for i := range k.pieces {
			samples += len(k.pieces[i].block.samples)
		}
	}
	if samples >= manySamples {
		e.until = read.Add(fresh)
	}
	c.put(e)
	return e, nil
}

// fill encodes chunks, on all processors, and holds the bytes of those for which there is room.
func (c *cache) fill(f form, chunks []*chunk, room int64) error {
	var next, held atomic.Int64
	var failed atomic.Pointer[error]
	work := func() {
		plain := c.coder.room()
		defer func() { c.coder.rooms.Put(&plain) }()
		for i := next.Add(1) - 1; int(i) < len(chunks) && failed.Load() == nil; i = next.Add(1) - 1 {
			var err error
			if plain, err = chunks[i].encode(plain[:0], f, &c.coder); err != nil {
				failed.Store(&err)
			}
			if held.Add(int64(chunks[i].coded)) > room {
				chunks[i].bytes = nil
			}
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(chunks)) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
