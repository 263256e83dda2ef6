// Command supervise runs a command for make: the command, with whatever it started,
// ends when make does, also when make is killed, which passes no signal on, or when its
// terminal closes. The temporary folder of the command is one of its own that goes with
// it. It reads nothing from the terminal.
//
//	supervise COMMAND [ARGUMENT...]
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// grace is what an interrupted command has to clean up before it is killed.
const grace = 20 * time.Second

func main() {
	code, err := supervise(os.Args[1], os.Args[2:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervise:", err)
	}
	os.Exit(code)
}

// supervise returns the command's exit code; 1 if it was ended or cannot be run.
func supervise(name string, args ...string) (int, error) {
	parent := os.Getppid()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	folder, err := os.MkdirTemp("", "make")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "TMPDIR="+folder)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return 1, err
	}
	group := -command.Process.Pid
	defer func() { _ = syscall.Kill(group, syscall.SIGKILL) }() // what it left running
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // its exit code tells
	}()
	watch := time.NewTicker(200 * time.Millisecond)
	defer watch.Stop()
	for {
		select {
		case <-ended:
			return exitCode(command.ProcessState), nil
		case <-watch.C:
			if os.Getppid() == parent {
				continue
			}
		case <-interrupted:
		}
		_ = syscall.Kill(group, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(grace):
		}
		return 1, nil
	}
}

// exitCode is 1 for a command that a signal ended.
func exitCode(state *os.ProcessState) int {
	if code := state.ExitCode(); code >= 0 {
		return code
	}
	return 1
}
