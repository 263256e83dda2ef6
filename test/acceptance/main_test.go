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
// machine; by one command, so that what they share is compiled and linked once.
func build(dir string) error {
	command := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-o", dir+string(filepath.Separator),
		"./functions/"+api, "./functions/"+event)
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the functions: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	for _, name := range []string{api, event} {
		bootstraps[name] = filepath.Join(dir, name+".function", "bootstrap")
		if err := os.Mkdir(filepath.Dir(bootstraps[name]), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, name), bootstraps[name]); err != nil {
			return err
		}
	}
	return nil
}
