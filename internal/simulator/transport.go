package simulator

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
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
	w := &recorder{header: make(http.Header)}
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
	body := io.Reader(&w.body)
	if aborted {
		body = io.MultiReader(body, torn{})
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(body), ContentLength: length, Request: r,
	}, nil
}

type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type recorder struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
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
