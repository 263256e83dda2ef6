package acceptance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The functions, by the names of their folders.
const (
	api   = "api"
	event = "event"
)

// bootstraps are the compiled functions, by name.
var bootstraps = map[string]string{}

// atOnce is how many tests run at once: they wait far more than they compute.
const atOnce = "12"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", atOnce)
	}
	dir, err := os.MkdirTemp("", "acceptance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := build(dir); err != nil {
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
// machine.
func build(dir string) error {
	root := filepath.Join("..", "..")
	for _, name := range []string{api, event} {
		bootstraps[name] = filepath.Join(dir, name, "bootstrap")
		command := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-o", bootstraps[name], "./functions/"+name)
		command.Dir = root
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("compile the function %s: %w\n%s", name, err, strings.TrimSpace(string(output)))
		}
	}
	return nil
}
