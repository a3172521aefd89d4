package server

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxConnections bounds the connections to one address, and with them goroutines, memory and file descriptors, which
// the polls need too. It is far above what any number of Prometheus servers and browsers keeps open.
const maxConnections = 512

// A boundedListener hands out no more than maxConnections at a time. When one more comes, a connection without a request
// is closed for it, or one whose request is slow: health must answer although clients keep connections that they do not
// use, or do not read. Where all requests have only just begun, it waits, and those after it in the kernel's queue.
// netutil.LimitListener, which only waits, would let such clients keep out all others.
type boundedListener struct {
	net.Listener

	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
	// spared is told when a connection has no request any more.
	spared chan struct{}

	mu sync.Mutex
	// idle connections have had a request, silent ones have not yet, and busy ones have one under way. All are in the order
	// in which they became so.
	idle, silent, busy []*boundedConn
}

// silence is how long a new connection may take to send a request before another one may take its place. The request of
// most is on its way while they are accepted.
const silence = time.Second

// patience is how long a request may be under way before its connection may be closed for another one. Answers are made in
// less; what takes longer is a client that sends or reads slowly, as hundreds at once do only to do harm.
const patience = 5 * time.Second

func newBoundedListener(l net.Listener) *boundedListener {
	return &boundedListener{
		Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{}), spared: make(chan struct{}, 1),
	}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		select {
		case l.slots <- struct{}{}:
			return &boundedConn{Conn: c, since: time.Now(), release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
		}
		if l.spare() {
			continue
		}
		select {
		case l.slots <- struct{}{}:
			return &boundedConn{Conn: c, since: time.Now(), release: sync.OnceFunc(func() { <-l.slots })}, nil
		case <-l.spared:
		case <-time.After(silence): // Perhaps one has been silent for long enough now.
		case <-l.closed:
			_ = c.Close() // What cannot be closed is gone.
			return nil, net.ErrClosed
		}
	}
}

// spare closes the connection that is least likely to be missed: one that waits for its client's next request, the
// longest first, before one that was opened without a request, before one whose request is slow.
func (l *boundedListener) spare() bool {
	l.mu.Lock()
	var c *boundedConn
	switch {
	case len(l.idle) > 0:
		c, l.idle = l.idle[0], l.idle[1:]
	case len(l.silent) > 0 && time.Since(l.silent[0].since) >= silence:
		c, l.silent = l.silent[0], l.silent[1:]
	case len(l.busy) > 0 && time.Since(l.busy[0].since) >= patience:
		c, l.busy = l.busy[0], l.busy[1:]
	}
	l.mu.Unlock()
	if c == nil {
		return false
	}
	_ = c.Close() // What cannot be closed is gone.
	return true
}

// state is told by the HTTP server what a connection does.
func (l *boundedListener) state(conn net.Conn, state http.ConnState) {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = over.NetConn()
	}
	c, ok := conn.(*boundedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	other := func(o *boundedConn) bool { return o == c }
	l.idle = slices.DeleteFunc(l.idle, other)
	l.silent = slices.DeleteFunc(l.silent, other)
	l.busy = slices.DeleteFunc(l.busy, other)
	c.since = time.Now()
	switch state {
	case http.StateNew:
		l.silent = append(l.silent, c)
	case http.StateIdle:
		l.idle = append(l.idle, c)
	case http.StateActive:
		l.busy = append(l.busy, c)
		return
	case http.StateHijacked, http.StateClosed:
		return
	}
	select {
	case l.spared <- struct{}{}:
	default:
	}
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// A boundedConn gives its slot back when it is closed.
type boundedConn struct {
	net.Conn

	since   time.Time // when it became what it is; guarded by the listener
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
