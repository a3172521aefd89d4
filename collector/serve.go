package collector

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// A coding is a content coding of HTTP.
type coding string

const (
	identity coding = "identity"
	gzipped  coding = "gzip"
	zstded   coding = "zstd"
)

// kept is what changes with a poll or a look-up and not with a scrape, and the bytes that were made of it: encoded once
// per format and coding, served many times.
type kept struct {
	families []*dto.MetricFamily

	mu       sync.Mutex
	variants map[variant]*variantBytes
}

type variant struct {
	format expfmt.Format
	coding coding
}

type variantBytes struct {
	once sync.Once
	b    []byte
	err  error
}

// bytes returns the families in a format and coding. Who asks first makes them; others that ask meanwhile wait for them,
// as they would for their own.
func (k *kept) bytes(v variant) ([]byte, error) {
	k.mu.Lock()
	if k.variants == nil {
		k.variants = make(map[variant]*variantBytes)
	}
	made := k.variants[v]
	if made == nil {
		made = new(variantBytes)
		k.variants[v] = made
	}
	k.mu.Unlock()
	made.once.Do(func() { made.b, made.err = encode(k.families, v, false) })
	return made.b, made.err
}

// encode writes families in a format, with the format's end or as a part that others follow, and applies the coding.
// Parts of a coding may follow each other: several gzip members are one stream, and so are several zstd frames.
func encode(families []*dto.MetricFamily, v variant, end bool) ([]byte, error) {
	var plain bytes.Buffer
	e := expfmt.NewEncoder(&plain, v.format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return nil, err
		}
	}
	if closer, ok := e.(expfmt.Closer); ok && end {
		if err := closer.Close(); err != nil {
			return nil, err
		}
	}
	var coded bytes.Buffer
	var w io.WriteCloser
	switch v.coding {
	case gzipped:
		w = gzip.NewWriter(&coded)
	case zstded:
		z, err := zstd.NewWriter(&coded, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		w = z
	default:
		return plain.Bytes(), nil
	}
	if _, err := w.Write(plain.Bytes()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return coded.Bytes(), nil
}

// handler answers scrapes with kept bytes, followed by what is only true of the moment.
type handler struct {
	collector *Collector
	formats   []expfmt.Format
	slots     chan struct{}
	// other answers what is not worth keeping: a choice of metrics by name.
	other http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("name[]") {
		h.other.ServeHTTP(w, r)
		return
	}
	// A slot is for the making of an answer. Handing it out takes as long as the client likes, so a client that does not
	// read must not keep others from theirs.
	release, ok := h.slot(r)
	if !ok {
		http.Error(w, "Too many scrapes at once, try again later.", http.StatusServiceUnavailable)
		return
	}
	defer release()
	v := variant{expfmt.NegotiateAccept(r.Header, h.formats...), negotiateCoding(r.Header.Values("Accept-Encoding"))}
	c := h.collector
	data, err := c.kept().bytes(v)
	own, gatherErr := c.own()
	if gatherErr != nil {
		// One broken reading of /proc must not hide the data.
		errorLog{c.options.Logger}.Println(gatherErr)
	}
	ownBytes, ownErr := encode(own, v, true)
	release()
	if err := errors.Join(err, ownErr); err != nil {
		errorLog{c.options.Logger}.Println(err)
		http.Error(w, "The metrics can't be encoded, the log says why.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", string(v.format))
	header.Add("Vary", "Accept, Accept-Encoding")
	if v.coding != identity {
		header.Set("Content-Encoding", string(v.coding))
	}
	header.Set("Content-Length", strconv.Itoa(len(data)+len(ownBytes)))
	for _, b := range [][]byte{data, ownBytes} {
		if _, err := w.Write(b); err != nil {
			return // The client has gone.
		}
	}
}

// slot waits for a slot as long as a scrape usually waits for its answer, or until its client has gone.
func (h *handler) slot(r *http.Request) (release func(), ok bool) {
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	select {
	case h.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-h.slots }), true
	case <-patience.C:
	case <-r.Context().Done():
	}
	return nil, false
}

// negotiateCoding chooses what the client likes best, the denser one where it does not care. Without a wish it is
// identity.
func negotiateCoding(accept []string) coding {
	best, quality := identity, 0.0
	for wish := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, parameters, _ := strings.Cut(wish, ";")
		q := 1.0
		if text, ok := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		c := coding(strings.ToLower(strings.TrimSpace(name)))
		denser := c == zstded || c == gzipped && best != zstded
		if (c == zstded || c == gzipped || c == identity) && q > 0 && (q > quality || q == quality && denser) {
			best, quality = c, q
		}
	}
	return best
}

// same says whether two lists of families are the same one.
func same(a, b []*dto.MetricFamily) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
