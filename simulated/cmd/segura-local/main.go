// Command segura-local runs the functions of this repository on this machine,
// against a simulated Segura and a local Secrets Manager: no AWS account, no
// Segura, and, but for sam local, no container.
//
//	segura-local run              sends every sample of events/ and checks what comes of it
//	segura-local run FILE         sends one event; - reads it from standard input
//	segura-local serve            keeps the API function up behind http://127.0.0.1:3000
//	segura-local sam -- FLAGS     sends every sample through sam local, which needs containers
//	segura-local services         keeps Segura and Secrets Manager up for a sam local of yours
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something is not as it should be
	exitUsage  = 2
)

const usage = `Usage: segura-local COMMAND [flags]

Commands:
  run [FILE]   send every sample of events/, or the event in FILE (- is standard input)
  serve        keep the API function up behind HTTP until Ctrl-C
  services     keep Segura and Secrets Manager up, for a sam local of yours, until Ctrl-C
  sam          send every sample of events/ through sam local, whose flags follow after --

Run a command with -h for its flags.
`

// terminal is where the command reads from and writes to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	color    bool

	bootstraps map[string]string // functions that are compiled already, by name
}

// tell writes to standard error. Nothing is left to do where that fails.
func (t terminal) tell(format string, args ...any) { _, _ = fmt.Fprintf(t.err, format, args...) }

func main() {
	os.Exit(start(os.Args[1:], nil))
}

// start runs a command until it is done, somebody ends it, the terminal or whoever
// reads what it writes is gone, or the process that started it.
func start(args []string, bootstraps map[string]string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	color := isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" // https://no-color.org
	return command(untilOrphaned(ctx), args, terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, color: color, bootstraps: bootstraps})
}

// command runs one subcommand and returns the exit code.
func command(ctx context.Context, args []string, t terminal) int {
	if len(args) == 0 {
		t.tell(usage)
		return exitUsage
	}
	subcommands := map[string]func(context.Context, []string, terminal) error{"run": run, "serve": serve, "services": services, "sam": sam}
	subcommand := subcommands[args[0]]
	switch {
	case slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]):
		_, _ = io.WriteString(t.out, usage)
		return exitOK
	case subcommand == nil:
		t.tell("segura-local: there is no command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	err := subcommand(ctx, args[1:], t)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage // the flags have said why
	case ctx.Err() != nil:
		t.tell("segura-local: interrupted\n")
	default:
		t.tell("segura-local: %v\n", err)
	}
	return exitFailed
}

var errUsage = errors.New("usage")

// parse reads flags of a subcommand that takes at most so many arguments; -1 is
// any number.
func parse(flags *flag.FlagSet, args []string, most int, t terminal) error {
	flags.SetOutput(t.err)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if most >= 0 && flags.NArg() > most {
		t.tell("segura-local %s: too many arguments: %q\n", flags.Name(), flags.Args())
		return errUsage
	}
	return nil
}

// untilOrphaned ends the context when the process that started this one is gone: make
// passes no signal on when it is killed.
func untilOrphaned(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		defer cancel()
		for os.Getppid() == parent && ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond)
		}
	}()
	return ctx
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
