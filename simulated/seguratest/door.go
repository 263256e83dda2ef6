package seguratest

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Refused is how a connection is refused.
type Refused int

// The ways to refuse a connection.
const (
	// NotListening closes the port: "connection refused".
	NotListening Refused = iota + 1
	// ResetOnAccept accepts the TCP connection and resets it at once.
	ResetOnAccept
	// SilentOnAccept accepts the TCP connection and never says a word, so that
	// the TLS handshake hangs.
	SilentOnAccept
	// PlainOnAccept answers the TLS handshake with an HTTP reply in clear text,
	// as a port does that does not speak TLS.
	PlainOnAccept
)

// conn is a TCP connection that the door keeps track of.
type conn struct {
	net.Conn
	door   *door
	number int
}

// Close ends the connection; a second call is harmless.
func (c *conn) Close() error {
	c.door.mu.Lock()
	delete(c.door.open, c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// reset ends the connection with a TCP RST.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// answerInClear reads the client's hello, so that closing does not reset, and
// says what nginx says.
func (c *conn) answerInClear() {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.Read(make([]byte, 16<<10))
	_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_ = c.Close()
}

type connKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connection is the TLS connection of a request, of either protocol, and the TCP
// connection beneath.
func connection(r *http.Request) (*tls.Conn, *conn) {
	secure, _ := r.Context().Value(connKey{}).(*tls.Conn) // withConnection has put it there
	tracked, _ := secure.NetConn().(*conn)                // and the door's listener made it
	return secure, tracked
}

// door is a port that can be shut and opened again.
type door struct {
	address string             // as clients dial it
	bind    string             // as it is listened on
	serve   func(net.Listener) // until the listener is closed
	serving sync.WaitGroup

	mu       sync.Mutex
	refused  Refused
	listener net.Listener // nil while not listening
	holder   *os.File     // keeps the port meanwhile
	open     map[*conn]struct{}
	accepted int // since the start
	before   int // of them, before the count began
}

func openDoor(address string, serve func(net.Listener)) (*door, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(address)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	d := &door{
		address: net.JoinHostPort(host, port), bind: listener.Addr().String(),
		serve: serve, open: map[*conn]struct{}{},
	}
	d.listen(listener)
	return d, nil
}

// listen makes the listener the door's; the caller holds the lock or is alone.
func (d *door) listen(listener net.Listener) {
	d.listener = listener
	d.serving.Go(func() { d.serve(watched{listener, d}) })
}

// watched is a listener that hands on what the door admits.
type watched struct {
	net.Listener
	door *door
}

func (w watched) Accept() (net.Conn, error) {
	for {
		raw, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := w.door.admit(raw); c != nil {
			return c, nil
		}
	}
}

// admit returns nil for a connection that is refused.
func (d *door) admit(raw net.Conn) net.Conn {
	d.mu.Lock()
	d.accepted++
	c := &conn{Conn: raw, door: d, number: d.accepted}
	d.open[c] = struct{}{}
	refused := d.refused
	d.mu.Unlock()
	switch refused {
	case 0:
		return c
	case NotListening, ResetOnAccept:
		c.reset()
	case PlainOnAccept:
		d.serving.Go(c.answerInClear)
	case SilentOnAccept: // until the door turns
	}
	return nil
}

// turn refuses connections in that way from now on, or accepts them again for 0.
// Those of before are reset.
func (d *door) turn(how Refused) (err error) {
	d.mu.Lock()
	var old map[*conn]struct{}
	if how != d.refused {
		old = d.take()
	}
	d.refused = how
	switch {
	case how == NotListening && d.listener != nil:
		_ = d.listener.Close()
		d.listener, d.holder = nil, hold(d.bind)
	case how != NotListening && d.listener == nil:
		_ = d.holder.Close()
		err = d.reopen()
	}
	d.mu.Unlock()
	resetAll(old)
	return err
}

// take forgets the open connections; the caller holds the lock, and resets them
// when it has let it go.
func (d *door) take() map[*conn]struct{} {
	old := d.open
	d.open = map[*conn]struct{}{}
	return old
}

func resetAll(connections map[*conn]struct{}) {
	for c := range connections {
		c.reset()
	}
}

func (d *door) close() {
	_ = d.turn(NotListening)
	d.mu.Lock()
	_ = d.holder.Close()
	d.mu.Unlock()
	d.serving.Wait()
}

// hold binds the port without listening on it, so that nobody else on this machine
// is given it while nobody is to be there: another server behind it would answer
// the door's clients. Where it fails, the port is free, and the file may be nil.
func hold(bound string) *os.File {
	address, err := net.ResolveTCPAddr("tcp", bound)
	if err != nil {
		return nil
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil
	}
	syscall.CloseOnExec(socket)
	// The connections that were made to it may not be over yet.
	_ = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	_ = syscall.Bind(socket, &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte{127, 0, 0, 1}})
	return os.NewFile(uintptr(socket), "port")
}

// reopen listens on the same port again; the caller holds the lock.
func (d *door) reopen() error {
	listener, err := net.Listen("tcp", d.bind)
	for tries := 0; err != nil && tries < 100; tries++ { // a connection of somebody else's may have the port for a moment
		time.Sleep(10 * time.Millisecond)
		listener, err = net.Listen("tcp", d.bind)
	}
	if err == nil {
		d.listen(listener)
	}
	return err
}

func (d *door) resetCount() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = d.accepted
}

// RefuseConnections refuses every connection from now on and resets the open
// ones, until AcceptConnections.
func (s *Server) RefuseConnections(how Refused) error { return s.door.turn(how) }

// AcceptConnections ends RefuseConnections, on the same port. Connections that
// were held in silence are reset.
func (s *Server) AcceptConnections() error { return s.door.turn(0) }

// DropConnections resets all open connections, as a restart or a firewall does;
// new ones are accepted.
func (s *Server) DropConnections() {
	s.door.mu.Lock()
	old := s.door.take()
	s.door.mu.Unlock()
	resetAll(old)
}

// Connections is the number of TCP connections accepted since the start or
// Reset, refused ones included.
func (s *Server) Connections() int {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	return s.door.accepted - s.door.before
}

// OpenConnections is the number of TCP connections that are open now.
func (s *Server) OpenConnections() int {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	return len(s.door.open)
}
