package chaos

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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
	bootstraps map[string]string // the compiled functions, by name
	machine    *meter
	trap       *httptest.Server // where redirects lead to
	trapped    atomic.Int64     // who came there; nobody may
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
