package docs

import (
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

// pages are those at the top of the repository, in docs and in examples.
func pages(t *testing.T, root fs.FS) []page {
	t.Helper()
	var all []page
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md"} {
		names, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all = append(all, load(t, root, name))
		}
	}
	if len(all) == 0 {
		t.Fatal("there are no pages")
	}
	return all
}

func load(t *testing.T, root fs.FS, name string) page {
	t.Helper()
	p := page{name: name, text: read(t, root, name)}
	p.prose = block.ReplaceAllString(p.text, "")
	for _, found := range block.FindAllStringSubmatch(p.text, -1) {
		p.lines = append(p.lines, strings.Split(strings.ReplaceAll(found[1], "\\\n", " "), "\n")...)
	}
	for _, found := range span.FindAllStringSubmatch(p.prose, -1) {
		p.spans = append(p.spans, found[1])
	}
	return p
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
// run, in a block or in a span.
func (p page) commands(program string) [][]string {
	var found [][]string
	for _, line := range slices.Concat(p.lines, p.spans) {
		for _, command := range split(word.FindAllString(line, -1)) {
			for len(command) > 0 && strings.Contains(command[0], "=") {
				command = command[1:] // a variable for the program
			}
			if len(command) > 1 && command[0] == program {
				found = append(found, command[1:])
			}
		}
	}
	return found
}

// split cuts the words of a line into its commands, and leaves out a comment.
func split(words []string) [][]string {
	commands := [][]string{nil}
	for _, w := range words {
		last := len(commands) - 1
		switch bare := strings.TrimSuffix(w, ";"); {
		case strings.HasPrefix(w, "#"):
			return commands
		case w == "&&", w == "||", w == "|":
			commands = append(commands, nil)
		case bare != w:
			commands[last] = append(commands[last], bare)
			commands = append(commands, nil)
		default:
			commands[last] = append(commands[last], w)
		}
	}
	return commands
}

// goFiles returns the Go files of a package or, for a folder with /..., of all below it.
func goFiles(t *testing.T, root fs.FS, dir string) []string {
	t.Helper()
	if top, ok := strings.CutSuffix(dir, "..."); ok {
		var files []string
		err := fs.WalkDir(root, path.Clean(top), func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && len(file) > 1 && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir // tools
			case strings.HasSuffix(file, ".go"):
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	files, err := fs.Glob(root, path.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func testNames(t *testing.T, root fs.FS, files []string) []string {
	t.Helper()
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			for _, found := range declared.FindAllStringSubmatch(read(t, root, file), -1) {
				names = append(names, found[1])
			}
		}
	}
	return names
}

func exists(root fs.FS, name string) bool {
	_, err := fs.Stat(root, name)
	return err == nil
}

func read(t *testing.T, root fs.FS, name string) string {
	t.Helper()
	content, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
