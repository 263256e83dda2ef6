package chaos

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"segura-enable/simulated/stage"
)

// Words of the stage.
const (
	api        = stage.API
	event      = stage.Event
	secretName = stage.SecretName
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
	bootstraps = map[bool]map[string]string{} // the compiled functions, by whether their clock can be moved and by name
	scratch    string                         // a folder for sockets
	made       atomic.Int64                   // worlds
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
		if err := build(context.Background(), filepath.Join(scratch, strconv.FormatBool(clock)), clock); err != nil {
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
// machine and with the overlay.
func build(ctx context.Context, dir string, clock bool) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	files, err := overlay(dir, clock)
	if err != nil {
		return err
	}
	o := stage.BuildOptions{Overlay: files}
	if *withRace {
		o.Flags, o.Env = []string{"-race"}, []string{"CGO_ENABLED=1"}
	}
	bootstraps[clock], err = stage.Build(ctx, dir, o, api, event)
	return err
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
