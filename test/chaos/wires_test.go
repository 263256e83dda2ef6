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
	rough  roughness
	open   map[net.Conn]hazard // the clients' sides
	closed bool
	made   int // connections since the start
}

// roughness says how many connections suffer, and what. The zero value is smooth.
type roughness struct {
	chance  float64
	hazards []hazard
}

// newRoughness draws some of the hazards.
func newRoughness(r *rand.Rand, from []hazard) roughness {
	rough := roughness{chance: chance(r)}
	for range 1 + r.IntN(3) {
		rough.hazards = append(rough.hazards, choose(r, from...))
	}
	return rough
}

func (r roughness) String() string {
	text := fmt.Sprintf("%v of", r.chance)
	for _, h := range r.hazards {
		text += fmt.Sprintf(" %s (%d/%d)", h.name, h.down, h.up)
	}
	return text
}

// hazard is what happens to one connection. The zero value is nothing.
type hazard struct {
	name  string
	codes []string // what an identifier may fail with because of it

	delay  time.Duration // before anything is passed on
	refuse bool          // reset at once
	silent bool          // nothing is passed on, ever
	down   int           // bytes from the server that pass before it strikes; 0: it does not
	up     int           // likewise from the client
	strike strike        // what happens then
	slow   time.Duration // between pieces from the server
}

type strike int

const (
	cut     strike = iota // both ends are reset
	stall                 // nothing passes any more
	corrupt               // one byte is changed
)

// hazards are what the wires can do.
func hazards(r *rand.Rand) []hazard {
	bytes := func(n int) int { return 1 + r.IntN(n) }
	late := []string{upstreamTimeout, deadline}
	silent := []string{upstreamTimeout, unreachable, deadline}
	broken := []string{unreachable, invalidResponse}
	all := append(late, broken...)
	return []hazard{
		{name: "refused", codes: broken[:1], refuse: true},
		{name: "silent", codes: silent, silent: true},
		{name: "30 ms late", codes: late, delay: 30 * time.Millisecond},
		{name: "250 ms late", codes: late, delay: 250 * time.Millisecond},
		{name: "slow", codes: late, slow: 10 * time.Millisecond},
		{name: "cut in the handshake", codes: broken[:1], down: bytes(1200)},
		{name: "cut later", codes: broken, down: 1200 + bytes(4000)},
		{name: "cut on the way up", codes: broken, up: bytes(2500)},
		{name: "stalled in the handshake", codes: silent, down: bytes(1200), strike: stall},
		{name: "stalled later", codes: silent, down: 1200 + bytes(4000), strike: stall},
		{name: "stalled on the way up", codes: silent, up: bytes(2500), strike: stall},
		{name: "corrupted", codes: all, down: bytes(4000), strike: corrupt},
		{name: "corrupted on the way up", codes: all, up: bytes(2500), strike: corrupt},
	}
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
func (w *wires) become(r roughness) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rough = r
}

// drop resets the connections; all, or those that suffer from something.
func (w *wires) drop(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c, h := range w.open {
		if all || h.name != "" {
			end(c, true)
		}
	}
}

// connections are those made since the start.
func (w *wires) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

func (w *wires) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_ = w.listener.Close()
	w.drop(true)
	w.group.Wait()
}

// admit draws what happens to a connection.
func (w *wires) admit(client net.Conn) (h hazard) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	if w.random.Float64() < w.rough.chance {
		h = choose(w.random, w.rough.hazards...)
	}
	w.open[client] = h
	h.refuse = h.refuse || w.closed
	return h
}

func (w *wires) carry(client net.Conn) {
	h := w.admit(client)
	defer func() {
		end(client, true)
		w.mu.Lock()
		delete(w.open, client)
		w.mu.Unlock()
	}()
	if h.refuse {
		return
	}
	if h.silent {
		_, _ = io.Copy(io.Discard, client)
		return
	}
	time.Sleep(h.delay)
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		h.pump(client, server, h.up, 0)
	}()
	h.pump(server, client, h.down, h.slow)
	<-up
}

// pump passes bytes on until the hazard strikes or either side ends, and ends both.
func (h hazard) pump(from, to net.Conn, limit int, slow time.Duration) {
	hard := true
	defer func() {
		end(from, hard)
		end(to, hard)
	}()
	buffer := make([]byte, 16<<10)
	if slow > 0 {
		buffer = buffer[:512]
	}
	for passed := 0; ; time.Sleep(slow) {
		n, err := from.Read(buffer)
		struck := limit > 0 && passed+n > limit
		if struck && h.strike == corrupt {
			buffer[limit-passed] ^= 0x55
			struck, limit = false, 0
		} else if struck {
			n = limit - passed
		}
		passed += n
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
		if struck && h.strike == stall {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if struck {
			time.Sleep(time.Millisecond) // a reset overtakes what was sent before it
			return
		}
		if err != nil {
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
