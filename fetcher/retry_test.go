package fetcher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

func TestARepeatedCursorEndsTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: says(200, `{"object":"page","data":[],"has_more":true,"next_page":"page_1"}`)}
		_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassBody || !strings.Contains(e.Error(), "cursor") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestPagesWithoutEndEndTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			n++
			return says(200, fmt.Sprintf(`{"object":"page","data":[],"has_more":true,"next_page":"page_%d"}`, n))(w, r)
		}}
		_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(60)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassBody || !strings.Contains(e.Error(), "more than 70 pages") {
			t.Errorf("error = %v", err)
		}
		if n != 70 {
			t.Errorf("%d requests: there will be no end the next time either", n)
		}
	})
}

func TestATornPageIsNeverCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The second of three pages is torn after some of its rows, twice.
		n := 0
		f := &fake{perPage: 2}
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("page") {
				if n++; n <= 2 {
					return torn(w, r)
				}
			}
			return false
		}
		seen := &witness{}
		r, err := client(t, serve(t, f), seen).Read(t.Context(), embeddings(t, minutes(6)))
		if err != nil {
			t.Fatal(err)
		}
		if got := book(t, r); got != "6" {
			t.Errorf("counted %s requests, want 6", got)
		}
		if seen.count("embeddings body") != 2 {
			t.Errorf("observed %v", seen.requests)
		}
	})
}

func TestTransientFaultsAreRetriedWithinTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
			"429":       says(429, `{"error":{"message":"slow down"}}`),
			"429 short": says(429, "", "Retry-After", "2"),
			"500":       says(500, `{"error":{"message":"The server had an error processing your request..."}}`),
			"502":       says(502, "<html>bad gateway</html>"),
			"503":       says(503, ""),
			"520":       says(520, "<html>cloudflare</html>"),
			"reset":     reset,
			"torn":      torn,
			"empty":     says(200, ""),
			"no body":   says(204, ""),
			"HTML":      says(200, "<html>maintenance</html>"),
			"no page":   says(200, "{}"),
		} {
			f := &fake{before: first(fault, fault)}
			begin := time.Now()
			r, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := book(t, r); got != "3" || len(f.asks()) != 3 {
				t.Errorf("%s: counted %s requests, want 3, with %d requests", name, got, len(f.asks()))
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s: took %s", name, took)
			}

			f = &fake{before: fault}
			_, err = client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Permanent() {
				t.Errorf("%s: for ever: %v", name, err)
			}
			if n := len(f.asks()); n != 4 {
				t.Errorf("%s: for ever: %d requests, want 4", name, n)
			}
		}
	})
}

func TestRetryAfterEndsTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Hour + 300*time.Millisecond)
		for value, want := range map[string]time.Duration{
			"30":                            30 * time.Second,
			"2.5":                           2500 * time.Millisecond,
			"Sat, 01 Jan 2000 01:02:00 GMT": 2 * time.Minute,
			"99999999999999999999":          24 * time.Hour,
		} {
			f := &fake{before: says(429, "", "Retry-After", value)}
			_, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Class != fetcher.ClassThrottled || e.RetryAfter != want {
				t.Errorf("Retry-After: %s: %v after %s, want %s", value, err, e.RetryAfter, want)
			}
			if n := len(f.asks()); n != 1 {
				t.Errorf("Retry-After: %s: %d requests, want 1", value, n)
			}
		}
		for _, value := range []string{"soon", "-3", "0", "NaN", "Sat, 01 Jan 2000 00:00:00 GMT"} {
			f := &fake{before: first(says(429, "", "Retry-After", value))}
			if _, err := client(t, serve(t, f), &witness{}).Read(t.Context(), embeddings(t, minutes(3))); err != nil {
				t.Errorf("Retry-After: %s: %v", value, err)
			}
		}
	})
}

func TestAnswersThatDoNotComeTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, wait := range map[string]func(http.ResponseWriter, *http.Request) bool{
			"no header": func(_ http.ResponseWriter, r *http.Request) bool {
				<-r.Context().Done()
				return true
			},
			"no end": func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = w.Write([]byte(`{"object":"page","data":[`))
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return true
			},
		} {
			seen := &witness{}
			c := client(t, serve(t, &fake{before: wait}), seen)
			begin := time.Now()
			_, err := c.Read(t.Context(), embeddings(t, minutes(3)))
			var e *fetcher.Error
			if !errors.As(err, &e) || e.Class != fetcher.ClassTimeout {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begin); took < 4*fetcher.DefaultHeaderTimeout || took > 4*fetcher.DefaultRequestTimeout+time.Minute {
				t.Errorf("%s: took %s", name, took)
			}
			if seen.count("embeddings timeout") != 4 {
				t.Errorf("%s: observed %v", name, seen.requests)
			}
		}
	})
}

func TestABodyWithoutEndIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(w http.ResponseWriter, _ *http.Request) bool {
			_, err := w.Write([]byte(`{"object":"page","data":[`))
			for err == nil {
				_, err = w.Write([]byte(`{"start_time":946684800,"results":[]},`))
			}
			return true
		}}
		seen := &witness{}
		c := client(t, serve(t, f), seen, func(o *fetcher.ClientOptions) { o.MaxBody = 1 << 20 })
		_, err := c.Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassBody || !strings.Contains(e.Error(), "larger than 1048576 bytes") {
			t.Errorf("error = %v", err)
		}
		if n := len(f.asks()); n != 1 {
			t.Errorf("%d requests, want 1: the body is no shorter the next time", n)
		}
	})
}

func TestABodyOfTheGreatestLengthIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"object":"page","data":[],"has_more":false}`
		w := serve(t, &fake{before: says(200, body)})
		for n, ok := range map[int64]bool{int64(len(body)): true, int64(len(body)) - 1: false} {
			c := client(t, w, &witness{}, func(o *fetcher.ClientOptions) { o.MaxBody = n })
			if _, err := c.Read(t.Context(), embeddings(t, minutes(3))); (err == nil) != ok {
				t.Errorf("at most %d of %d bytes: %v", n, len(body), err)
			}
		}
	})
}

func TestAnUnreachableAPIIsANetworkError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{closed: make(chan struct{})}
		_ = w.Close()
		seen := &witness{}
		_, err := client(t, w, seen).Read(t.Context(), embeddings(t, minutes(3)))
		var e *fetcher.Error
		if !errors.As(err, &e) || e.Class != fetcher.ClassNetwork || fetcher.Code(err) != "network" || !strings.Contains(e.Error(), "connection refused") {
			t.Errorf("error = %v", err)
		}
		if seen.count("embeddings network") != 4 {
			t.Errorf("observed %v", seen.requests)
		}
	})
}

func TestCanceledRequestsSayNothingAboutTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}}
		seen := &witness{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := client(t, serve(t, f), seen).Read(ctx, embeddings(t, minutes(3))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		if took := time.Since(begin); took != time.Second || len(seen.requests) != 0 {
			t.Errorf("took %s, observed %v", took, seen.requests)
		}
	})
}
