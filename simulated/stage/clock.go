package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// ClockOverlay is what functions are compiled with where a [Clock] is to move their wall
// clock: testdata/clock.go, and a copy of Go's time package, written into dir, whose
// time.Now adds a variable to the wall clock and leaves the monotonic one alone.
func ClockOverlay(ctx context.Context, dir string, functions ...string) (map[string]string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go's sources: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return nil, fmt.Errorf("read Go's time package: %w", err)
	}
	const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(source), reading, reading+"\tsec += Ahead.Load()\n", 1)
	changed = strings.Replace(changed, "\"math/bits\"\n", "\"math/bits\"\n\t\"sync/atomic\"\n", 1) + "\nvar Ahead atomic.Int64\n"
	if !strings.Contains(changed, "Ahead.Load()") {
		return nil, errors.New(original + " has changed: the clock cannot be replaced")
	}
	replacement := filepath.Join(dir, "time.go")
	overlay := map[string]string{original: replacement}
	for _, function := range functions {
		overlay["functions/"+function+"/clock.go"] = "simulated/stage/testdata/clock.go"
	}
	return overlay, os.WriteFile(replacement, []byte(changed), 0o600)
}

// Clock moves the wall clock of one process at a time, and of those that come after it.
// Its methods may be called at once.
type Clock struct {
	Socket string // a path that nothing has yet; at most some 100 bytes

	seconds atomic.Int64
}

// Env is what tells a function of its clock.
func (c *Clock) Env() map[string]string { return map[string]string{"STAGE_CLOCK": c.Socket} }

// Ahead is by how much the clock is ahead of this machine's.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.seconds.Load()) * time.Second }

// Now is what time it is by the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Ahead()) }

// moving is how long a process may take to move its clock.
const moving = 10 * time.Second

// Move moves the clock by whole seconds, also where no process listens: the next one begins with it.
func (c *Clock) Move(ctx context.Context, by time.Duration) error {
	seconds := strconv.FormatInt(c.seconds.Add(int64(by/time.Second)), 10)
	if err := os.WriteFile(c.Socket+".ahead", []byte(seconds), 0o600); err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil // the process is gone; the next one reads the file
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(moving))
	_, _ = fmt.Fprintln(conn, seconds)
	_, _ = bufio.NewReader(conn).ReadString('\n') // an error says that it has just ended
	return nil
}
