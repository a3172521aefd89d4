package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/server"
)

// large is a source with that many label sets, of some 2.5 KB each as text.
func large(t *testing.T, labelSets int) *source {
	t.Helper()
	s := organization(t)
	view := *s.View()
	completions, _ := api.Find("completions")
	measures := make([]int, len(completions.Measures))
	values := make([]decimal.Fixed, len(measures))
	for i := range measures {
		measures[i], values[i] = i, amount(t, "1234567")
	}
	feed := *view.Feeds[0]
	for i := range labelSets {
		feed.Series = append(feed.Series, &ledger.Series{
			Labels:   []ledger.Label{{Name: "project_id", Value: fmt.Sprintf("proj_%028d", i)}, {Name: "model", Value: "gpt-4o-2024-08-06"}},
			Measures: measures, Values: values, Born: noon,
		})
	}
	view.Feeds = append([]*ledger.FeedView{&feed}, view.Feeds[1:]...)
	s.view.Store(&view)
	return s
}

// eventually waits until a condition holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-timeout.C:
			t.Fatalf("gave up waiting for %s", what)
		case <-tick.C:
		}
	}
}

// dial opens a connection that the test closes, and says something on it.
func dial(t *testing.T, address net.Addr, say string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAHundredScrapersAtOnceAreAllAnswered(t *testing.T) {
	s := large(t, 500)
	c := collector.New(collector.Options{Views: s, Statuses: s, Now: func() time.Time { return noon }})
	r := start(t, server.Options{Metrics: c.Handler()})
	before := runtime.NumGoroutine()
	begin := make(chan struct{})
	var all sync.WaitGroup
	answers := make(chan string, 100)
	for i := range cap(answers) {
		all.Go(func() {
			<-begin
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/metrics", nil)
			if err != nil {
				answers <- err.Error()
				return
			}
			req.Header.Set("Accept-Encoding", []string{"identity", "gzip"}[i%2])
			resp, err := r.client.Do(req)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			answers <- fmt.Sprintf("%d, whole: %t, %v", resp.StatusCode, n == resp.ContentLength, err)
		})
	}
	close(begin)
	all.Wait()
	close(answers)
	for a := range answers {
		if a != "200, whole: true, <nil>" {
			t.Errorf("a scraper got %s", a)
		}
	}
	r.client.CloseIdleConnections()
	eventually(t, time.Minute, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestReadersThatDoNotReadKeepNobodyFromScraping(t *testing.T) {
	s := large(t, 4000) // It fits no socket's buffers, so that who does not read holds up its writer.
	c := collector.New(collector.Options{Views: s, Statuses: s, Now: func() time.Time { return noon }})
	r := start(t, server.Options{Metrics: c.Handler(), Grace: 10 * time.Millisecond})
	for range 100 {
		conn := dial(t, r.addresses[0], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		// The first bytes of the answer say that it is under way; the rest stays where it is.
		if _, err := conn.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/metrics", "/", "/-/healthy"} {
		if a := r.do(t, http.MethodGet, path); a.code != http.StatusOK {
			t.Errorf("%s answers %d: %s", path, a.code, a.body)
		}
	}
}

func TestConnectionsThatAskForNothingAreClosed(t *testing.T) {
	t.Parallel() // It waits for a deadline of the server's.
	r := start(t, server.Options{})
	conns := map[string]net.Conn{}
	for name, say := range map[string]string{
		"nothing said": "", "half a line": "GET /met", "half a header": "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
	} {
		conns[name] = dial(t, r.addresses[0], say)
	}
	for name, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection is still open", name)
		}
	}
}

func TestOversizedRequestsAreRefused(t *testing.T) {
	r := start(t, server.Options{})
	for name, request := range map[string]string{
		"one header":   "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20),
		"many headers": "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Y: z\r\n", 100000),
		"a path":       "GET /" + strings.Repeat("x", 1<<20),
	} {
		conn := dial(t, r.addresses[0], "")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.WriteString(conn, request+"\r\n\r\n") // The server need not read it to its end.
		}()
		line, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		<-done
		if !strings.Contains(line, "431") {
			t.Errorf("%s: answered with %q, %v", name, line, err)
		}
	}
	if a := r.do(t, http.MethodGet, "/-/healthy"); a.code != http.StatusOK {
		t.Errorf("healthy answers %d", a.code)
	}
}
