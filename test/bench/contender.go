package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"segura-enable/simulated/stage"
)

// The contenders, by the names under which they are built.
const (
	hello     = "hello"
	afternoon = "afternoon"
	python    = "python"
	ours      = "event"
)

// contender is one compiled function.
type contender struct {
	name      string
	title     string
	bootstrap string
	size      int64 // of the binary, in bytes; 0: there is none
	zipped    int64 // of what is deployed, in bytes
}

// Linker flags: as they are commonly set, and those of the Makefile.
const (
	commonFlags   = "-s -w"
	deployedFlags = "-s -w -buildid="
)

// calls reports whether the contender calls Segura at all.
func (c contender) calls() bool { return c.name != hello }

// build builds the contenders as they would be deployed, but for this machine.
func (b *bench) build(ctx context.Context) error {
	for _, c := range []struct{ name, title, source, flags string }{
		{hello, "hello world, Go", "./test/bench/peers/hello", commonFlags},
		{afternoon, "an afternoon's Go", "./test/bench/peers/afternoon", commonFlags},
		{ours, "this function", "./functions/event", deployedFlags},
	} {
		built, err := b.buildGo(ctx, c.name, c.title, c.source, c.flags)
		if err != nil {
			return err
		}
		b.report.Contenders = append(b.report.Contenders, built)
	}
	return b.buildPython(ctx)
}

func (b *bench) buildGo(ctx context.Context, name, title, source, flags string) (contender, error) {
	c := contender{name: name, title: title}
	built, err := stage.Build(ctx, b.dir, stage.BuildOptions{Flags: []string{"-ldflags", flags}}, source)
	if err != nil {
		return c, err
	}
	c.bootstrap = built[source]
	if c.size, err = fileSize(c.bootstrap); err != nil {
		return c, err
	}
	c.zipped, err = zippedSize(c.bootstrap)
	return c, err
}

// findPython returns the first of the interpreters that has what the peer imports;
// empty if none has.
func (b *bench) findPython(ctx context.Context) string {
	for _, candidate := range b.Python {
		command := exec.CommandContext(ctx, candidate, "-c", "import boto3, urllib3, sys; print(sys.executable)")
		command.Dir = b.Root
		if where, err := command.Output(); err == nil {
			return strings.TrimSpace(string(where))
		}
	}
	return ""
}

// buildPython makes a bootstrap of the Python peer that its interpreter starts.
func (b *bench) buildPython(ctx context.Context) error {
	interpreter := b.findPython(ctx)
	if interpreter == "" {
		b.report.Skipped = append(b.report.Skipped, "the afternoon's Python: no boto3 and urllib3 for "+strings.Join(b.Python, ", "))
		return nil
	}
	source := filepath.Join(b.Root, "test", "bench", "peers", "python")
	loop, err := os.ReadFile(filepath.Join(source, "bootstrap.py"))
	if err != nil {
		return err
	}
	function, err := os.ReadFile(filepath.Join(source, "function.py"))
	if err != nil {
		return err
	}
	c := contender{name: python, title: "an afternoon's Python", bootstrap: b.path(python, "bootstrap")}
	if err := os.MkdirAll(filepath.Dir(c.bootstrap), 0o755); err != nil {
		return err
	}
	loop = append([]byte("#!"+interpreter+"\n"), loop...)
	if err := os.WriteFile(c.bootstrap, loop, 0o755); err != nil {
		return err
	}
	script := b.path(python, "function.py")
	if err := os.WriteFile(script, function, 0o644); err != nil {
		return err
	}
	if c.zipped, err = zippedSize(script); err != nil {
		return err
	}
	b.report.Contenders = append(b.report.Contenders, c)
	return nil
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// zippedSize returns how large the file is in a zip archive, which is how it is
// uploaded.
func zippedSize(path string) (int64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	file, err := writer.Create(filepath.Base(path))
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(file, bytes.NewReader(content)); err != nil {
		return 0, err
	}
	if err := writer.Close(); err != nil {
		return 0, err
	}
	return int64(archive.Len()), nil
}
