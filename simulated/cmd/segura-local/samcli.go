package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

const (
	samLimit = 2 * time.Minute  // of one call, which takes seconds
	samGrace = 20 * time.Second // to remove a container, before sam is ended
	samTail  = 30               // lines of its output in an error
)

// Both are sam's silence: it ends well where the function did not answer.
var (
	errNoAnswer   = errors.New("it gave no answer of the function")
	errNotStarted = errors.New("it did not start the function")
)

// started is in what sam writes once the emulator of the runtime, in the
// container, has an event to hand over.
const started = "START RequestId: "

// samCLI runs sam local.
type samCLI struct {
	path string
	args []string // of each subcommand
	env  []string
}

// command is a call of sam local. At its end sam is interrupted, as by Ctrl-C,
// since it removes its containers then.
func (c *samCLI) command(ctx context.Context, output *logTail, subcommand ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, c.path, append(append([]string{"local"}, subcommand...), c.args...)...)
	command.Env = c.env
	command.Stdout, command.Stderr = output, output
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = samGrace
	return command
}

// invoke sends the event in a file to a function. A function error is no error
// here.
func (c *samCLI) invoke(ctx context.Context, function, event string) (runtimeapi.Invocation, error) {
	ctx, cancel := context.WithTimeout(ctx, samLimit)
	defer cancel()
	var stdout bytes.Buffer
	var stderr logTail
	command := c.command(ctx, &stderr, "invoke", function, "--event", event)
	command.Stdout = &stdout
	begin := time.Now()
	if err := command.Run(); err != nil {
		return runtimeapi.Invocation{}, stderr.explain("sam local invoke", err)
	}
	inv := runtimeapi.Invocation{
		Payload: bytes.TrimSpace(stdout.Bytes()), Duration: time.Since(begin), Logs: stderr.linesFrom(0),
	}
	if !json.Valid(inv.Payload) {
		silence := errNotStarted
		if slices.ContainsFunc(inv.Logs, func(line string) bool { return strings.HasPrefix(line, started) }) {
			silence = errNoAnswer
		}
		return inv, stderr.explain("sam local invoke", fmt.Errorf("%w, but wrote %q", silence, inv.Payload))
	}
	var fault struct{ ErrorType, ErrorMessage *string }
	if json.Unmarshal(inv.Payload, &fault) == nil && fault.ErrorType != nil && fault.ErrorMessage != nil {
		inv.FunctionError, inv.ErrorType, inv.ErrorMessage = true, *fault.ErrorType, *fault.ErrorMessage
	}
	return inv, nil
}

// samAPI is a running sam local start-api.
type samAPI struct {
	url    string
	output logTail
	stop   func()
}

// startAPI starts it, and waits until it listens.
func (c *samCLI) startAPI(ctx context.Context) (*samAPI, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", port)
	api := &samAPI{url: "http://" + address}
	ctx, cancel := context.WithCancel(ctx)
	command := c.command(ctx, &api.output, "start-api", "--host", "127.0.0.1", "--port", port)
	if err := command.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("sam local start-api: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // it is always interrupted, or has said why
	}()
	api.stop = func() {
		cancel()
		<-ended
	}
	if err := listens(ctx, address, ended); err != nil {
		api.stop()
		return nil, api.output.explain("sam local start-api", err)
	}
	return api, nil
}

// listens waits until somebody listens.
func listens(ctx context.Context, address string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, samLimit)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		var dialer net.Dialer
		if connection, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			return connection.Close()
		}
		select {
		case <-ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// logTail keeps what a process writes.
type logTail struct{ stage.Buffer }

func (l *logTail) size() int { return len(l.String()) }

// linesFrom are the lines after so many bytes.
func (l *logTail) linesFrom(offset int) []string {
	return strings.Split(strings.Trim(l.String()[offset:], "\n"), "\n")
}

// explain puts the last lines beside an error.
func (l *logTail) explain(what string, err error) error {
	lines := l.linesFrom(0)
	lines = lines[max(len(lines)-samTail, 0):]
	return fmt.Errorf("%s: %w\n%s", what, err, printable(strings.Join(lines, "\n")))
}
