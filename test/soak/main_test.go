package soak

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"segura-enable/simulated/stage"
)

var (
	duration = flag.Duration("soak.duration", 3*time.Second, "how long to go on; growth is judged from a minute on")
	rate     = flag.Float64("soak.rate", 5, "invocations a second of each process")
	verbose  = flag.Bool("soak.samples", false, "print every sample")
)

// What TestMain prepares.
var (
	bootstraps map[string]string // the compiled functions, by the names of their folders
	scratch    string            // a folder for sockets
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	var err error
	if scratch, err = os.MkdirTemp("", "soak-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if err := build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build compiles both functions as they are compiled for Lambda, but for this
// machine and with testdata/probe.go among the files of their main packages.
func build(ctx context.Context) (err error) {
	const probe = "test/soak/testdata/probe.go"
	bootstraps, err = stage.Build(ctx, scratch, stage.BuildOptions{Overlay: map[string]string{
		"functions/api/soak_probe.go": probe, "functions/event/soak_probe.go": probe,
	}}, stage.API, stage.Event)
	return err
}
