package docs

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is a page of Markdown, taken apart into what the checks look at.
type page struct {
	name  string
	text  string
	prose string   // without blocks of code
	lines []string // of the blocks of code, continued ones joined
	spans []string // of code, in the prose
}

var (
	block  = regexp.MustCompile("(?ms)^```[^\n]*\n(.*?)^```$")
	span   = regexp.MustCompile("`([^`]+)`")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	word   = regexp.MustCompile(`(?:[^\s'"]|'[^']*'|"[^"]*")+`)
	isTest = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)\w+$`)

	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
)

// repository is what the pages are held against, and what was found to be wrong.
type repository struct {
	fs.FS
	t      *testing.T
	faults []string
}

func (r *repository) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *repository) read(name string) string {
	content, err := fs.ReadFile(r, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

func (r *repository) exists(name string) bool {
	_, err := fs.Stat(r, name)
	return err == nil
}

// pages are those at the top of the repository, in docs and in examples.
func (r *repository) pages() (all []page) {
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md"} {
		names, _ := fs.Glob(r, pattern) // the pattern is well-formed
		for _, name := range names {
			all = append(all, r.load(name))
		}
	}
	if len(all) == 0 {
		r.t.Fatal("there are no pages")
	}
	return all
}

func (r *repository) load(name string) page {
	p := page{name: name, text: r.read(name)}
	p.prose = block.ReplaceAllString(p.text, "")
	for _, found := range block.FindAllStringSubmatch(p.text, -1) {
		p.lines = append(p.lines, strings.Split(strings.ReplaceAll(found[1], "\\\n", " "), "\n")...)
	}
	for _, found := range span.FindAllStringSubmatch(p.prose, -1) {
		p.spans = append(p.spans, found[1])
	}
	return p
}

// goFiles returns the Go files of a package or, for a folder with /..., of all below it.
func (r *repository) goFiles(dir string) (files []string) {
	top, all := strings.CutSuffix(dir, "...")
	top = path.Clean(top)
	err := fs.WalkDir(r, ".", func(file string, entry fs.DirEntry, err error) error {
		switch in := path.Dir(file); {
		case err == nil && entry.IsDir() && len(file) > 1 && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir // tools
		case strings.HasSuffix(file, ".go") && (in == top || all && (top == "." || strings.HasPrefix(in, top+"/"))):
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

func (r *repository) testNames(files []string) (names []string) {
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			for _, found := range declared.FindAllStringSubmatch(r.read(file), -1) {
				names = append(names, found[1])
			}
		}
	}
	return names
}

func (p page) links() []string {
	var links []string
	for _, found := range link.FindAllStringSubmatch(span.ReplaceAllString(p.prose, "`code`"), -1) {
		links = append(links, found[1])
	}
	return links
}

// anchors are those that GitHub makes of the headings.
func (p page) anchors() []string {
	var anchors []string
	for _, found := range title.FindAllStringSubmatch(p.prose, -1) {
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, found[1]))
	}
	return anchors
}

// commands are the arguments of each command of a program that the page tells to
// run, in a block or in a span: behind other commands and variables for the program,
// and before a comment.
func (p page) commands(program string) (found [][]string) {
	command := regexp.MustCompile(`(?:^|&&|\|\|?|;)\s*(?:[\w]+=\S*\s+)*` + program + `\s((?:'[^']*'|"[^"]*"|[^;&|#'"])+)`)
	for _, line := range slices.Concat(p.lines, p.spans) {
		for _, one := range command.FindAllStringSubmatch(line, -1) {
			found = append(found, word.FindAllString(one[1], -1))
		}
	}
	return found
}
