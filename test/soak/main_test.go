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

var duration = flag.Duration("soak.duration", 3*time.Second, "how long to go on; growth is judged from a minute on")

var bootstraps map[string]string // the compiled functions, by the names of their folders

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	scratch, err := os.MkdirTemp("", "soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	const probe = "test/soak/testdata/probe.go" // among the files of the functions' main packages
	if bootstraps, err = stage.Build(context.Background(), scratch, stage.BuildOptions{Overlay: map[string]string{
		"functions/api/soak_probe.go": probe, "functions/event/soak_probe.go": probe,
	}}, stage.API, stage.Event); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
