package faults_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// toxics are the ways in which a connection may be bad, as toxiproxy spells them. They are set once and for all, each
// on a proxy of its own, because toxiproxy can come to a stop where one is removed from a connection in use.
var toxics = []struct{ kind, attributes string }{
	{"reset_peer", `"timeout":5`},
	{"latency", `"latency":40,"jitter":30`},
	{"slicer", `"average_size":200,"size_variation":100,"delay":50`},
	{"limit_data", `"bytes":30000`},
	{"bandwidth", `"rate":200`},
}

// A network leads every connection to the API over one proxy after the other, or over none.
type network struct {
	listener net.Listener
	upstream string
	proxies  []string

	mu      sync.Mutex
	spoiled bool
	turn    int
	conns   map[net.Conn]bool
}

func newNetwork(t *testing.T, upstream string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: l, upstream: upstream, conns: make(map[net.Conn]bool)}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for _, toxic := range toxics {
		p := toxiproxy.NewProxy(server, toxic.kind, "127.0.0.1:0", upstream)
		spelled := fmt.Sprintf(`{"name":%q,"type":%q,"stream":"downstream","toxicity":1,"attributes":{%s}}`, toxic.kind, toxic.kind, toxic.attributes)
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(spelled)); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Stop)
		n.proxies = append(n.proxies, p.Listen)
	}
	go n.accept()
	t.Cleanup(func() {
		l.Close()
		n.spoil(false)
	})
	return n
}

func (n *network) address() string { return n.listener.Addr().String() }

// spoil decides about new connections, and cuts those that there are.
func (n *network) spoil(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spoiled = on
	for c := range n.conns {
		c.Close()
	}
}

// next is where the next connection goes: every second one of a bad network is as it should be.
func (n *network) next(c net.Conn) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = true
	n.turn++
	if !n.spoiled || n.turn%2 == 0 {
		return n.upstream
	}
	return n.proxies[n.turn/2%len(n.proxies)]
}

func (n *network) accept() {
	for {
		here, err := n.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() {
				n.mu.Lock()
				delete(n.conns, here)
				n.mu.Unlock()
			}()
			defer here.Close()
			there, err := net.Dial("tcp", n.next(here))
			if err != nil {
				return
			}
			defer there.Close()
			go func() {
				_, _ = io.Copy(there, here) // Whichever side ends it, it has ended.
				there.Close()
			}()
			_, _ = io.Copy(here, there) // As above.
		}()
	}
}
