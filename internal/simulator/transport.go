package simulator

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"syscall"
)

// Transport answers requests in the caller's goroutine, without a network: for tests under testing/synctest, in which a
// goroutine that waits for a socket stops the clock. Faults look as they do over a connection.
func (s *Simulator) Transport() http.RoundTripper { return TransportOf(s.Handler()) }

// TransportOf is Transport for a handler that stands before a simulator and changes what it answers.
func TransportOf(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close() // The API takes no bodies.
	}
	w := &recorder{header: make(http.Header), body: bodies.Get().(*bytes.Buffer)}
	aborted := func() (aborted bool) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				aborted = true
			default:
				panic(p)
			}
		}()
		t.handler.ServeHTTP(w, r)
		return false
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if aborted && w.status == 0 {
		return nil, errors.New("read: " + syscall.ECONNRESET.Error())
	}
	body := &received{body: w.body, end: io.EOF}
	if aborted {
		body.end = io.ErrUnexpectedEOF
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: length, Request: r,
	}, nil
}

// bodies are what answers are held in until they are closed.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// A received is the body of an answer.
type received struct {
	mu   sync.Mutex
	body *bytes.Buffer // nil once it is closed
	end  error         // behind the last byte
}

func (r *received) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.body == nil:
		return 0, http.ErrBodyReadAfterClose
	case r.body.Len() == 0:
		return 0, r.end
	}
	return r.body.Read(b)
}

// Close gives the room to the next answer.
func (r *received) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body != nil {
		r.body.Reset()
		bodies.Put(r.body)
		r.body = nil
	}
	return nil
}

type recorder struct {
	header, sent http.Header
	status       int
	body         *bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, maps.Clone(w.header)
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
