package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	changed = strings.Replace(changed, "\"math/bits\"\n", "\"math/bits\"\n\t\"sync/atomic\"\n", 1) + "\nvar Ahead = new(atomic.Int64)\n"
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

// Clock moves the wall clock of the processes that share its file. Its methods may be
// called at once.
type Clock struct {
	File string // by how many seconds it is ahead, as a number in memory; it need not be there

	seconds atomic.Int64
}

// Env is what tells a function of its clock.
func (c *Clock) Env() map[string]string { return map[string]string{"STAGE_CLOCK": c.File} }

// Ahead is by how much the clock is ahead of this machine's.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.seconds.Load()) * time.Second }

// Now is what time it is by the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Ahead()) }

// Move moves the clock by whole seconds: that of running processes at once.
func (c *Clock) Move(_ context.Context, by time.Duration) error {
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	defer func() { _ = file.Close() }()
	seconds := binary.NativeEndian.AppendUint64(nil, uint64(c.seconds.Add(int64(by/time.Second))))
	if _, err := file.WriteAt(seconds, 0); err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	return nil
}
