// Package fetcher talks to the API: it asks for pages within a budget, decodes them as a stream, tells one kind of
// trouble from another, and polls every endpoint at its pace. What it reads goes to a Feed, what happens to an
// Observer; it knows neither how the books are kept nor how they are shown.
package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	promconfig "github.com/prometheus/common/config"
)

// What a request may take, unless the options say otherwise. The API is slow where there is much to add up, and a page
// can be tens of megabytes.
const (
	DefaultHeaderTimeout  = 45 * time.Second
	DefaultRequestTimeout = 3 * time.Minute
	DefaultMaxBody        = 512 << 20
	DefaultMaxPages       = 1000
	DefaultMaxRows        = 6_000_000
)

// ClientOptions describe how an organization is asked.
type ClientOptions struct {
	Organization string
	BaseURL      string
	Key          Key
	// RequestsPerMinute is the budget for all requests of the organization, retries included.
	RequestsPerMinute int
	// HTTP configures proxy and TLS. Credentials and redirects in it are refused or ignored: the key is the only one.
	HTTP promconfig.HTTPClientConfig
	// Version is told to the API in the User-Agent.
	Version  string
	Logger   log.Logger
	Observer Observer

	// The rest may be left out.

	// DialContext connects in place of the network.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Transport answers in place of HTTP, for tests that have no network.
	Transport http.RoundTripper
	// HeaderTimeout bounds the wait for an answer's beginning, RequestTimeout the whole of it.
	HeaderTimeout, RequestTimeout time.Duration
	// MaxBody bounds a body, in bytes; MaxPages and MaxRows bound a read.
	MaxBody           int64
	MaxPages, MaxRows int
	// Jitter draws a pause below the limit, so that those who fail together don't return together. A simulation brings
	// one of its own, to be repeatable.
	Jitter func(limit time.Duration) time.Duration
}

// A Client asks the API on behalf of one organization. It may be used by several goroutines.
type Client struct {
	o      ClientOptions
	base   *url.URL
	http   *http.Client
	keys   keyring
	budget *budget
	// lookups bounds look-ups to half of the budget, so that polls find some of it saved up.
	lookups *budget
	clock   clock
	trouble keyTrouble
	agent   string
}

// NewClient returns a client. It makes no request yet and does not read the key.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.BaseURL, "/"))
	if err != nil {
		return nil, fmt.Errorf("parse base_url: %w", errors.Unwrap(err))
	}
	if base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("parse base_url: it must be an http or https URL, such as https://api.openai.com/v1")
	}
	if o.HTTP.Authorization != nil || o.HTTP.BasicAuth != nil || o.HTTP.OAuth2 != nil || o.HTTP.BearerToken != "" || o.HTTP.BearerTokenFile != "" {
		return nil, errors.New("http settings must not contain credentials: requests are authorized by the admin key alone")
	}
	if o.Key == nil {
		return nil, errors.New("a client needs a key")
	}
	o = o.withDefaults()
	var options []promconfig.HTTPClientOption
	if o.DialContext != nil {
		options = append(options, promconfig.WithDialContextFunc(o.DialContext))
	}
	transport, err := promconfig.NewRoundTripperFromConfig(o.HTTP, "openai_"+o.Organization, options...)
	if err != nil {
		return nil, fmt.Errorf("set up http: %w", err)
	}
	if o.Transport != nil {
		transport = o.Transport
	}
	return &Client{
		o:    o,
		base: base,
		http: &http.Client{
			Transport: transport,
			// A redirect is an answer from elsewhere, and the key must not go there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		keys:    keyring{key: o.Key},
		budget:  newBudget(o.RequestsPerMinute),
		lookups: newBudget(o.RequestsPerMinute / 2),
		agent:   "openai_exporter/" + o.Version,
	}, nil
}

// withDefaults fills in what is not set.
func (o ClientOptions) withDefaults() ClientOptions {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = DefaultHeaderTimeout
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.Jitter == nil {
		o.Jitter = rand.N[time.Duration]
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxPages <= 0 {
		o.MaxPages = DefaultMaxPages
	}
	if o.MaxRows <= 0 {
		o.MaxRows = DefaultMaxRows
	}
	return o
}

// Close closes the connections that are not in use. The client still works afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Now is the API's time: the local clock, unless the API's answers have shown that it is wrong.
func (c *Client) Now() time.Time { return c.clock.now() }

// A request is one page to ask for.
type request struct {
	name     string // the endpoint's, for the observer
	path     string
	query    url.Values
	priority priority
	inquiry  inquiry
}

// An answer is a 200 whose body is still to be read.
type answer struct {
	key       uint64 // which key it answers
	body      io.Reader
	requestID string
	at        time.Time // the API's clock
	doubtful  bool      // its Date does not agree with at
}

var (
	errHeaderTimeout  = errors.New("no answer in time")
	errRequestTimeout = errors.New("the answer took too long")
	errTooLarge       = errors.New("the answer is too large")
)

// do makes one request within the budget and hands a 200 to consume, whose errors it passes on. It does not retry,
// except with another key where the API refuses one that has been replaced. Its errors are *Error, or the context's.
func (c *Client) do(ctx context.Context, r request, consume func(answer) error) error {
	key, version, err := c.keys.get()
	if err != nil {
		return keyError(err, version)
	}
	err = c.once(ctx, r, key, consume)
	var e *Error
	if !errors.As(err, &e) || !e.keyed() {
		return err
	}
	e.keyVersion = version
	// The file may have been replaced while nobody looked, or in a way that does not show.
	again, version, readErr := c.keys.again()
	if readErr != nil || again == key {
		return err
	}
	level.Info(c.o.Logger).Log("msg", "The admin key has changed; requests use the new one", "endpoint", r.name)
	if err = c.once(ctx, r, again, consume); errors.As(err, &e) {
		e.keyVersion = version
	}
	return err
}

func (c *Client) once(ctx context.Context, r request, key string, consume func(answer) error) error {
	if r.priority == priorityLookup {
		if err := c.lookups.wait(ctx, r.priority); err != nil {
			return err
		}
	}
	if err := c.budget.wait(ctx, r.priority); err != nil {
		return err
	}
	begin := time.Now()
	err := c.exchange(ctx, r, key, consume)
	if ctx.Err() != nil {
		// Who gave up was us, which says nothing about the API.
		return ctx.Err()
	}
	if c.o.Observer != nil {
		c.o.Observer.Request(c.o.Organization, r.name, Code(err), time.Since(begin))
	}
	return err
}

func (c *Client) exchange(ctx context.Context, r request, key string, consume func(answer) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	whole := time.AfterFunc(c.o.RequestTimeout, func() { cancel(errRequestTimeout) })
	defer whole.Stop()
	header := time.AfterFunc(c.o.HeaderTimeout, func() { cancel(errHeaderTimeout) })
	defer header.Stop()

	target := c.base.JoinPath(r.path)
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return c.noAnswer(ctx, err, key)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.agent)
	resp, err := c.http.Do(req)
	if err != nil {
		return c.noAnswer(ctx, err, key)
	}
	header.Stop()
	defer resp.Body.Close()
	sight := c.clock.observe(resp.StatusCode, resp.Header)
	if sight.changed && sight.offset != 0 {
		level.Warn(c.o.Logger).Log("msg", "The local clock differs from the API's clock, which is used instead; check the time synchronization", "api_minus_local", sight.offset)
	} else if sight.changed {
		level.Info(c.o.Logger).Log("msg", "The local clock agrees with the API's clock again")
	}
	if resp.StatusCode != http.StatusOK {
		e := refuse(r.inquiry, resp.StatusCode, resp.Header, readRefusal(resp.Body), sight.date)
		return withoutKey(e, key)
	}
	body := &limitedBody{r: resp.Body, left: c.o.MaxBody}
	a := answer{key: keyID(key), body: body, requestID: clean(resp.Header.Get("X-Request-Id")), at: sight.at, doubtful: sight.doubtful}
	err = consume(a)
	var e *Error
	if !errors.As(err, &e) || e.Class != ClassBody {
		return err
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errRequestTimeout):
		e.Class, e.text = ClassTimeout, fmt.Sprintf("the API's answer was still incomplete after %s", c.o.RequestTimeout)
	case body.left < 0:
		// The page will be no smaller the next time.
		e.text, e.lasting = fmt.Sprintf("the API's answer is larger than %d bytes: group by fewer dimensions", c.o.MaxBody), true
	}
	return withoutKey(e, key)
}

// noAnswer makes the error of a request that nobody answered.
func (c *Client) noAnswer(ctx context.Context, err error, key string) *Error {
	// The URL is left out of the text: it is long, and the endpoint is known.
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	e := &Error{Class: ClassNetwork, err: err}
	var network net.Error
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errHeaderTimeout):
		e.Class, e.text = ClassTimeout, fmt.Sprintf("the API at %s gave no answer within %s", c.base.Host, c.o.HeaderTimeout)
	case errors.Is(cause, errRequestTimeout), errors.As(err, &network) && network.Timeout():
		e.Class, e.text = ClassTimeout, fmt.Sprintf("the API at %s did not answer in time: %v", c.base.Host, err)
	default:
		e.text = fmt.Sprintf("the API at %s can't be reached: %v", c.base.Host, err)
	}
	e.text = clean(e.text)
	return withoutKey(e, key)
}

// withoutKey removes the key itself from an error, since a gateway's keys may look like no other.
func withoutKey(e *Error, key string) *Error {
	const shortest = 8 // What is shorter is no key, and would be found in any text.
	if len(key) < shortest {
		return e
	}
	for _, s := range []*string{&e.text, &e.Param, &e.RequestID} {
		*s = strings.ReplaceAll(*s, key, "…")
	}
	// What is wrapped may repeat what was removed, so only its kind is kept.
	if e.err != nil && strings.Contains(e.err.Error(), key) {
		e.err = nil
	}
	return e
}

// A limitedBody is a body that ends with an error where it gets too large.
type limitedBody struct {
	r    io.Reader
	left int64 // negative once the limit was passed
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	// One byte more than allowed tells a body that just fits from one that does not.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}
