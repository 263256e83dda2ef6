// Command segura-bench measures the compiled functions beside their peers, and
// writes the tables and the plot that docs/performance.md shows.
package main

import (
	"context"
	"errors"
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
	flag.IntVar(&o.Many, "many", 3, "processes of each contender that get 10,000 identifiers; 0: none")
	flag.IntVar(&o.Causes, "causes", 20, "cold starts for each cause of one; 0: none")
	flag.IntVar(&o.Shares, "shares", 5, "cold starts of each contender at each CPU share; 0: nothing is measured at shares")
	flag.IntVar(&o.Deadlines, "deadlines", 200, "invocations that run out of time, at the smallest share")
	flag.BoolVar(&o.Scale, "scale", true, "measure 1 to 10,000 identifiers, 1 to 64 at once")
	only := flag.String("only", "", "measure one part: whole, the functions on a whole machine, or shares, at the CPU shares of some memories")
	out := flag.String("out", "", "folder for the tables and plots; empty: the tables go to standard output")
	flag.Parse()
	switch *only {
	case "":
	case "whole":
		o.Shares = 0
	case "shares":
		o.Runs, o.Warm, o.Many, o.Causes, o.Scale = 0, 0, 0, 0, false
	default:
		return fmt.Errorf("-only %s: it is neither whole nor shares", *only)
	}
	o.Python = strings.Split(*python, ",")
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if *out == "" {
		return errors.Join(report.Markdown(os.Stdout), report.SharesMarkdown(os.Stdout))
	}
	return write(report, *out, o)
}

// write puts the tables and the plots where they are committed. A measurement that
// was left out leaves the file alone that it would go to.
func write(report *bench.Report, dir string, o bench.Options) error {
	for _, file := range []struct {
		name     string
		measured bool
		content  func(io.Writer) error
	}{
		{"RESULTS.md", o.Runs > 0, report.Markdown},
		{"scale.svg", o.Scale, report.Plot},
		{"SHARES.md", report.Shares != nil, report.SharesMarkdown},
		{"shares.svg", report.Shares != nil, report.SharesPlot},
	} {
		if !file.measured {
			continue
		}
		if err := create(filepath.Join(dir, file.name), file.content); err != nil {
			return err
		}
	}
	return nil
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
