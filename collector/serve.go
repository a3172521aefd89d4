package collector

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// handler answers scrapes with kept bytes, followed by what is only true of the moment.
type handler struct {
	collector *Collector
	formats   []expfmt.Format
	slots     chan struct{}
	// other answers what is not worth keeping: a choice of metrics by name.
	other http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	coding := negotiateCoding(r.Header.Values("Accept-Encoding"))
	if r.URL.Query().Has("name[]") {
		// What we have understood of the client's wish is put in its place, so that both answers heed it alike.
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", string(coding))
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
	format := expfmt.NegotiateAccept(r.Header, h.formats...)
	v := variantOf(format, coding)
	c := h.collector
	c.wanted.ask(v, time.Now())
	data, err := c.kept(v).encoded(v)
	own, gatherErr := c.own()
	if gatherErr != nil {
		// One broken reading of /proc must not hide the data.
		errorLog{c.options.Logger}.Println(gatherErr)
	}
	end, ownErr := encodeEnd(own, v, &c.coder)
	release()
	if err := errors.Join(err, ownErr); err != nil {
		errorLog{c.options.Logger}.Println(err)
		http.Error(w, "The metrics can't be encoded, the log says why.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", string(format))
	header.Add("Vary", "Accept, Accept-Encoding")
	if v.coding != identity {
		header.Set("Content-Encoding", string(v.coding))
	}
	whole := data.sum.and(end.checked)
	head, tail := v.coding.frame(whole)
	header.Set("Content-Length", strconv.Itoa(len(head)+whole.coded+len(tail)))
	if _, err := w.Write(head); err != nil {
		return // The client has gone.
	}
	for _, chunk := range data.chunks {
		if _, err := w.Write(chunk.bytes); err != nil {
			return
		}
	}
	w.Write(slices.Concat(end.bytes, tail))
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

// same says whether two lists of families are the same one.
func same(a, b []*dto.MetricFamily) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
