package segura

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// wire is a connection that knows whether anything came over it since a request
// was written. A gateway that has lost count, or that somebody made lose it, may
// send a reply too many; net/http drops it as unsolicited unless the next request
// is quicker, and takes it for that one's reply then. A reply whose first byte came
// before its request is no reply to it.
type wire struct {
	net.Conn
	by atomic.Pointer[exchange] // whose request it carries; nil: none yet
}

func dialWire(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &wire{Conn: connection}, nil
	}
}

func (w *wire) Write(b []byte) (int, error) {
	if e := w.by.Load(); e != nil {
		e.written.Store(true)
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if e := w.by.Load(); e != nil && n > 0 && e.written.Load() {
		e.came.Store(true)
	}
	return n, err
}

// exchange watches the wire that one request goes over; of several, if the
// transport repeats it, the last. A reply without a body gives the wire back to the
// transport, and to another exchange, before it is judged.
type exchange struct {
	again   func() // called before the request is repeated
	tried   atomic.Bool
	wire    atomic.Pointer[wire]
	written atomic.Bool
	came    atomic.Bool // anything since it was written
	replied atomic.Bool // something came that is taken for the reply
	early   atomic.Bool // and its first byte was there before the request was written
}

// watch returns a context for one request that tells the exchange its wire.
func (e *exchange) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			if e.tried.Swap(true) {
				e.again()
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			if w, ok := undermost(info.Conn).(*wire); ok {
				e.written.Store(false)
				e.came.Store(false)
				e.wire.Store(w)
				w.by.Store(e)
			}
		},
		GotFirstResponseByte: func() {
			e.early.Store(!e.came.Load())
			e.replied.Store(true)
		},
	})
}

// undermost returns the connection below TLS, of which there are two layers where the
// proxy speaks TLS too.
func undermost(connection net.Conn) net.Conn {
	for {
		secured, ok := connection.(*tls.Conn)
		if !ok {
			return connection
		}
		connection = secured.NetConn()
	}
}

// isStale reports whether the reply was there before its request, and closes the
// connection then, on which replies and requests are out of step.
func (e *exchange) isStale() bool {
	w := e.wire.Load()
	if w == nil || !e.early.Load() {
		return false
	}
	_ = w.Close()
	return true
}
