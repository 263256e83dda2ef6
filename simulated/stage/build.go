package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const module = "segura-enable"

const buildGrace = 10 * time.Second // for go build to end when interrupted

// Root finds the repository from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module "+module+"\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find the repository: no folder above this one has the go.mod of " + module)
		}
	}
}

// BuildOptions say how to compile. The zero value compiles as for Lambda, but for
// this machine.
type BuildOptions struct {
	// Flags of go build, besides the build tag for Lambda and -trimpath.
	Flags []string

	// Env is added to the environment of go build and wins: GOOS=linux, for example.
	Env []string

	// Overlay names files that are compiled in place of others or besides them, by
	// the path of what they replace; both from the repository's root, or absolute.
	Overlay map[string]string
}

// Build compiles programs into dir and returns the path of each one.
// A program is the name of a function, or the folder of another one from the
// repository's root, such as ./test/bench/peers/hello.
func Build(ctx context.Context, dir string, o BuildOptions, programs ...string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	args := append([]string{"build", "-tags", "lambda.norpc", "-trimpath", "-o", dir + string(filepath.Separator)}, o.Flags...)
	if len(o.Overlay) > 0 {
		document, err := json.Marshal(map[string]any{"Replace": o.Overlay}) // see go help build
		if err != nil {
			return nil, fmt.Errorf("write the overlay: %w", err)
		}
		overlay := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(overlay, document, 0o600); err != nil {
			return nil, fmt.Errorf("write the overlay: %w", err)
		}
		args = append(args, "-overlay", overlay)
	}
	bootstraps := map[string]string{}
	for _, program := range programs {
		bootstraps[program] = filepath.Join(dir, path.Base(program))
		if !strings.HasPrefix(program, "./") {
			program = "./functions/" + program
		}
		args = append(args, program) // one command for all, so that what they share is compiled once
	}
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = root
	// Killed, it would leave its compilers behind.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = buildGrace
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH,
		"GOTMPDIR="+dir) // where it leaves what it had no time to remove
	command.Env = append(command.Env, o.Env...)
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile %s: %w\n%s", strings.Join(programs, ", "), err, strings.TrimSpace(string(output)))
	}
	return bootstraps, nil
}
