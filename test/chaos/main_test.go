package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"segura-enable/simulated/stage"
)

// Words of the stage.
const (
	api   = stage.API
	event = stage.Event
)

var (
	firstSeed   = flag.Uint64("chaos.seed", 1, "seed of the first world; the next has the next number")
	invocations = flag.Int("chaos.invocations", 0, "run worlds until there were so many invocations; 0: the fixed worlds of go test")
	withRace    = flag.Bool("chaos.race", false, "compile the functions with the race detector, whose reports are no JSON and so fail the test")
)

// What all worlds share.
var (
	bootstraps map[string]string // the compiled functions, by name
	machine    *meter
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "12") // they wait far more than they compute
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var o stage.BuildOptions
	if *withRace {
		o.Flags, o.Env = []string{"-race"}, []string{"CGO_ENABLED=1"}
	}
	if bootstraps, err = stage.Build(context.Background(), dir, o, api, event); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	machine = startMeter(context.Background())
	return m.Run()
}
