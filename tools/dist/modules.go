package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	classifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// compatible are the licences, by SPDX identifier, under which a module may be
// linked into a program under Apache-2.0 that is given away as a binary.
var compatible = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "0BSD"}

// certain is how much of a licence's text must be there for it to count as that.
const certain = 0.9

// standardLibrary is the name under which Go's own packages are listed, as in
// vulnerability databases.
const standardLibrary = "stdlib"

// module is one that the functions or their tests are compiled with.
type module struct {
	path, version string
	texts         []text
	licences      []string // SPDX identifiers, sorted; not empty
}

// text is a file with a licence, or one that the licence asks to be passed on.
type text struct{ name, content string }

// readModules asks the go command for the modules that the packages in the
// current folder and their tests are compiled with, and reads their licences.
// They are sorted by path.
func readModules(ctx context.Context) (modules []module, _ error) {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}"
	listing, err := goCommand(ctx, "list", "-deps", "-test", "-f", format, "./...")
	if err != nil {
		return nil, err
	}
	library, err := goCommand(ctx, "env", "GOVERSION", "GOROOT")
	if err != nil {
		return nil, err
	}
	licences, err := assets.DefaultClassifier()
	if err != nil {
		return nil, fmt.Errorf("the texts of known licences: %w", err)
	}
	listed := append(listing, strings.Join(append([]string{standardLibrary}, library...), "\t"))
	slices.Sort(listed)
	for _, line := range slices.Compact(listed) {
		fields := strings.Split(line, "\t")
		m, err := readModule(licences, fields[0], strings.TrimPrefix(fields[1], "go"), fields[2])
		if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	return modules, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)(\.|-|$)`)

// readModule reads the licences in a module's folder, those of code that it has
// taken over from others included. That there is none is an error.
func readModule(known *classifier.Classifier, path, version, folder string) (module, error) {
	m := module{path: path, version: version}
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path == standardLibrary && file != folder:
			return fs.SkipDir // tools of Go, and test data
		case entry.IsDir() && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir // what the repository's host does
		case entry.IsDir() || !licenceFile.MatchString(entry.Name()):
			return nil
		}
		content, err := os.ReadFile(file) //nolint:gosec // a file of the module cache, for the one who runs this
		if err != nil {
			return err
		}
		m.texts = append(m.texts, text{strings.TrimPrefix(file, folder+string(filepath.Separator)), string(content)})
		for _, match := range known.Match(content).Matches {
			if match.MatchType == "License" && match.Confidence >= certain && !slices.Contains(m.licences, match.Name) {
				m.licences = append(m.licences, match.Name)
			}
		}
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("%s: %w (go mod download gets it)", path, err)
	}
	slices.Sort(m.licences)
	if len(m.licences) == 0 {
		return m, fmt.Errorf("%s %s has no licence that is known", path, version)
	}
	return m, nil
}

// listLicences writes a line for each module. Licences that are not known to be
// compatible are an error, which names the modules.
func listLicences(out io.Writer, modules []module) error {
	table, faults := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), []error(nil)
	for _, m := range modules {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", m.path, m.version, strings.Join(m.licences, ", "))
		for _, licence := range m.licences {
			if !slices.Contains(compatible, licence) {
				faults = append(faults, fmt.Errorf("%s is under %s, which is not listed as compatible", m.path, licence))
			}
		}
	}
	return errors.Join(append(faults, table.Flush())...)
}

// goCommand returns the lines that a go command writes.
func goCommand(ctx context.Context, args ...string) ([]string, error) {
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are our own
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.FieldsFunc(string(output), func(r rune) bool { return r == '\n' }), nil
}
