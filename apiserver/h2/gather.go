package h2

import (
	"net"
	"sync"
)

// Listen makes a listener's connections gather what TLS hands to them record by record, while one is told to: a call into the kernel
// costs as much as the encryption of a record. The listener belongs below TLS.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept is net.Listener.
func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gathering{Conn: conn}, nil
}

// gathering is a connection that may hold back what is written.
type gathering struct {
	net.Conn

	mu   sync.Mutex
	on   bool
	held *[]byte // nil while it is empty
}

// gathered is as much as is written at once.
const gathered = 128 << 10

// gathers are buffers with room for the record with which they are full.
var gathers = sync.Pool{New: func() any { b := make([]byte, 0, gathered+recordSize+1<<10); return &b }}

// Write writes, or holds back. An error of what was held back comes with a later Write, or with end.
func (g *gathering) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.on {
		return g.Conn.Write(p)
	}
	if g.held == nil {
		g.held = gathers.Get().(*[]byte)
	}
	*g.held = append(*g.held, p...)
	if len(*g.held) < gathered {
		return len(p), nil
	}
	if err := g.release(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (g *gathering) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = true
}

// end writes what was held back.
func (g *gathering) end() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = false
	return g.release()
}

func (g *gathering) release() error {
	if g.held == nil {
		return nil
	}
	_, err := g.Conn.Write(*g.held)
	*g.held = (*g.held)[:0]
	gathers.Put(g.held)
	g.held = nil
	return err
}
