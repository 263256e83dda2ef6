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

// errSilent: sam ends well where the function did not answer.
var errSilent = errors.New("it gave no answer of the function")

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
	inv := runtimeapi.Emulated(bytes.TrimSpace(stdout.Bytes()))
	inv.Duration, inv.Logs = time.Since(begin), stderr.linesFrom(0)
	if !json.Valid(inv.Payload) {
		return inv, stderr.explain("sam local invoke", fmt.Errorf("%w, but wrote %q", errSilent, inv.Payload))
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
	address, err := stage.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(address, ":")
	api := &samAPI{url: "http://" + address}
	ctx, cancel := context.WithCancel(ctx)
	command := c.command(ctx, &api.output, "start-api", "--host", host, "--port", port)
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
	limit := time.After(samLimit)
	for {
		if connection, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			return api, connection.Close()
		}
		select {
		case <-time.After(100 * time.Millisecond):
			continue
		case <-ended:
			err = errors.New("it has ended")
		case <-limit:
			err = errors.New("it does not listen")
		}
		api.stop()
		return nil, api.output.explain("sam local start-api", err)
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
