package segura

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
)

// wire is a connection that knows whether anything came over it since a request
// was written. Over HTTP/1.1 a gateway that has lost count, or that somebody made
// lose it, may send a reply too many; net/http drops it as unsolicited unless the
// next request is quicker, and takes it for that one's reply then. A reply of
// which nothing came after its request is no reply to it.
type wire struct {
	net.Conn
	written atomic.Bool
	came    atomic.Bool // anything since it was written
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
	w.written.Store(true)
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 && w.written.Load() {
		w.came.Store(true)
	}
	return n, err
}

// exchange watches the wire that one request goes over; of several, if the
// transport repeats it, the last.
type exchange struct {
	wire    atomic.Pointer[wire]
	reused  atomic.Bool // whether the connection was kept open since another request
	replied atomic.Bool // whether a byte of the reply came
}

// watch returns a context for one request that tells the exchange its wire.
func (e *exchange) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { e.replied.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			e.reused.Store(info.Reused)
			connection := info.Conn
			if secured, ok := connection.(*tls.Conn); ok {
				connection = secured.NetConn()
			}
			if w, ok := connection.(*wire); ok {
				w.written.Store(false)
				w.came.Store(false)
				e.wire.Store(w)
			}
		},
	})
}

// wasClosed reports whether the exchange failed on a connection that was kept open
// and turned out to be closed before a byte of a reply came.
func (e *exchange) wasClosed(err error) bool {
	if !e.reused.Load() || e.replied.Load() {
		return false
	}
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, closed) {
			return true
		}
	}
	text := err.Error() // net/http exports no errors for these
	return strings.Contains(text, "server closed idle connection") || strings.Contains(text, "GOAWAY") || strings.Contains(text, "connection lost")
}

// isStale reports whether an HTTP/1.1 reply was there before its request, and closes
// the connection then, on which replies and requests are out of step.
func (e *exchange) isStale() bool {
	w := e.wire.Load()
	if w == nil || w.came.Load() {
		return false
	}
	_ = w.Close()
	return true
}
