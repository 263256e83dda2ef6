package chaos

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// The functions, by the names of their folders.
const (
	api   = "api"
	event = "event"
)

var (
	firstSeed   = flag.Uint64("chaos.seed", 0, "seed of the first world; the next has the next number")
	invocations = flag.Int("chaos.invocations", 0, "run worlds until there were so many invocations; 0: the fixed worlds of go test")
	atOnce      = flag.Int("chaos.worlds", 8, "how many worlds run at once")
	withRace    = flag.Bool("chaos.race", false, "compile the functions with the race detector, whose reports are no JSON and so fail the test")
	talkative   = flag.Bool("chaos.verbose", false, "one line for each invocation")
)

// What all worlds share.
var (
	bootstraps = map[string]map[bool]string{api: {}, event: {}} // the compiled functions, by name and by whether their clock can be moved
	scratch    string                                           // a folder for sockets
	made       atomic.Int64                                     // worlds
	load       *meter
	trap       *trapDoor
	impostors  []impostor
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", "12") // they wait far more than they compute
	}
	var err error
	if scratch, err = os.MkdirTemp("", "chaos-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	for _, clock := range []bool{false, true} {
		if clock && (!full() || *invocations == 1 && !hasClock(*firstSeed)) {
			continue // it compiles the standard library once more
		}
		if err := build(filepath.Join(scratch, strconv.FormatBool(clock)), clock); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	load = startMeter(ctx)
	if trap, err = openTrap(); err == nil {
		impostors, err = startImpostors()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// build compiles both functions as they are compiled for Lambda, but for this
// machine and with the overlay; by one command, so that what they share is compiled
// once.
func build(dir string, clock bool) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	replace, err := overlay(dir, clock)
	if err != nil {
		return err
	}
	arguments := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-overlay", replace, "-o", dir + string(filepath.Separator)}
	cgo := "CGO_ENABLED=0"
	if *withRace {
		arguments, cgo = append(arguments, "-race"), "CGO_ENABLED=1"
	}
	command := exec.Command("go", append(arguments, "./functions/"+api, "./functions/"+event)...)
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), cgo, "GOFLAGS=")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the functions: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	for _, name := range []string{api, event} {
		bootstrap := filepath.Join(dir, name+".function", "bootstrap")
		if err := os.Mkdir(filepath.Dir(bootstrap), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, name), bootstrap); err != nil {
			return err
		}
		bootstraps[name][clock] = bootstrap
	}
	return nil
}

// trapDoor is where redirects lead to. Nobody may come.
type trapDoor struct {
	address string
	visits  atomic.Int64
}

func openTrap() (*trapDoor, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &trapDoor{address: listener.Addr().String()}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			t.visits.Add(1)
			_ = c.Close()
		}
	}()
	return t, nil
}
