package chaos

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
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
	bootstraps = map[bool]map[string]string{} // the compiled functions, by whether their clock can be moved and by name
	scratch    string                         // a folder for sockets
	made       atomic.Int64                   // worlds
	machine    *meter
	trap       *httptest.Server // where redirects lead to
	trapped    atomic.Int64     // who came there; nobody may
)

// full reports whether this is `make chaos`, which has time for everything.
func full() bool { return *invocations > 0 }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "12") // they wait far more than they compute
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
	machine = startMeter(context.Background())
	trap = httptest.NewUnstartedServer(nil)
	trap.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			trapped.Add(1)
		}
	}
	trap.Start()
	defer trap.Close()
	return m.Run()
}

// build compiles both functions as they are compiled for Lambda, but for this
// machine, and perhaps with a clock that can be moved.
func build(ctx context.Context, dir string, clock bool) (err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var o stage.BuildOptions
	if clock {
		if o.Overlay, err = stage.ClockOverlay(ctx, dir, api, event); err != nil {
			return err
		}
	}
	if *withRace {
		o.Flags, o.Env = []string{"-race"}, []string{"CGO_ENABLED=1"}
	}
	bootstraps[clock], err = stage.Build(ctx, dir, o, api, event)
	return err
}
