package chaos

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"segura-enable/simulated/seguratest"
)

// wires are the network between a function and a server: a TCP relay that can
// treat each connection badly. Everything below TLS goes wrong here.
type wires struct {
	listener net.Listener
	address  string
	target   string
	group    sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	rough  roughness
	open   map[*wire]struct{}
	closed bool
	made   int // connections since the start
	harmed int // of them, those that a hazard was for
}

// roughness says how many connections suffer, and what. The zero value is smooth.
type roughness struct {
	chance  float64
	hazards []hazard
}

// hazard is what happens to one connection.
type hazard struct {
	name  string
	codes []string // what an identifier may fail with because of it

	delay     time.Duration // before anything is passed on
	refuse    bool          // reset at once
	silent    bool          // nothing is passed on, ever
	afterDown int           // bytes from the server that pass before it strikes; below zero: it does not
	afterUp   int           // likewise from the client
	strike    strike        // what happens then
	slow      time.Duration // between pieces from the server
	impostor  int           // index of the server that is connected instead; below zero: the right one
}

type strike int

const (
	cut     strike = iota // both ends are reset
	stall                 // nothing passes any more
	corrupt               // one byte is changed
)

// wire is one connection.
type wire struct {
	hazard hazard
	client net.Conn
	mu     sync.Mutex
	server net.Conn
	gone   bool
}

func layWires(target string, random *rand.Rand) (*wires, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wires{listener: listener, address: listener.Addr().String(), target: target,
		random: random, open: map[*wire]struct{}{}}
	w.group.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			w.group.Go(func() { w.carry(c) })
		}
	})
	return w, nil
}

// become changes what happens to connections from now on.
func (w *wires) become(r roughness) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rough = r
}

// drop resets the connections; all, or those that suffer from something.
func (w *wires) drop(all bool) {
	w.mu.Lock()
	var victims []*wire
	for c := range w.open {
		if all || c.hazard.name != "" {
			victims = append(victims, c)
		}
	}
	w.mu.Unlock()
	for _, c := range victims {
		c.reset()
	}
}

// counts are the connections made since the start, and how many of them suffered.
func (w *wires) counts() (made, harmed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made, w.harmed
}

func (w *wires) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_ = w.listener.Close()
	w.drop(true)
	w.group.Wait()
}

func (w *wires) admit(client net.Conn) (*wire, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &wire{client: client, hazard: hazard{impostor: -1, afterDown: -1, afterUp: -1}}
	w.made++
	if w.random.Float64() < w.rough.chance {
		c.hazard = w.rough.hazards[w.random.IntN(len(w.rough.hazards))]
		w.harmed++
	}
	w.open[c] = struct{}{}
	return c, !w.closed
}

func (w *wires) carry(client net.Conn) {
	c, open := w.admit(client)
	defer func() {
		w.mu.Lock()
		delete(w.open, c)
		w.mu.Unlock()
	}()
	if !open || c.hazard.refuse {
		c.reset()
		return
	}
	if c.hazard.silent {
		drain(client)
		c.reset()
		return
	}
	time.Sleep(c.hazard.delay)
	target := w.target
	if c.hazard.impostor >= 0 {
		target = impostors[c.hazard.impostor].server.Address()
	}
	server, err := net.Dial("tcp", target)
	if err != nil || !c.connect(server) {
		c.reset()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.pump(client, server, c.hazard.afterUp, 0)
	}()
	c.pump(server, client, c.hazard.afterDown, c.hazard.slow)
	<-done
}

// connect reports false if the connection has been reset meanwhile.
func (c *wire) connect(server net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = server
	if c.gone {
		_ = server.Close()
	}
	return !c.gone
}

// reset ends both sides at once.
func (c *wire) reset() { c.end(true) }

func (c *wire) end(hard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for _, side := range []net.Conn{c.client, c.server} {
		if side == nil {
			continue
		}
		if tcp, ok := side.(*net.TCPConn); ok && hard {
			_ = tcp.SetLinger(0)
		}
		_ = side.Close()
	}
}

// pump passes bytes on until the hazard strikes or either side ends.
func (c *wire) pump(from, to net.Conn, limit int, slow time.Duration) {
	buffer := make([]byte, 16<<10)
	if slow > 0 {
		buffer = buffer[:512]
	}
	passed := 0
	for {
		n, err := from.Read(buffer)
		piece := buffer[:n]
		struck := limit >= 0 && passed+n > limit
		if struck {
			if c.hazard.strike == corrupt {
				piece[limit-passed] ^= 0x55
				limit = -1
			} else {
				piece = piece[:limit-passed]
			}
		}
		passed += n
		if _, writeErr := to.Write(piece); writeErr != nil {
			c.end(true)
			return
		}
		switch {
		case struck && c.hazard.strike == cut:
			time.Sleep(time.Millisecond) // a reset overtakes what was sent before it
			c.end(true)
			return
		case struck && c.hazard.strike == stall:
			drain(from)
			c.end(true)
			return
		case err != nil:
			c.end(errors.Is(err, syscall.ECONNRESET))
			return
		}
		time.Sleep(slow)
	}
}

// drain reads until the other side goes.
func drain(c net.Conn) {
	buffer := make([]byte, 4<<10)
	for {
		if _, err := c.Read(buffer); err != nil {
			return
		}
	}
}

// impostor is a server that must not be talked to: its certificate or TLS version
// is bad, or it demands a certificate that the function has not.
type impostor struct {
	name   string
	server *seguratest.Server
}

func startImpostors() ([]impostor, error) {
	var all []impostor
	for _, one := range []struct {
		name    string
		options seguratest.Options
	}{
		{"a certificate for another host", seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateWrongHost}}},
		{"an expired certificate", seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateExpired}}},
		{"a certificate of the future", seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateNotYetValid}}},
		{"a self-signed certificate", seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateSelfSigned}}},
		{"a certificate of an unknown authority", seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateUnknownAuthority}}},
		{"TLS 1.1", seguratest.Options{TLS: seguratest.TLSOptions{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}},
		{"a demand for a client certificate", seguratest.Options{RequireClientCertificate: true}},
		{"a demand for a client certificate under TLS 1.2", seguratest.Options{RequireClientCertificate: true, TLS: seguratest.TLSOptions{MaxVersion: tls.VersionTLS12}}},
	} {
		one.options.AnyIdentifier = true
		server, err := seguratest.New(one.options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
		all = append(all, impostor{one.name, server})
	}
	return all, nil
}
