package chaos

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
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
	meet   mix[hazard]         // what new connections meet
	open   map[net.Conn]hazard // the clients' sides
	closed bool
}

// hazard is what happens to one connection. The zero value is nothing.
type hazard struct {
	effects
	delay  time.Duration // before anything is passed on
	strike strike        // what happens after so many bytes from the server, or from the client
	after  int
	up     bool // from the client
}

func (h hazard) String() string {
	return fmt.Sprintf("%v late, %q after %d bytes (up: %t)", h.delay, h.strike, h.after, h.up)
}

type strike string

const (
	cut     strike = "cut"     // both ends are reset
	stall   strike = "stall"   // nothing passes any more
	corrupt strike = "corrupt" // one byte is changed
)

// newHazard draws one that strikes at once, in the handshake or later.
func newHazard(r *rand.Rand) hazard {
	h := hazard{effects: effects{wire | slow, []string{upstreamTimeout, deadline}}}
	if r.IntN(5) == 0 {
		h.delay = choose(r, 30*time.Millisecond, 250*time.Millisecond)
		return h
	}
	h.strike, h.codes = choose(r, cut, stall, corrupt), shut.codes
	if h.after = choose(r, 0, r.IntN(1200), 1200+r.IntN(4000)); r.IntN(3) == 0 {
		h.up, h.after = true, r.IntN(2500)
	}
	return h
}

func layWires(target string, random *rand.Rand) (*wires, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wires{listener: listener, address: listener.Addr().String(), target: target, random: random, open: map[net.Conn]hazard{}}
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
func (w *wires) become(meet mix[hazard]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meet = meet
}

// drop resets the connections; all, or those that suffer from something.
func (w *wires) drop(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c, h := range w.open {
		if all || h.strike != "" {
			end(c, true)
		}
	}
}

func (w *wires) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_ = w.listener.Close()
	w.drop(true)
	w.group.Wait()
}

func (w *wires) carry(client net.Conn) {
	w.mu.Lock()
	h, _ := w.meet.draw(w.random)
	closed := w.closed
	w.open[client] = h
	w.mu.Unlock()
	defer func() {
		end(client, true)
		w.mu.Lock()
		delete(w.open, client)
		w.mu.Unlock()
	}()
	time.Sleep(h.delay)
	server, err := net.Dial("tcp", w.target)
	if closed || err != nil {
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		h.pump(client, server, true)
	}()
	h.pump(server, client, false)
	<-up
}

// pump passes bytes on, up or down, until the hazard strikes or either side ends, and
// ends both.
func (h hazard) pump(from, to net.Conn, up bool) {
	hard := true
	defer func() {
		end(from, hard)
		end(to, hard)
	}()
	buffer := make([]byte, 16<<10)
	for passed := 0; ; {
		n, err := from.Read(buffer)
		struck := h.strike != "" && h.up == up && passed <= h.after && passed+n > h.after
		switch {
		case struck && h.strike == corrupt:
			buffer[h.after-passed] ^= 0x55
		case struck:
			n = h.after - passed
		}
		passed += n
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
		switch {
		case struck && h.strike == stall:
			_, _ = io.Copy(io.Discard, from)
			return
		case struck && h.strike == cut:
			time.Sleep(time.Millisecond) // a reset overtakes what was sent before it
			return
		case err != nil:
			hard = errors.Is(err, syscall.ECONNRESET)
			return
		}
	}
}

// end closes the connection, with a reset if it is hard. A second call is harmless.
func end(c net.Conn, hard bool) {
	if tcp, ok := c.(*net.TCPConn); ok && hard {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
