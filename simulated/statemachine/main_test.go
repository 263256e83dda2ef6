package statemachine_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"segura-enable/simulated/stage"
	"segura-enable/simulated/statemachine"
)

var bootstraps map[string]string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "statemachine")
	if err == nil {
		bootstraps, err = stage.Build(context.Background(), dir, stage.BuildOptions{}, stage.Event)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// start starts EventFunction and the simulated Segura. Several invocations may run
// at once, as they may in Lambda.
func start(t *testing.T, o stage.Options) *stage.Stack {
	t.Helper()
	o.Bootstraps, o.Functions, o.MaxConcurrency = bootstraps, []string{stage.Event}, 8
	stack, err := stage.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	return stack
}

func load(t *testing.T, name string, values map[string]string) *statemachine.Machine {
	t.Helper()
	root, err := stage.Root()
	if err != nil {
		t.Fatal(err)
	}
	machine, err := statemachine.Load(root, name, values)
	if err != nil {
		t.Fatal(err)
	}
	return machine
}
