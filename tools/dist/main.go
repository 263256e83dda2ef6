// Command dist makes what a release consists of from compiled functions: a zip for
// Lambda and a software bill of materials for each, the licences of what is in
// them, and a file of checksums. The same functions and version make the same
// bytes, wherever and whenever.
//
//	dist licences                        lists the licence of every module; fails for one that is not listed as compatible
//	dist pack -version V -out DIR FILE…  packs functions, given as …/ARCHITECTURE/NAME/bootstrap
//
// It is started in the folder of the repository's go.mod.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "dist: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("licences or pack?")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	version := flags.String("version", "", "`version` of the release")
	folder := flags.String("out", "dist", "`folder` to write to")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	modules, err := readModules(ctx)
	if err != nil {
		return err
	}
	switch args[0] {
	case "licences":
		return listLicences(out, modules)
	case "pack":
		if *version == "" || flags.NArg() == 0 {
			return errors.New("pack takes -version and the functions")
		}
		return pack(release{version: *version, folder: *folder, modules: modules}, flags.Args(), out)
	default:
		return fmt.Errorf("there is no command %q", args[0])
	}
}
