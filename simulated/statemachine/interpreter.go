package statemachine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// Interpreter executes a definition in tools/statemachines/interpret.py, an
// interpreter that is not ours. It takes one execution after another; stopping one,
// and a [Clock], it does not know.
type Interpreter struct {
	definition []byte
	command    *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Reader
	mu         sync.Mutex
}

// StartInterpreter starts the interpreter with a Python that has what
// tools/statemachines/requirements.txt lists. It runs until Close, or until ctx ends.
func StartInterpreter(ctx context.Context, python, script string, definition []byte) (*Interpreter, error) {
	i := &Interpreter{definition: definition, command: exec.CommandContext(ctx, python, script)}
	var faults [3]error
	var out io.Reader
	i.in, faults[0] = i.command.StdinPipe()
	out, faults[1] = i.command.StdoutPipe()
	faults[2] = i.command.Start()
	if err := errors.Join(faults[:]...); err != nil {
		return nil, fmt.Errorf("start %s: %w", script, err)
	}
	i.out = bufio.NewReader(out)
	return i, nil
}

// Close ends the interpreter.
func (i *Interpreter) Close() error {
	return errors.Join(i.in.Close(), i.command.Wait())
}

// interpreted is a line of the interpreter: a call, or the end of the execution.
type interpreted struct {
	Call    bool
	Action  string
	Payload json.RawMessage

	Fault                string
	Status               Status
	Error, Cause, Output string
	States               []string
	Started, Stopped     float64 // seconds since 1970
}

// Run is [Machine.Run] by the other interpreter.
func (i *Interpreter) Run(ctx context.Context, name string, input []byte, services Services, _ ...func(*Execution)) (*Execution, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	job := map[string]string{"definition": string(i.definition), "name": name, "input": string(input)}
	if err := json.NewEncoder(i.in).Encode(job); err != nil {
		return nil, fmt.Errorf("hand over an execution: %w", err)
	}
	for {
		text, err := i.out.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("read the interpreter's line: %w", err)
		}
		var line interpreted
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("the interpreter says %q: %w", text, err)
		}
		switch {
		case line.Fault != "":
			return nil, errors.New("the interpreter: " + line.Fault)
		case !line.Call:
			return line.execution(name, input), nil
		}
		if err := i.answer(ctx, line, services); err != nil {
			return nil, err
		}
	}
}

// answer makes a call for the interpreter, and tells it what came of it.
func (i *Interpreter) answer(ctx context.Context, line interpreted, services Services) error {
	var reply json.RawMessage
	var err error
	if line.Action == "invoke" {
		reply, err = services.Invoke(ctx, line.Payload)
	} else if services.Call != nil {
		_, err = services.Call(ctx, line.Action, line.Payload)
	}
	answer := map[string]any{"result": reply}
	if reply == nil {
		answer["result"] = map[string]any{}
	}
	if fault := (*Error)(nil); errors.As(err, &fault) {
		answer = map[string]any{"error": fault.Name, "cause": fault.Cause}
	} else if err != nil {
		return err
	}
	if err := json.NewEncoder(i.in).Encode(answer); err != nil {
		return fmt.Errorf("answer a call: %w", err)
	}
	return nil
}

func (l interpreted) execution(name string, input []byte) *Execution {
	x := &Execution{
		Name: name, ARN: executionARN(name), Input: input, Status: l.Status, Error: l.Error, Cause: l.Cause,
		Output:  json.RawMessage(l.Output),
		Started: time.UnixMilli(int64(l.Started * 1000)), Stopped: time.UnixMilli(int64(l.Stopped * 1000)),
	}
	for _, state := range l.States {
		x.history = append(x.history, Event{State: state, What: Entered})
	}
	return x
}
