package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell is a command that a shell runs as make does, with this test program for "$0".
func shell(t *testing.T, script, args, temporary string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c", script, self(t))
	command.Env = append(os.Environ(), commandLine+"="+args, compiled+"="+encoded(t), "TMPDIR="+temporary)
	return command
}

func TestServe_endsWithWhatStartedItAndLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(shell *os.Process) error{
		"make is killed":         func(shell *os.Process) error { return shell.Kill() },
		"the terminal closes":    func(shell *os.Process) error { return syscall.Kill(-shell.Pid, syscall.SIGHUP) },
		"somebody types ^C":      func(shell *os.Process) error { return syscall.Kill(-shell.Pid, syscall.SIGINT) },
		"somebody terminates it": func(shell *os.Process) error { return syscall.Kill(-shell.Pid, syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			command := shell(t, `"$0"; exit $?`, "serve -port 0", temporary)
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
			lines := bufio.NewReader(read)
			for line := ""; !strings.Contains(line, "curl -X POST"); {
				if line, err = lines.ReadString('\n'); err != nil {
					t.Fatalf("it does not start: %v", err)
				}
			}

			if err := end(command.Process); err != nil {
				t.Fatal(err)
			}

			// The functions have the same output: it ends when all of them have.
			if text, err := io.ReadAll(lines); err != nil {
				t.Errorf("it has not ended: %v\n%s", err, text)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("%v is left in the temporary folder (%v)", left, err)
			}
		})
	}
}

func TestRun_withoutAReaderLeavesNothing(t *testing.T) {
	temporary := t.TempDir()

	out, err := shell(t, `"$0" | head -n 1`, "run", temporary).CombinedOutput()

	if left, _ := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("got %v, and %v is left: %s", err, left, out)
	}
}

func TestRun_endsWhileItWaitsForAnEvent(t *testing.T) {
	in, typing := io.Pipe() // nobody types anything
	defer typing.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()

	code := command(ctx, []string{"run", "-"}, terminal{in: in, out: io.Discard, err: io.Discard, bootstraps: bootstraps})

	if code != exitFailed {
		t.Errorf("got exit code %d, want %d", code, exitFailed)
	}
}
