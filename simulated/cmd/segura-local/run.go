package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// run is the subcommand of that name.
func run(ctx context.Context, args []string, t terminal) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	logs := flags.Bool("logs", false, "show the functions' log lines too")
	answers := flags.String("answers", "", "write what each sample is answered to this `file`, as JSON")
	if err := parse(flags, args, 1, t); err != nil {
		return err
	}
	r := newRunner(t, *logs)
	defer r.end()
	if flags.NArg() == 1 {
		return r.one(ctx, flags.Arg(0), t.in)
	}
	if err := r.samples(ctx); err != nil || *answers == "" {
		return err
	}
	document, err := json.Marshal(r.answers)
	if err == nil {
		err = os.WriteFile(*answers, document, 0o600)
	}
	return err
}

// runner sends events and shows what comes of them.
type runner struct {
	page       *page
	logs       bool
	bootstraps map[string]string // what need not be compiled
	workspace  string            // a folder, where there has to be one
	stack      *stage.Stack
	audited    bool              // an audit line was shown
	answers    map[string]answer // of the samples, by their files
}

// answer is what a function answered.
type answer struct {
	Function string          `json:"function"`
	Document json.RawMessage `json:"document"`
}

func newRunner(t terminal, logs bool) *runner {
	return &runner{page: &page{out: t.out, color: t.color}, logs: logs, bootstraps: t.bootstraps, answers: map[string]answer{}}
}

// end ends what start, or any of the like, has started.
func (r *runner) end() {
	if r.stack != nil {
		_ = r.stack.Close()
	}
	if r.workspace != "" {
		_ = os.RemoveAll(r.workspace)
	}
}

// start compiles and starts what is needed, and says so.
func (r *runner) start(ctx context.Context, functions ...string) (err error) {
	r.page.print(r.page.bold("The functions, on this machine, with a simulated Segura") + "\n")
	if r.bootstraps == nil {
		r.page.print("  " + r.page.faint("compiling …") + "\n")
		begin := time.Now()
		if r.workspace, err = os.MkdirTemp("", "segura-local"); err != nil {
			return fmt.Errorf("make a folder to compile to: %w", err)
		}
		if r.bootstraps, err = stage.Build(ctx, r.workspace, stage.BuildOptions{}, functions...); err != nil {
			return err
		}
		r.page.field("compiled", "in "+milliseconds(time.Since(begin)))
	}
	if r.stack, err = stage.Start(ctx, stage.Options{Functions: functions, Bootstraps: r.bootstraps}); err != nil {
		return err
	}
	var started []string
	for _, name := range functions {
		started = append(started, stage.FunctionName(name)+", ready in "+milliseconds(r.stack.Function(name).InitDuration()))
	}
	r.page.field("started", strings.Join(started, "\n"))
	r.page.field("Segura", r.stack.Segura.URL()+", simulated, with a private CA")
	r.page.field("secret", stage.SecretName+" at "+r.stack.Secrets.URL())
	return nil
}

// samples sends every sample and compares what comes of it.
func (r *runner) samples(ctx context.Context) error {
	begin := time.Now()
	if err := r.start(ctx, stage.Event, stage.API, stage.Window); err != nil {
		return err
	}
	err := r.each(begin, stage.Samples, func(at int) (stage.Exchange, error) {
		sample := stage.Samples[at]
		event, err := sample.Read()
		if err != nil {
			return stage.Exchange{}, err
		}
		x, err := r.stack.Send(ctx, sample.Function, event)
		r.answers[sample.File] = answer{stage.FunctionName(sample.Function), x.Invocation.Payload}
		return x, err
	})
	if err != nil {
		return err
	}
	return r.windows(ctx)
}

// each shows what comes of each sample, and compares it.
func (r *runner) each(begin time.Time, samples []stage.Sample, send func(at int) (stage.Exchange, error)) error {
	failed := 0
	for i, sample := range samples {
		if err := r.stack.Reset(); err != nil {
			return err
		}
		r.page.rule(fmt.Sprintf("%d/%d %s", i+1, len(samples), sample.File), sample.About)
		x, err := send(i)
		if err != nil {
			r.page.field("Segura", behind(x))
			return err
		}
		r.show(x)
		faults := sample.Faults(x)
		if len(faults) == 0 {
			r.page.field("took", took(x)+"   "+r.page.good("✓ as it should be"))
			continue
		}
		failed++
		r.page.field("took", took(x))
		for _, fault := range faults {
			r.page.field("", r.page.bad("✗ "+printable(fault)))
		}
	}
	r.page.printf("\n%s as they should be, %d not, in %s\n", plural(len(samples)-failed, "sample"),
		failed, milliseconds(time.Since(begin)))
	if failed > 0 {
		return fmt.Errorf("%s not as they should be", plural(failed, "sample"))
	}
	return nil
}

// one sends one event. It succeeds if the function answered, whatever it
// answered: a function error is an answer.
func (r *runner) one(ctx context.Context, file string, in io.Reader) error {
	event, err := r.readEvent(ctx, file, in)
	if err != nil {
		return err
	}
	function := stage.FunctionFor(event)
	if err := r.start(ctx, function); err != nil {
		return err
	}
	name, about := "standard input", "an event of yours"
	if file != "-" {
		name = filepath.Base(file)
	}
	if sample, ok := stage.SampleOf(file); ok {
		about = sample.About
	}
	r.page.rule(name, about)
	x, err := r.stack.Send(ctx, function, event)
	if err != nil {
		return err
	}
	r.show(x)
	r.page.field("took", took(x))
	if len(x.Leaks) > 0 {
		return fmt.Errorf("the function showed %s", strings.Join(x.Leaks, " and "))
	}
	_, err = x.Answer()
	return err
}

func (r *runner) readEvent(ctx context.Context, file string, in io.Reader) ([]byte, error) {
	if file != "-" {
		event, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the event: %w", err)
		}
		return event, nil
	}
	if terminal, ok := in.(*os.File); ok && isTerminal(terminal) {
		r.page.print("Type or paste an event (JSON), then Ctrl-D on a line of its own. Ctrl-C ends this.\n")
	}
	// Reading from a terminal does not end with the context.
	var event []byte
	read := make(chan error, 1)
	go func() {
		var err error
		event, err = io.ReadAll(in)
		read <- err
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-read:
		return event, err
	}
}

// show writes what went in, what Segura was asked and what came out.
func (r *runner) show(x stage.Exchange) {
	r.page.field("in", stage.FunctionName(x.Function)+" ← "+gist(x.Event))
	r.page.field("Segura", behind(x))
	answer, err := x.Answer()
	switch {
	case err != nil:
		r.page.field("out", r.page.bad(printable(err.Error())))
	case answer.ErrorType != "":
		r.page.field("out", "function error "+r.page.bold(answer.ErrorType)+"\n"+layOut(answer.Text))
	case answer.Status != 0:
		status := strings.TrimSpace(fmt.Sprint(answer.Status, " ", http.StatusText(answer.Status)))
		r.page.field("out", fmt.Sprintf("%s  %s\n%s", r.page.bold(status), answer.Header.Get("Content-Type"), layOut(answer.Text)))
	default:
		r.page.field("out", layOut(answer.Text))
	}
	if r.logs {
		r.page.field("log", printable(strings.Join(x.Invocation.Logs, "\n")))
	}
	for _, line := range x.Invocation.Logs {
		if strings.Contains(line, `"message":"audit"`) && !r.audited {
			r.audited = true
			r.page.field("audit", "each API secret leaves such a line in the log; this is the first:\n"+layOut([]byte(line)))
		}
	}
}

func took(x stage.Exchange) string { return milliseconds(x.Invocation.Duration) }

// behind says what Segura and Secrets Manager were asked, and what became of
// the API secrets.
func behind(x stage.Exchange) string {
	var lines []string
	if x.SecretReads > 0 {
		lines = append(lines, plural(x.SecretReads, "read")+" of the AWS secret")
	}
	const most = 20
	for i, request := range x.Requests {
		if i == most {
			lines = append(lines, fmt.Sprintf("… and %d requests more", len(x.Requests)-most))
			break
		}
		lines = append(lines, exchangeLine(request, x))
	}
	if len(lines) == 0 {
		return "was not asked"
	}
	return strings.Join(lines, "\n")
}

func exchangeLine(request seguratest.Request, x stage.Exchange) string {
	line := fmt.Sprintf("%-4s %s → %d", request.Method, printable(request.Path), request.Status)
	if request.Identifier == 0 {
		return line
	}
	before, known := x.Before[request.Identifier]
	state, after := stage.StateName(before), stage.StateName(x.After[request.Identifier])
	switch {
	case !known:
		state = "missing"
	case state != after:
		state += " → " + after
	case !before.Missing && !before.Forbidden:
		state += ", as before"
	}
	return line + "   " + state
}
