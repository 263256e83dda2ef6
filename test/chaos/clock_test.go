package chaos

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// overlay is what both functions are compiled with where their wall clock is to be
// moved: testdata/clock.go, and a copy of Go's time package whose time.Now adds a
// variable to the wall clock and leaves the monotonic one alone.
func overlay(dir string) (map[string]string, error) {
	where, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	original := filepath.Join(strings.TrimSpace(string(where)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return nil, err
	}
	const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(source), reading, reading+"\tsec += ChaosAhead.Load()\n", 1)
	changed = strings.Replace(changed, "\"math/bits\"\n", "\"math/bits\"\n\t\"sync/atomic\"\n", 1) + "\nvar ChaosAhead atomic.Int64\n"
	if !strings.Contains(changed, "ChaosAhead.Load()") {
		return nil, fmt.Errorf("%s has changed: the clock cannot be replaced", original)
	}
	replacement := filepath.Join(dir, "time.go")
	return map[string]string{
		original:                           replacement,
		"functions/" + api + "/clock.go":   "test/chaos/testdata/clock.go",
		"functions/" + event + "/clock.go": "test/chaos/testdata/clock.go",
	}, os.WriteFile(replacement, []byte(changed), 0o600)
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
