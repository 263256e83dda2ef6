// Command dist makes what a release consists of from compiled functions: a zip for
// Lambda and a software bill of materials for each, a template for each architecture
// that needs nothing but the zips beside it, the licences of what is in them, and a
// file of checksums. The same source, functions and version make the same bytes,
// wherever and whenever.
//
//	dist version                         prints the version that CHANGELOG.md names; fails where there are changes without one
//	dist licences                        lists the licence of every module; fails for one that is not listed as compatible
//	dist template -version V ARCHITECTURE  prints the template of a release
//	dist pack -version V -out DIR FILE…  packs functions, given as …/ARCHITECTURE/NAME/bootstrap; -source ADDRESS: links lead there
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

// source is the repository's root, where this is started.
const source = "."

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
		return errors.New("version, licences, template or pack?")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	version := flags.String("version", "", "`version` of the release")
	address := flags.String("source", "", "`address` at which the source of this version can be read")
	folder := flags.String("out", "dist", "`folder` to write to")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "version":
		return printVersion(out)
	case "licences":
		modules, err := readModules(ctx)
		if err != nil {
			return err
		}
		return listLicences(out, modules)
	case "template":
		template, err := flatTemplate(source, *version, *address, flags.Arg(0))
		if err == nil {
			_, err = out.Write(template)
		}
		return err
	case "pack":
		if *version == "" || flags.NArg() == 0 {
			return errors.New("pack takes -version and the functions")
		}
		modules, err := readModules(ctx)
		if err != nil {
			return err
		}
		return pack(release{source: source, version: *version, address: *address, folder: *folder, modules: modules}, flags.Args(), out)
	default:
		return fmt.Errorf("there is no command %q", args[0])
	}
}

func printVersion(out io.Writer) error {
	released, err := releasedVersion(source)
	if err == nil {
		_, err = fmt.Fprintln(out, released)
	}
	return err
}
