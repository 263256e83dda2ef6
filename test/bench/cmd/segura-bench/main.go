// Command segura-bench measures the compiled functions beside their peers, and
// writes the tables and the plots that docs/performance.md shows.
package main

import (
	"context"
	"flag"
	"fmt"
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
	python := flag.String("python", "python3", "interpreters for the Python peer, comma-separated; the first that has boto3 is used")
	runs := flag.Int("runs", 40, "cold starts of each contender")
	only := flag.String("only", "", "measure one part: whole, the functions on a whole machine, or shares, at the CPU shares of some memories")
	out := flag.String("out", ".", "folder for the tables and plots; what is not measured leaves the files alone that it would go to")
	flag.Parse()
	if *only != "" && *only != "whole" && *only != "shares" {
		return fmt.Errorf("-only %s: it is neither whole nor shares", *only)
	}
	if *runs < 1 {
		return fmt.Errorf("-runs %d: there has to be one", *runs)
	}
	report, err := bench.Run(ctx, bench.Options{
		Python: strings.Split(*python, ","), Runs: *runs, Whole: *only != "shares", Shares: *only != "whole",
	})
	if err != nil {
		return err
	}
	for name, text := range report.Files() {
		if err := os.WriteFile(filepath.Join(*out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
