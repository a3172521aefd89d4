package collector

import (
	"bufio"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// How many answers are made at once, and how long a scrape waits for its turn: Prometheus gives up after 10 s.
const (
	maxScrapes   = 40
	slotPatience = 8 * time.Second
)

// together is how much is written at once. Many chunks are of a few kilobytes, and a system call for each would cost more
// than to serve them from memory.
const together = 64 << 10

// A handler answers scrapes with encoded bytes, followed by what is only true of the moment.
type handler struct {
	*Collector
	formats []expfmt.Format
	slots   chan struct{}
	writers shelf[bufio.Writer]
}

// Handler answers scrapes as text, OpenMetrics 1.0 and 2.0 and protobuf, plain, with gzip or with zstd.
func (c *Collector) Handler() http.Handler {
	// The library negotiates by goautoneg. OpenMetrics 2.0 is only for those who ask for it. Start timestamps travel in it and
	// in protobuf; in OpenMetrics 1.0 they would be one more series per counter.
	formats := append(expfmt.DefaultOpenMetricsAcceptedFormats(), expfmt.FmtOpenMetrics_2_0_0)
	formats = slices.DeleteFunc(formats, func(f expfmt.Format) bool { return encoderOf(f) == nil })
	return promhttp.InstrumentMetricHandler(c.moment.library, &handler{
		Collector: c, formats: formats, slots: make(chan struct{}, maxScrapes),
	})
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A slot is for the making of an answer. Handing it out takes as long as the client likes, so a client that does not
	// read must not keep others from theirs.
	release, ok := h.slot(r)
	if !ok {
		http.Error(w, "Too many scrapes at once, try again later.", http.StatusServiceUnavailable)
		return
	}
	defer release()
	format := expfmt.NegotiateAccept(r.Header, h.formats...)
	f := formOf(format, negotiateCoding(r.Header.Values("Accept-Encoding")))
	metricNames := r.URL.Query()["name[]"]
	page, err := h.answer(f, metricNames)
	if err != nil {
		h.fail(w, err)
		return
	}
	end, warning, err := h.moment.encode(metricNames, f, page.sum.coded, &h.cache.coder)
	if warning != nil {
		h.log(warning) // One broken reading of /proc must not hide the data.
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	release()
	header := w.Header()
	header.Set("Content-Type", string(format))
	header.Add("Vary", "Accept, Accept-Encoding")
	if f.coding != identity {
		header.Set("Content-Encoding", string(f.coding))
	}
	whole := page.sum.and(end.checked)
	head, tail := f.coding.frame(whole)
	header.Set("Content-Length", strconv.Itoa(len(head)+whole.coded+len(tail)))
	out := h.writers.take()
	if out == nil {
		out = bufio.NewWriterSize(nil, together)
	}
	out.Reset(w)
	defer func() {
		out.Reset(nil) // The shelf must not hold on to the connection.
		h.writers.put(out)
	}()
	_, _ = out.Write(head) // An error comes again with what is written later. It means that the client has gone.
	room := h.cache.coder.room()
	defer func() { h.cache.coder.rooms.Put(&room) }()
	for _, k := range page.chunks {
		var content []byte
		if content, room, err = k.content(room, f, &h.cache.coder); err != nil {
			h.log(err) // It was encoded before, so this does not happen. The answer is too short, which the client sees.
			return
		}
		if _, err := out.Write(content); err != nil {
			return
		}
	}
	_, _ = out.Write(slices.Concat(end.bytes, tail))
	_ = out.Flush()
}

// answer returns the page in a form, or the metrics with one of the names of it. Those are encoded for each request, at
// the cost of what is chosen.
func (h *handler) answer(f form, metricNames []string) (*encoded, error) {
	if len(metricNames) == 0 {
		return h.encoded(f)
	}
	chosen := &page{}
	for _, c := range h.shown().columns {
		if slices.Contains(metricNames, c.metric.Name) {
			chosen.columns = append(chosen.columns, c)
		}
	}
	k := &chunk{pieces: chosen.pieces(f)}
	_, err := k.encode(nil, f, &h.cache.coder)
	return &encoded{form: f, page: chosen, chunks: []*chunk{k}, sum: k.checked}, err
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

func (h *handler) fail(w http.ResponseWriter, err error) {
	h.log(err)
	http.Error(w, "The metrics can't be encoded, the log says why.", http.StatusInternalServerError)
}

func (h *handler) log(err error) {
	level.Error(h.options.Logger).Log("msg", "Scrape could not be answered", "err", err)
}
