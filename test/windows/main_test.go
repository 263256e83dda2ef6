package windows

import (
	"context"
	"fmt"
	"os"
	"testing"

	"segura-enable/simulated/stage"
)

// What all tests share: the function, compiled with a clock that can be moved.
var (
	bootstraps map[string]string
	scratch    string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	err := build(context.Background())
	defer func() { _ = os.RemoveAll(scratch) }()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(ctx context.Context) (err error) {
	if scratch, err = os.MkdirTemp("", "windows-"); err != nil {
		return err
	}
	overlay, err := stage.ClockOverlay(ctx, scratch, stage.Window)
	if err != nil {
		return err
	}
	bootstraps, err = stage.Build(ctx, scratch, stage.BuildOptions{Overlay: overlay}, stage.Window)
	return err
}
