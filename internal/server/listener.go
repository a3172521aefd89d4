package server

import (
	"net"
	"sync"
)

// maxConnections bounds the connections to one address, and with them goroutines, memory and file descriptors, which
// the polls need too. It is far above what any number of Prometheus servers and browsers keeps open.
const maxConnections = 512

// A boundedListener accepts no more than maxConnections at a time. Whoever comes then waits in the kernel's queue, in
// the order of arrival.
type boundedListener struct {
	net.Listener

	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func bounded(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{})}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// A boundedConn gives its slot back when it is closed.
type boundedConn struct {
	net.Conn

	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
