package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"segura-enable/simulated/stage"
)

// The contenders, by the names under which they are built.
const (
	hello     = "hello"
	afternoon = "afternoon"
	python    = "python"
	ours      = stage.Event
)

// contender is one compiled function.
type contender struct {
	name      string
	title     string
	bootstrap string
	size      int64 // of the binary, in bytes; 0: there is none
	zipped    int64 // of what is deployed, in bytes
}

// deployedFlags are the Makefile's for the linker.
const deployedFlags = "-s -w -buildid="

// build builds the contenders as they would be deployed, but for this machine.
func (b *bench) build(ctx context.Context) error {
	const helloSource, afternoonSource = "./test/bench/peers/hello", "./test/bench/peers/afternoon"
	options := stage.BuildOptions{Flags: []string{"-ldflags", deployedFlags}}
	var err error
	if b.bootstraps, err = stage.Build(ctx, b.dir, options, helloSource, afternoonSource, stage.Event, stage.Window); err != nil {
		return err
	}
	for _, c := range []contender{
		{name: hello, title: "hello world, Go", bootstrap: b.bootstraps[helloSource]},
		{name: afternoon, title: "an afternoon's Go", bootstrap: b.bootstraps[afternoonSource]},
		{name: ours, title: "this function", bootstrap: b.bootstraps[stage.Event]},
	} {
		if c.size, c.zipped, err = sizes(c.bootstrap); err != nil {
			return err
		}
		b.report.Contenders = append(b.report.Contenders, c)
	}
	return b.buildPython(ctx)
}

// buildPython makes a bootstrap of the Python peer, which the first of the
// interpreters starts that has what the peer imports.
func (b *bench) buildPython(ctx context.Context) error {
	interpreter := ""
	for _, candidate := range b.Python {
		command := exec.CommandContext(ctx, candidate, "-c", "import boto3, urllib3, sys; print(sys.executable)")
		if where, err := command.Output(); err == nil {
			interpreter = strings.TrimSpace(string(where))
			break
		}
	}
	if interpreter == "" {
		b.report.Skipped = append(b.report.Skipped, "the afternoon's Python: no boto3 and urllib3 for "+strings.Join(b.Python, ", "))
		return nil
	}
	dir := filepath.Join(b.dir, python)
	c := contender{name: python, title: "an afternoon's Python", bootstrap: filepath.Join(dir, "bootstrap")}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(b.root, "test", "bench", "peers", "python"))); err != nil {
		return err
	}
	if err := os.WriteFile(c.bootstrap, []byte("#!"+interpreter+"\nimport bootstrap\n"), 0o755); err != nil {
		return err
	}
	var err error
	_, c.zipped, err = sizes(filepath.Join(dir, "function.py"))
	b.report.Contenders = append(b.report.Contenders, c)
	return err
}

// sizes returns how large a file is, and how large in a zip archive, which is how it is
// uploaded.
func sizes(path string) (size, zipped int64, _ error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	file, err := writer.Create(filepath.Base(path))
	if err == nil {
		_, err = file.Write(content)
	}
	err = errors.Join(err, writer.Close())
	return int64(len(content)), int64(archive.Len()), err
}

// callers are the contenders that call Segura.
func (r *Report) callers() []contender {
	return slices.DeleteFunc(slices.Clone(r.Contenders), func(c contender) bool { return c.name == hello })
}

// contender returns the one of a name; the zero value if it was skipped.
func (r *Report) contender(name string) contender {
	for _, c := range r.Contenders {
		if c.name == name {
			return c
		}
	}
	return contender{}
}
