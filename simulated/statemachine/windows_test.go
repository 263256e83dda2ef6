package statemachine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/simulated/statemachine"
)

// alarmErrors is the alarm of EventFunction's own metric, which Lambda counts.
const alarmErrors = "EventErrorsAlarm"

// world is one window with everything around it, and what disturbs it.
type world struct {
	t       *testing.T
	stack   *stage.Stack
	windows *statemachine.Windows
	window  *statemachine.Execution
	closing *statemachine.Execution

	mu     sync.Mutex
	calls  map[string]int // of the function, by action
	faults int            // function errors
}

// invocation is one call of the function on its way.
type invocation struct {
	action string
	n      int                            // which one of this action, from 1
	send   func() ([]byte, error)         // lets it through
	later  func() (reply []byte, _ error) // lets it through, though nobody waits any more
	ctx    context.Context
}

// run is [statemachine.Machine.Run], or that of another interpreter.
type run func(context.Context, string, []byte, statemachine.Services, ...func(*statemachine.Execution)) (*statemachine.Execution, error)

type disturbance func(w *world, call invocation) ([]byte, error)

func (w *world) disturb(d disturbance) {
	invoke := w.windows.Services.Invoke
	w.windows.Services.Invoke = func(ctx context.Context, payload []byte) ([]byte, error) {
		var document struct{ Action string }
		if err := json.Unmarshal(payload, &document); err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.calls[document.Action]++
		call := invocation{action: document.Action, n: w.calls[document.Action], ctx: ctx}
		w.mu.Unlock()
		call.send = func() ([]byte, error) { return invoke(ctx, payload) }
		call.later = func() ([]byte, error) { return invoke(context.WithoutCancel(ctx), payload) }
		if d == nil {
			d = pass
		}
		reply, err := d(w, call)
		if fault := (*statemachine.Error)(nil); errors.As(err, &fault) && strings.HasPrefix(fault.Name, "Segura.") {
			w.mu.Lock()
			w.faults++
			w.mu.Unlock()
		}
		return reply, err
	}
}

func pass(_ *world, call invocation) ([]byte, error) { return call.send() }

// failing lets the calls of an action from the first to the last fail, in front of
// the function.
func failing(action, name string, first, last int) disturbance {
	return func(_ *world, call invocation) ([]byte, error) {
		if call.action == action && call.n >= first && call.n <= last {
			return nil, &statemachine.Error{Name: name, Cause: `{"errorMessage":"` + madeUp + `","errorType":"` + name + `"}`}
		}
		return call.send()
	}
}

// madeUp is the result document of a function error that the function never sent.
const madeUp = `{\"outcome\":\"failed\",\"requested\":2,\"enabled\":0,\"already_enabled\":0,\"failed\":2,\"results\":[]}`

// silent lets the first call of an action through and never answers it.
func silent(action string) disturbance {
	return func(_ *world, call invocation) ([]byte, error) {
		if call.action == action && call.n == 1 {
			_, _ = call.send()
			<-call.ctx.Done()
			return nil, context.Cause(call.ctx)
		}
		return call.send()
	}
}

// lateEnable times out the enabling, and lets it happen after the first disable.
func lateEnable(action string) disturbance {
	var late func() ([]byte, error)
	return func(_ *world, call invocation) ([]byte, error) {
		if call.action == "enable" {
			late = call.later
			return nil, &statemachine.Error{Name: action}
		}
		reply, err := call.send()
		if late != nil {
			_, _ = late()
			late = nil
		}
		return reply, err
	}
}

// both has one disturbance after another.
func both(one, other disturbance) disturbance {
	return func(w *world, call invocation) ([]byte, error) {
		let := call.send
		call.send = func() ([]byte, error) { c := call; c.send = let; return other(w, c) }
		return one(w, call)
	}
}

// fault is a row of the table: what is done to a window, and what has to come of it.
type fault struct {
	name    string
	input   string // %s: in a minute
	disturb disturbance
	segura  func(*seguratest.Server)
	stopAt  string // the state in which the window is stopped
	metrics bool   // PutMetricData is denied

	status  statemachine.Status
	err     string
	closing statemachine.Status // of the execution that the rule has started; empty: none
	passes  string              // a state that one of the executions must enter
	active  []int64             // after it all
	alarms  string
	real    bool // with the clock of this machine

	timesOut bool // a call takes longer than its TimeoutSeconds
}

const hour = `{"identifiers":[5,"100"],"for":"PT1H","reason":"CHG0012345"}`

var faults = []fault{
	{name: "nothing, for two seconds by the clock", input: `{"identifiers":[5],"for":"PT2S"}`, real: true, status: statemachine.Succeeded},
	{name: "nothing, until a time", input: `{"identifiers":["5"],"until":"%s","caller":"arn:aws:iam::123456789012:role/operations"}`, status: statemachine.Succeeded},
	{name: "nothing, for one hour", input: hour, status: statemachine.Succeeded},
	{name: "it was enabled before", input: `{"identifiers":[5,6],"for":"PT1H"}`, status: statemachine.Succeeded},

	{name: "one of them does not exist", input: `{"identifiers":[5,7],"for":"PT1H"}`, status: statemachine.Succeeded, passes: "LeaveOutNeverEnabled", alarms: alarmErrors},
	{name: "one of them may not be touched, one is not allowed", input: `{"identifiers":[5,8,1000],"for":"PT1H"}`, status: statemachine.Succeeded, alarms: alarmErrors},
	{name: "none of them exists", input: `{"identifiers":[7],"for":"PT1H"}`, status: statemachine.Failed, err: "Segura.WindowNotOpened", closing: statemachine.Succeeded, passes: "NothingToClose", alarms: alarmErrors + " " + statemachine.AlarmFailed},
	{name: "enabling: Segura answers 500 for one, each time", input: hour, segura: broken(seguratest.KindEnable, 5), status: statemachine.Succeeded, passes: "WaitToEnableAgain", alarms: alarmErrors},
	{name: "enabling: Segura answers 500 for all, each time", input: `{"identifiers":[5],"for":"PT1H"}`, segura: broken(seguratest.KindEnable, 5), status: statemachine.Failed, err: "Segura.WindowNotOpened", closing: statemachine.Succeeded, passes: "WaitToSettle", alarms: alarmErrors + " " + statemachine.AlarmFailed},
	{name: "enabling: fails once, then works", input: hour, disturb: failing("enable", "Segura.TransientError", 1, 1), status: statemachine.Succeeded, passes: "WaitToEnableAgain", alarms: alarmErrors},
	{name: "enabling: Lambda throttles it once", input: hour, disturb: failing("enable", "Lambda.TooManyRequestsException", 1, 1), status: statemachine.Succeeded, passes: "WaitToEnableAgain"},
	{name: "enabling: Lambda never runs it", input: hour, disturb: failing("enable", "Lambda.AWSLambdaException", 1, 99), status: statemachine.Failed, err: "Segura.WindowNotOpened", closing: statemachine.Succeeded, alarms: statemachine.AlarmFailed},
	{name: "enabling: done, but the answer never comes", input: `{"identifiers":[5],"for":"PT2S"}`, timesOut: true, disturb: silent("enable"), status: statemachine.Failed, err: "Segura.WindowNotOpened", closing: statemachine.Succeeded, passes: "WaitToSettle", alarms: statemachine.AlarmFailed},
	{name: "enabling: times out, and happens after the disabling", input: `{"identifiers":[5],"for":"PT5S"}`, disturb: lateEnable("States.Timeout"), status: statemachine.Failed, err: "Segura.WindowNotOpened", closing: statemachine.Succeeded, passes: "WaitToSettle", alarms: statemachine.AlarmFailed},
	{name: "enabling: the function refuses the request", input: hour, disturb: failing("enable", "Segura.InvalidRequest", 1, 99), status: statemachine.Failed, err: "Segura.InvalidRequest", closing: statemachine.Succeeded, passes: "NothingToClose", alarms: alarmErrors + " " + statemachine.AlarmFailed},

	{name: "disabling: fails ten times, then works", input: hour, disturb: failing("disable", "Segura.TransientError", 1, 10), status: statemachine.Succeeded, passes: "ReportOverdue", alarms: alarmErrors + " " + statemachine.AlarmOverdue},
	{name: "disabling: refused for hours, as the credentials are wrong", input: hour, disturb: failing("disable", "Segura.PermanentError", 1, 120), status: statemachine.Succeeded, passes: "ReportOverdue", alarms: alarmErrors + " " + statemachine.AlarmOverdue},
	{name: "disabling: Lambda throttles it three times", input: hour, disturb: failing("disable", "Lambda.TooManyRequestsException", 1, 3), status: statemachine.Succeeded},
	{name: "disabling: the role may not invoke the function, and not report it", input: hour, disturb: failing("disable", "Lambda.AWSLambdaException", 1, 12), metrics: true, status: statemachine.Failed, err: "Segura.WindowNotClosed", closing: statemachine.Succeeded, passes: "IsAlarmRaised", alarms: statemachine.AlarmFailed},
	{name: "disabling: one of them keeps failing", input: hour, segura: broken(seguratest.KindDisable, 100), status: statemachine.Failed, err: "Segura.WindowNotClosed", closing: statemachine.Failed, active: []int64{100}, alarms: alarmErrors + " " + statemachine.AlarmFailed + " " + statemachine.AlarmOverdue},
	{name: "disabling: never works, as long as it is tried", input: hour, disturb: failing("disable", "States.Timeout", 1, 1<<30), status: statemachine.Failed, err: "Segura.WindowNotClosed", closing: statemachine.Failed, active: []int64{5, 100}, alarms: statemachine.AlarmFailed + " " + statemachine.AlarmOverdue},
	{name: "disabling: an error that no one can catch", input: hour, disturb: failing("disable", "States.Runtime", 1, 1), status: statemachine.Failed, err: "States.Runtime", closing: statemachine.Succeeded, alarms: statemachine.AlarmFailed},
	{name: "both: enabling times out late, disabling fails ten times", input: `{"identifiers":[5],"for":"PT5S"}`, disturb: both(failing("disable", "Segura.TransientError", 1, 10), lateEnable("States.Timeout")), status: statemachine.Failed, err: "Segura.WindowNotOpened", closing: statemachine.Succeeded, alarms: alarmErrors + " " + statemachine.AlarmFailed + " " + statemachine.AlarmOverdue},

	{name: "stopped while it waits for its end", input: hour, stopAt: "WaitForEnd", status: statemachine.Aborted, closing: statemachine.Succeeded, alarms: statemachine.AlarmStopped},
	{name: "stopped while it enables, which happens after the disabling", input: hour, stopAt: "Enable", disturb: lateEnable("States.Timeout"), status: statemachine.Aborted, closing: statemachine.Succeeded, passes: "WaitToSettle", alarms: statemachine.AlarmStopped},
	{name: "stopped while it disables", input: hour, stopAt: "Disable", status: statemachine.Aborted, closing: statemachine.Succeeded, alarms: statemachine.AlarmStopped},
	{name: "stopped, and then disabling fails ten times", input: hour, stopAt: "WaitForEnd", disturb: failing("disable", "Segura.TransientError", 1, 10), status: statemachine.Aborted, closing: statemachine.Succeeded, alarms: alarmErrors + " " + statemachine.AlarmOverdue + " " + statemachine.AlarmStopped},
}

func broken(kind seguratest.Kind, identifier int64) func(*seguratest.Server) {
	return func(s *seguratest.Server) {
		s.Fail(seguratest.Match{Kind: kind, Identifier: identifier}, seguratest.Unexpected500(), 1<<30)
	}
}

// TestWindow_isNeverLeftOpenWithoutAnAlarm goes through the table, and prints it
// as it came out of the runs.
func TestWindow_isNeverLeftOpenWithoutAnAlarm(t *testing.T) {
	throughTheTable(t, load(t, "window", statemachine.WindowValues()).Run, true)
}

// TestWindow_isTheSameToAnotherInterpreter goes through it with one that is not
// ours, where the environment names a Python that has it: see make check-statemachines.
func TestWindow_isTheSameToAnotherInterpreter(t *testing.T) {
	python := os.Getenv("STATEMACHINES_PYTHON")
	if python == "" {
		t.Skip("STATEMACHINES_PYTHON is not set")
	}
	throughTheTable(t, interpreter(t, python).Run, false)
}

func interpreter(t *testing.T, python string) *statemachine.Interpreter {
	t.Helper()
	root, err := stage.Root()
	if err != nil {
		t.Fatal(err)
	}
	definition, err := statemachine.Definition(root, "window", statemachine.WindowValues())
	if err != nil {
		t.Fatal(err)
	}
	other, err := statemachine.StartInterpreter(t.Context(), python, filepath.Join(root, "tools", "statemachines", "interpret.py"), definition)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	return other
}

func throughTheTable(t *testing.T, run run, ours bool) {
	stack := start(t, stage.Options{Env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(columns, "fault\twindow\tclosing\tstill enabled\talarms")
	for _, row := range faults {
		if !ours && (row.stopAt != "" || row.timesOut || row.err == "States.Runtime") {
			continue // what the other one cannot do
		}
		t.Run(row.name, func(t *testing.T) {
			if err := stack.Reset(); err != nil {
				t.Fatal(err)
			}
			w := row.run(t, stack, run)
			row.judge(t, w)
			_, _ = fmt.Fprintf(columns, "%s\t%s %s\t%s\t%v\t%s\n", row.name, w.window.Status, w.window.Error, w.closed(), w.active(), w.alarms())
		})
	}
	_ = columns.Flush()
	t.Log("\n" + table.String())
}

func (f fault) run(t *testing.T, stack *stage.Stack, run run) *world {
	w := &world{t: t, stack: stack, windows: windows(t, stack), calls: map[string]int{}}
	w.windows.Run = run
	if f.real {
		w.windows.Services.Clock = statemachine.RealClock{}
	}
	stack.Segura.SetActive(6, strings.Contains(f.input, "[5,6]"))
	if f.segura != nil {
		f.segura(stack.Segura)
	}
	if f.metrics {
		w.windows.Services.Call = func(context.Context, string, any) (any, error) {
			return nil, &statemachine.Error{Name: "CloudWatch.CloudWatchException", Cause: "denied"}
		}
	}
	w.disturb(f.disturb)
	var window *statemachine.Execution
	w.windows.Services.Watch = func(e statemachine.Event) {
		if e.What == statemachine.Entered && e.State == f.stopAt {
			window.Stop()
		}
	}
	input := f.input
	if strings.Contains(input, "%s") {
		input = fmt.Sprintf(input, inAMinute())
	}
	var err error
	w.window, w.closing, err = w.windows.Open(t.Context(), "5d2a8f0e", []byte(input), func(x *statemachine.Execution) { window = x })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (f fault) judge(t *testing.T, w *world) {
	t.Helper()
	compare := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	compare("status", w.window.Status, f.status)
	compare("error", w.window.Error, f.err)
	compare("closing", w.closed(), string(f.closing))
	compare("still enabled", w.active(), fmt.Sprint(f.active))
	compare("alarms", w.alarms(), f.alarms)
	entered := w.window.States()
	if w.closing != nil {
		entered = append(entered, w.closing.States()...)
	}
	if f.passes != "" && !slices.Contains(entered, f.passes) {
		t.Errorf("states: got %v, want %s among them", entered, f.passes)
	}
	if w.active() != "[]" && w.alarms() == "" {
		t.Errorf("%v is enabled past the end of the window, and no alarm tells", w.active())
	}
}

func (w *world) closed() string {
	if w.closing == nil {
		return ""
	}
	return string(w.closing.Status)
}

// active are the API secrets of the sample that are enabled.
func (w *world) active() string {
	all := []int64{}
	for identifier, state := range w.stack.Segura.States() {
		if state.Active {
			all = append(all, identifier)
		}
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// alarms are those of the machines, and that for the function's errors.
func (w *world) alarms() string {
	all := w.windows.Alarms()
	if w.faults > 0 {
		all = append([]string{alarmErrors}, all...)
	}
	return strings.Join(all, " ")
}
