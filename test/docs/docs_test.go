// Package docs holds the documentation against the repository: what a page links
// to, names or tells to run is there.
package docs

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const maxLines = 150 // of the README, which is for the first ten minutes

// elsewhere are the paths that pages name and that are no files of this repository:
// packages, what fuzzing writes, what lies in the stack's buckets, what a release
// consists of, and what its user writes.
var elsewhere = []string{
	"testing/synctest", "golang.org/x/oauth2", "testdata/fuzz", "actions/attest-build-provenance",
	"template-arm64.yaml", "template-amd64.yaml", "parameters.yaml", "segura.json",
	"lists/x.csv", "lists/x.jsonl", "results/", "report.json", "audit/", "errors/",
}

func TestPages_areTrue(t *testing.T) {
	for what, check := range map[string]func(*repository){
		"the README is short":                               longReadme,
		"the README leads to every page":                    lonelyPages,
		"links lead somewhere":                              brokenLinks,
		"make is told targets and variables that exist":     wrongMake,
		"go is told packages and tests that exist":          wrongGo,
		"paths exist":                                       wrongPaths,
		"tests exist":                                       wrongTests,
		"commands have no credential among their arguments": shownCredentials,
		"promises name what carries them":                   barePromises,
		"nothing is promised in strong words":               strongWords,
		"the figures are those that the bench measured":     wrongFigures,
	} {
		t.Run(what, func(t *testing.T) { report(t, check) })
	}
}

func report(t *testing.T, check func(*repository)) {
	t.Helper()
	r := &repository{FS: os.DirFS("../.."), t: t}
	check(r)
	for _, fault := range r.faults {
		t.Error(fault)
	}
}

func longReadme(r *repository) {
	if n := strings.Count(r.read("README.md"), "\n"); n > maxLines {
		r.fault("README.md has %d lines, more than %d: move what is looked up to a page of docs", n, maxLines)
	}
}

func lonelyPages(r *repository) {
	links := r.load("README.md").links()
	for _, p := range r.pages() {
		if p.name != "README.md" && !slices.Contains(links, p.name) {
			r.fault("README.md does not lead to %s", p.name)
		}
	}
}

func brokenLinks(r *repository) {
	for _, p := range r.pages() {
		for _, link := range p.links() {
			if strings.Contains(link, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			to := p.name
			if file != "" {
				to = path.Join(path.Dir(p.name), file)
			}
			if !r.exists(to) || anchor != "" && !slices.Contains(r.load(to).anchors(), anchor) {
				r.fault("%s: the link to %s leads nowhere", p.name, link)
			}
		}
	}
}

func wrongMake(r *repository) {
	makefile := r.read("Makefile")
	var targets []string
	for _, line := range regexp.MustCompile(`(?m)^\.PHONY:(.*)$`).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, strings.Fields(line[1])...)
	}
	for _, p := range r.pages() {
		for _, words := range p.commands("make") {
			for _, word := range words {
				name, _, isVariable := strings.Cut(word, "=")
				if isVariable && !strings.Contains(makefile, "$("+name+")") || !isVariable && !slices.Contains(targets, name) {
					r.fault("%s: make %s: the Makefile has no %s", p.name, strings.Join(words, " "), name)
				}
			}
		}
	}
}

// wrongGo looks at packages, which start with ./, and at what -run asks for. It
// leaves flags of a test to that test.
func wrongGo(r *repository) {
	for _, p := range r.pages() {
		for _, words := range p.commands("go") {
			var tests []string
			for _, word := range words {
				if dir, ok := strings.CutPrefix(word, "./"); ok {
					found := r.goFiles(dir)
					if len(found) == 0 {
						r.fault("%s: go %s: no package %s", p.name, strings.Join(words, " "), word)
					}
					tests = append(tests, r.testNames(found)...)
				}
			}
			if i := slices.Index(words, "-run"); i >= 0 && i+1 < len(words) {
				pattern := regexp.MustCompile(strings.Trim(words[i+1], `'"`))
				if !slices.ContainsFunc(tests, pattern.MatchString) {
					r.fault("%s: go %s: no test %s", p.name, strings.Join(words, " "), pattern)
				}
			}
		}
	}
}

var (
	anyPath  = regexp.MustCompile(`[\w.-]+(?:/[\w.-]+)+`)
	spanPath = regexp.MustCompile(`^(?:[\w.-]+/[\w./-]*|[\w.-]+\.(?:csv|go|json|jsonl|md|mod|py|sh|sum|svg|toml|yaml|yml))$`)
)

// wrongPaths looks at every path that starts with a folder of ours, wherever it
// stands, and in code spans at whatever looks like a path.
func wrongPaths(r *repository) {
	for _, p := range r.pages() {
		var named []string
		for _, found := range anyPath.FindAllString(p.text, -1) {
			if first, _, _ := strings.Cut(found, "/"); r.exists(first) {
				named = append(named, found)
			}
		}
		for _, span := range p.spans {
			if spanPath.MatchString(span) && !slices.Contains(elsewhere, span) {
				named = append(named, span)
			}
		}
		slices.Sort(named)
		for _, name := range slices.Compact(named) {
			if !r.exists(path.Clean(strings.TrimRight(name, "/."))) {
				r.fault("%s names %s, which does not exist", p.name, name)
			}
		}
	}
}

// wrongTests wants SECURITY.md to name some: each of its controls has a test.
func wrongTests(r *repository) {
	exist := r.testNames(r.goFiles("..."))
	if !slices.ContainsFunc(r.load("SECURITY.md").spans, isTest.MatchString) {
		r.fault("SECURITY.md names no test")
	}
	for _, p := range r.pages() {
		for _, span := range p.spans {
			if isTest.MatchString(span) && !slices.Contains(exist, span) {
				r.fault("%s names the test %s, which does not exist", p.name, span)
			}
		}
	}
}

// An option with a credential after it, which every user of the machine could read in
// the list of processes.
var shown = regexp.MustCompile(`\s--?[\w-]+(?: +|=)(?:"[^"]*\$\w*(?:SECRET_ACCESS_KEY|CLIENT_SECRET|TOKEN|PASSWORD)|\$\w*(?:SECRET_ACCESS_KEY|CLIENT_SECRET|TOKEN|PASSWORD)|'?"?\{[^}]*client_secret)`)

func shownCredentials(r *repository) {
	for _, p := range r.pages() {
		for _, line := range slices.Concat(p.lines, p.spans) {
			if shown.MatchString(line) {
				r.fault("%s shows a credential in the list of processes: %s", p.name, line)
			}
		}
	}
}

// promises are the lists of promises: the page, its heading, and how each begins.
var promises = []struct{ page, heading, begin string }{
	{"README.md", "## What it promises\n", "- "},
	{"SECURITY.md", "## Threat model\n", "| "},
	{"docs/windows.md", "## What windows promise\n", "1. "},
}

// barePromises wants each promise to name a test or to lead to the page that carries it.
func barePromises(r *repository) {
	for _, list := range promises {
		_, section, ok := strings.Cut(r.read(list.page), list.heading)
		section, _, _ = strings.Cut(section, "\n## ")
		begin := regexp.MustCompile(strings.ReplaceAll(`(?m)^`+regexp.QuoteMeta(list.begin)+`.*$`, "1", `\d+`))
		lines := begin.FindAllString(section, -1)
		if list.begin == "| " && len(lines) > 0 {
			lines = lines[1:] // its head
		}
		if !ok || len(lines) == 0 {
			r.fault("%s promises nothing under %q", list.page, list.heading)
		}
		for _, line := range lines {
			if !link.MatchString(line) && !carried.MatchString(line) {
				r.fault("%s: no test and no page carries %q", list.page, line)
			}
		}
	}
}

var (
	carried = regexp.MustCompile("`(?:Test|Fuzz)\\w+`")
	strong  = regexp.MustCompile(`(?i)\b(?:certain|certainty|guarantees?|guaranteed|whatever happen(?:s|ed)|offline|all of it|be sure|impossible)\b`)
)

// strongWords finds words that claim more than can be shown.
func strongWords(r *repository) {
	for _, p := range r.pages() {
		for _, found := range strong.FindAllString(p.prose, -1) {
			r.fault("%s says %q: say what is true, and by which test", p.name, found)
		}
	}
}

// wrongFigures wants the tables that the bench wrote to stand in the page as they are.
func wrongFigures(r *repository) {
	page := r.read("docs/performance.md")
	for name, file := range map[string]string{
		"peers": "test/bench/RESULTS.md", "scale": "test/bench/RESULTS.md", "shares": "test/bench/SHARES.md", "reconciles": "test/bench/SHARES.md",
	} {
		_, after, _ := strings.Cut(r.read(file), "<!-- "+name+": begin -->\n")
		table, _, ok := strings.Cut(after, "<!-- "+name+": end -->")
		if !ok || !strings.Contains(page, table) {
			r.fault("docs/performance.md does not have the table %s of %s", name, file)
		}
	}
}
