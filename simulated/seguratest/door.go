package seguratest

import (
	"io"
	"net"
	"net/netip"
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
	c.door.forget(c)
	return c.Conn.Close()
}

// reset ends the connection with a TCP RST.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// door is a listener whose port can be shut and opened again while the HTTP
// server goes on accepting from it.
type door struct {
	address string // as clients dial it
	bind    string // as it is listened on
	handed  chan net.Conn
	ended   chan struct{}
	pumps   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	refused  Refused
	listener net.Listener // nil while not listening
	holder   *os.File     // keeps the port meanwhile, as far as that goes
	open     map[*conn]struct{}
	accepted int
	numbers  int
}

func openDoor(address string) (*door, error) {
	d := &door{
		handed: make(chan net.Conn),
		ended:  make(chan struct{}),
		open:   map[*conn]struct{}{},
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	d.bind = listener.Addr().String()
	d.address = dialable(address, listener.Addr())
	d.listen(listener)
	return d, nil
}

// dialable is the bound port under a host that clients can dial.
func dialable(asked string, bound net.Addr) string {
	host, _, _ := net.SplitHostPort(asked)
	_, port, _ := net.SplitHostPort(bound.String())
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// listen makes the listener the door's; the caller holds the lock or is alone.
func (d *door) listen(listener net.Listener) {
	d.listener = listener
	d.pumps.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			d.receive(c)
		}
	})
}

func (d *door) receive(raw net.Conn) {
	d.mu.Lock()
	d.accepted++
	d.numbers++
	c := &conn{Conn: raw, door: d, number: d.numbers}
	d.open[c] = struct{}{}
	refused, closed := d.refused, d.closed
	d.mu.Unlock()

	switch {
	case closed || refused == NotListening || refused == ResetOnAccept:
		c.reset()
	case refused == SilentOnAccept: // until the door opens or closes
	case refused == PlainOnAccept:
		d.pumps.Go(c.answerInClear)
	default:
		select {
		case d.handed <- c:
		case <-d.ended:
			c.reset()
		}
	}
}

// answerInClear reads the client's hello, so that closing does not reset, and
// says what nginx says.
func (c *conn) answerInClear() {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.Read(make([]byte, 16<<10))
	_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_ = c.Close()
}

func (d *door) forget(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, c)
}

// Accept, Close and Addr make the door a net.Listener for the HTTP server.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.handed:
		return c, nil
	case <-d.ended:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	close(d.ended)
	d.shut()
	d.release()
	d.mu.Unlock()
	d.drop()
	d.pumps.Wait()
	return nil
}

func (d *door) Addr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", d.bind)
	if err != nil {
		return &net.TCPAddr{}
	}
	return a
}

// shut stops listening; the caller holds the lock.
func (d *door) shut() {
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
	}
}

// hold binds the port without listening on it, so that nobody else on this machine
// is given it while nobody is to be there: another server behind it would answer
// the door's clients. Where it fails, the port is free. The caller holds the lock.
func (d *door) hold() {
	address, err := netip.ParseAddrPort(d.bind)
	if err != nil || !address.Addr().Is4() || d.holder != nil {
		return
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return
	}
	syscall.CloseOnExec(socket)
	d.holder = os.NewFile(uintptr(socket), "port")
	// The connections that were made to it may not be over yet.
	if syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) != nil ||
		syscall.Bind(socket, &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}) != nil {
		d.release()
	}
}

// release gives up what hold has bound; the caller holds the lock.
func (d *door) release() {
	if d.holder != nil {
		_ = d.holder.Close()
		d.holder = nil
	}
}

// drop resets all open connections.
func (d *door) drop() {
	d.mu.Lock()
	all := make([]*conn, 0, len(d.open))
	for c := range d.open {
		all = append(all, c)
	}
	d.mu.Unlock()
	for _, c := range all {
		c.reset()
	}
}

// reopen listens on the same port again; the caller holds the lock.
func (d *door) reopen() error {
	if d.listener != nil || d.closed {
		return nil
	}
	d.release()
	listener, err := net.Listen("tcp", d.bind)
	for tries := 0; err != nil && tries < 100; tries++ { // a connection of somebody else's may have the port for a moment
		time.Sleep(10 * time.Millisecond)
		listener, err = net.Listen("tcp", d.bind)
	}
	if err != nil {
		return err
	}
	d.listen(listener)
	return nil
}

func (d *door) resetCount() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted = 0
}

// RefuseConnections refuses every connection from now on and resets the open
// ones, until AcceptConnections.
func (s *Server) RefuseConnections(how Refused) error {
	s.door.mu.Lock()
	s.door.refused = how
	var err error
	if how == NotListening {
		s.door.shut()
		s.door.hold()
	} else {
		err = s.door.reopen()
	}
	s.door.mu.Unlock()
	s.door.drop()
	return err
}

// AcceptConnections ends RefuseConnections, on the same port. Connections that
// were held in silence are reset.
func (s *Server) AcceptConnections() error {
	s.door.mu.Lock()
	held := s.door.refused == SilentOnAccept
	s.door.refused = 0
	err := s.door.reopen()
	s.door.mu.Unlock()
	if held {
		s.door.drop()
	}
	return err
}

// DropConnections resets all open connections, as a restart or a firewall does;
// new ones are accepted.
func (s *Server) DropConnections() { s.door.drop() }

// Connections is the number of TCP connections accepted since the start or
// Reset, refused ones included.
func (s *Server) Connections() int {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	return s.door.accepted
}

// OpenConnections is the number of TCP connections that are open now.
func (s *Server) OpenConnections() int {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	return len(s.door.open)
}
