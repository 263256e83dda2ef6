// Command segura-bench measures the compiled functions beside their peers, and
// writes the tables and the plot that docs/performance.md shows.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"segura-enable/test/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "segura-bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context) error {
	o := bench.Options{Log: os.Stderr}
	flag.StringVar(&o.Root, "root", ".", "the repository")
	python := flag.String("python", "python3", "interpreters for the Python peer, comma-separated; the first that has boto3 is used")
	flag.IntVar(&o.Runs, "runs", 40, "cold starts of each contender, at each latency; 0: none")
	flag.IntVar(&o.Warm, "warm", 500, "warm invocations of each contender; 0: none")
	flag.IntVar(&o.Many, "many", 5, "processes of each contender that get 10,000 identifiers; 0: none")
	flag.IntVar(&o.Causes, "causes", 20, "cold starts for each cause of one; 0: none")
	flag.BoolVar(&o.Scale, "scale", true, "measure 1 to 10,000 identifiers, 1 to 64 at once")
	out := flag.String("out", "", "folder for RESULTS.md and scale.svg; empty: the tables go to standard output")
	flag.Parse()
	o.Python = strings.Split(*python, ",")
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if *out == "" {
		return report.Markdown(os.Stdout)
	}
	return write(report, *out, o.Scale)
}

// write puts the tables and the plot where they are committed. A measurement that
// was left out leaves the file alone that it would go to.
func write(report *bench.Report, dir string, scale bool) error {
	if err := create(filepath.Join(dir, "RESULTS.md"), report.Markdown); err != nil || !scale {
		return err
	}
	return create(filepath.Join(dir, "scale.svg"), report.Plot)
}

func create(path string, content func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := content(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
