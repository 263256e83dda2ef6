package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const module = "segura-enable"

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

// Build compiles functions for this machine, otherwise as they are compiled for
// Lambda, and returns the path of each one's bootstrap under dir.
func Build(ctx context.Context, dir string, names ...string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	// One command for all, so that what they share is compiled once.
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-X main.version=local",
		"-o", dir + string(filepath.Separator)}
	for _, name := range names {
		args = append(args, "./functions/"+name)
	}
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the functions: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	bootstraps := map[string]string{}
	for _, name := range names {
		// Each gets a folder of its own, which becomes its LAMBDA_TASK_ROOT.
		bootstraps[name] = filepath.Join(dir, name+".function", "bootstrap")
		if err := os.MkdirAll(filepath.Dir(bootstraps[name]), 0o755); err != nil {
			return nil, fmt.Errorf("make a folder for function %s: %w", name, err)
		}
		if err := os.Rename(filepath.Join(dir, name), bootstraps[name]); err != nil {
			return nil, fmt.Errorf("move function %s: %w", name, err)
		}
	}
	return bootstraps, nil
}
