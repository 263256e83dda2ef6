package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised has this program be the supervisor instead of its own test.
const supervised = "SUPERVISE"

func TestMain(m *testing.M) {
	if os.Getenv(supervised) == "" {
		os.Exit(m.Run())
	}
	main()
}

// begin has make run the script, supervised, and returns make when the script has said
// that it started; what it and its children write after it ends with the last of them.
func begin(t *testing.T, temporary, script string) (command *exec.Cmd, out *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	makefile := filepath.Join(t.TempDir(), "Makefile")
	if err := os.WriteFile(makefile, []byte("all:\n\t@exec '"+self+"' sh -c '"+script+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command = exec.CommandContext(t.Context(), "make", "-f", makefile)
	command.Env = append(os.Environ(), supervised+"=yes", "TMPDIR="+temporary)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
		_ = read.Close()
	})
	_ = write.Close()
	_ = read.SetReadDeadline(time.Now().Add(30 * time.Second))
	out = bufio.NewReader(read)
	for {
		line, err := out.ReadString('\n')
		if line == "started\n" {
			return command, out
		}
		if err != nil {
			t.Fatalf("it does not start: %q, %v", line, err)
		}
	}
}

func TestSupervise_endsWithMakeAndLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(make *os.Process) error{
		"make is killed":           func(make *os.Process) error { return make.Kill() },
		"make is terminated":       func(make *os.Process) error { return make.Signal(syscall.SIGTERM) },
		"the terminal closes":      func(make *os.Process) error { return syscall.Kill(-make.Pid, syscall.SIGHUP) },
		"somebody types Control-C": func(make *os.Process) error { return syscall.Kill(-make.Pid, syscall.SIGINT) },
	} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			command, out := begin(t, temporary, `touch "$$TMPDIR/file"; sleep 300 & echo started; wait`)

			if err := end(command.Process); err != nil {
				t.Fatal(err)
			}

			if text, err := io.ReadAll(out); err != nil {
				t.Errorf("it has not ended: %v\n%s", err, text)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("%v is left in the temporary folder (%v)", left, err)
			}
		})
	}
}

func TestSupervise_passesTheExitCodeOnAndEndsWhatTheCommandLeft(t *testing.T) {
	temporary := t.TempDir()
	_, out := begin(t, temporary, `sleep 300 & echo started; exit 7`)

	text, err := io.ReadAll(out)

	if err != nil || !strings.Contains(string(text), "Error 7") {
		t.Errorf("got %q (%v), want make to tell of error 7", text, err)
	}
}
