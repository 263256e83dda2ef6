package chaos

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// overlay is what is compiled besides, or instead of, what is in the folders:
// testdata/surroundings.go into both functions and, where the clock is to be moved,
// Go's time package with a wall clock that can be.
func overlay(dir string, clock bool) (map[string]string, error) {
	replace := map[string]string{}
	set := "noclock.go"
	if clock {
		set = "clock.go"
		if err := replaceClock(dir, replace); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{api, event} {
		for _, file := range []string{"surroundings.go", set} {
			replace["functions/"+name+"/chaos_"+file] = "test/chaos/testdata/" + file
		}
	}
	return replace, nil
}

// replaceClock makes a copy of Go's time package whose time.Now adds a variable
// to the wall clock and leaves the monotonic one alone.
func replaceClock(dir string, replace map[string]string) error {
	where, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	original := filepath.Join(strings.TrimSpace(string(where)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(source), reading, reading+"\tsec += ChaosAhead.Load()\n", 1)
	changed = strings.Replace(changed, "\"math/bits\"\n", "\"math/bits\"\n\t\"sync/atomic\"\n", 1) + "\nvar ChaosAhead atomic.Int64\n"
	if !strings.Contains(changed, "ChaosAhead.Load()") {
		return fmt.Errorf("%s has changed: the clock cannot be replaced", original)
	}
	replace[original] = filepath.Join(dir, "time.go")
	return os.WriteFile(replace[original], []byte(changed), 0o600)
}

// moveClock moves the wall clock of the function, and of those that come after it.
func (w *world) moveClock(by time.Duration) {
	w.ahead += by
	seconds := strconv.FormatInt(int64(w.ahead/time.Second), 10)
	_ = os.WriteFile(w.clock+".ahead", []byte(seconds), 0o600)
	c, err := net.Dial("unix", w.clock)
	if err != nil {
		return // the process is gone; the next one reads the file
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(grace))
	_, _ = fmt.Fprintln(c, seconds)
	_, _ = bufio.NewReader(c).ReadString('\n')
}

// seguraName is what Segura is called in worlds with names.
const seguraName = "segura.chaos.test"

// names is a server that resolves it, over UDP.
type names struct {
	connection net.PacketConn
	group      sync.WaitGroup
	done       chan struct{}

	mu      sync.Mutex
	random  *rand.Rand
	trouble trouble
}

// trouble is what happens to some of the questions. The zero value is none.
type trouble struct {
	chance float64
	late   time.Duration
	answer byte // a response code, or silence or noise
}

const (
	serverFailure = 2
	noSuchName    = 3
	silence       = 100
	noise         = 101
)

func startNames(random *rand.Rand) (*names, error) {
	connection, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &names{connection: connection, random: random, done: make(chan struct{})}
	n.group.Go(func() {
		buffer := make([]byte, 1<<10)
		for {
			size, from, err := connection.ReadFrom(buffer)
			if err != nil {
				return
			}
			question := append([]byte(nil), buffer[:size]...)
			t := n.meets()
			n.group.Go(func() {
				select {
				case <-time.After(t.late):
				case <-n.done:
				}
				if answer := t.reply(question); answer != nil {
					_, _ = connection.WriteTo(answer, from)
				}
			})
		}
	})
	return n, nil
}

func (n *names) become(t trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble = t
}

func (n *names) meets() trouble {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.random.Float64() < n.trouble.chance {
		return n.trouble
	}
	return trouble{}
}

func (n *names) close() {
	close(n.done)
	_ = n.connection.Close()
	n.group.Wait()
}

// reply answers one question (RFC 1035, 4.1): 127.0.0.1 for Segura's name and type
// A, nothing for another type, and that there is no other name.
func (t trouble) reply(question []byte) []byte {
	const header = 12
	end := header
	var labels []string
	for end < len(question) && question[end] != 0 {
		next := end + 1 + int(question[end])
		labels = append(labels, string(question[end+1:min(next, len(question))]))
		end = next
	}
	end += 5 // the name's end, type and class
	if end > len(question) || t.answer == silence {
		return nil
	}
	answer := append([]byte(nil), question[:end]...)
	if t.answer == noise {
		return append(answer[:2], strings.Repeat("\xff", 40)...)
	}
	code := t.answer
	if code == 0 && !strings.EqualFold(strings.Join(labels, "."), seguraName) {
		code = noSuchName
	}
	clear(answer[4:header])
	answer[2], answer[3], answer[5] = 0x81, 0x80|code, 1 // a recursive answer to one question
	if asked := binary.BigEndian.Uint16(question[end-4:]); code == 0 && asked == 1 {
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return answer
}
