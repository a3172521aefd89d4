package simulator

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The names of faults in the log of requests.
const (
	faultThrottle = "throttle"
	faultError    = "server_error"
	faultGateway  = "gateway"
	faultEmpty    = "empty"
	faultTorn     = "torn"
	faultReset    = "reset"
	faultSlow     = "slow"
)

// A fault is what goes wrong with one answer.
type fault struct {
	name       string
	status     int // 0 where the answer itself is made
	retryAfter time.Duration
	body       string
	html       bool
	wait       time.Duration
	draw       uint64
}

// gatewayPage is an HTML page as a proxy in front of the API makes them.
func gatewayPage(title string) string {
	return `<!DOCTYPE html>
<html lang="en"><head><title>api.openai.com | ` + title + `</title></head>
<body><div class="cf-wrapper"><h1>` + title + `</h1><p>The web server reported a bad gateway error.</p><p>Performance &amp; security by Cloudflare</p></div></body>
</html>
`
}

// fault draws what befalls the request of that number.
func (v *view) fault(n uint64, endpoint string) fault {
	f := v.o.Faults
	if len(f.Endpoints) > 0 && !slices.Contains(f.Endpoints, endpoint) {
		return fault{}
	}
	h := mix2(v.o.Seed^saltFault, n)
	draw, h := float64(h>>40)/(1<<24), mix(h)
	for _, kind := range []struct {
		name  string
		share float64
	}{
		{faultThrottle, f.Throttle},
		{faultError, f.ServerError},
		{faultGateway, f.Gateway},
		{faultEmpty, f.Empty},
		{faultTorn, f.Torn},
		{faultReset, f.Reset},
		{faultSlow, f.Slow},
	} {
		if draw >= kind.share {
			draw -= kind.share
			continue
		}
		out := fault{name: kind.name, draw: h}
		switch kind.name {
		case faultThrottle:
			out.status = http.StatusTooManyRequests
			out.body = `{"error":{"message":"Rate limit reached for organization. Please try again later.","type":"requests","param":null,"code":"rate_limit_exceeded"}}` + "\n"
			if h%2 == 0 {
				out.retryAfter = max(f.RetryAfter, time.Second)
			}
		case faultError:
			out.status = http.StatusInternalServerError
			out.body = `{"error":{"message":"The server had an error processing your request. Sorry about that! You can retry your request.","type":"server_error","param":null,"code":null}}` + "\n"
		case faultGateway:
			out.status, out.html = http.StatusBadGateway, true
			title := "502: Bad gateway"
			if h%2 == 0 {
				out.status, title = 520, "520: Web server is returning an unknown error"
			}
			out.body = gatewayPage(title)
		case faultEmpty:
			out.status = http.StatusOK
			if h%2 == 0 {
				out.status = http.StatusServiceUnavailable
			}
		case faultSlow:
			out.wait = f.Delay
			if out.wait <= 0 {
				out.wait = 30 * time.Second
			}
		}
		return out
	}
	return fault{}
}

// write writes the answer as far as the fault lets it.
func (f *fault) write(w http.ResponseWriter, a *answer) {
	switch {
	case f.name == faultReset:
		reset(w)
	case f.name == faultTorn:
		if a.stream != nil {
			var b bytes.Buffer
			a.stream(&b)
			a.body = b.Bytes()
		}
		// The length is that of the whole body, and the break is anywhere in it.
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:f.draw%uint64(len(a.body))]) // A client that has gone is no concern here.
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		panic(http.ErrAbortHandler) // This is how a handler breaks off a body.
	case f.status != 0:
		if f.html {
			w.Header().Set("Content-Type", "text/html; charset=UTF-8")
			w.Header().Set("Server", "cloudflare")
		}
		if f.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((f.retryAfter+time.Second-1)/time.Second)))
		}
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.body)) // As above.
	case a.stream != nil:
		w.WriteHeader(a.status)
		a.stream(w)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body) // As above.
	}
}

// reset drops the connection with a TCP reset where there is one, and without an answer in any case.
func reset(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // Without it the connection ends with a FIN, which serves as well.
			}
			_ = conn.Close() // It is to be broken anyway.
			return
		}
	}
	panic(http.ErrAbortHandler)
}
