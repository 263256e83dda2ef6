package soak

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	duration = flag.Duration("soak.duration", 3*time.Second, "how long to go on; growth is judged from a minute on")
	rate     = flag.Float64("soak.rate", 5, "invocations a second of each process")
	verbose  = flag.Bool("soak.samples", false, "print every sample")
)

// What TestMain prepares.
var (
	bootstraps = map[string]string{} // the compiled functions, by the names of their folders
	scratch    string                // a folder for sockets
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
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build compiles both functions as they are compiled for Lambda, but for this
// machine and with testdata/probe.go among the files of their main packages.
func build() error {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	probe := filepath.Join(root, "test", "soak", "testdata", "probe.go")
	replace := map[string]string{}
	for _, name := range []string{"api", "event"} {
		replace[filepath.Join(root, "functions", name, "soak_probe.go")] = probe
		bootstraps[name] = filepath.Join(scratch, name+".function", "bootstrap")
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	overlay := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return err
	}
	for name, bootstrap := range bootstraps {
		command := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-overlay", overlay, "-o", bootstrap, "./functions/"+name)
		command.Dir = root
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("compile %s: %w\n%s", name, err, strings.TrimSpace(string(output)))
		}
	}
	return nil
}
