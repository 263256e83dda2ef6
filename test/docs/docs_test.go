// Package docs holds the documentation against the repository: what a page links
// to, names or tells to run is there.
package docs

import (
	"fmt"
	"io/fs"
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

func TestReadme_isShort(t *testing.T) {
	report(t, longReadme)
}

func TestReadme_leadsToEveryPage(t *testing.T) {
	report(t, lonelyPages)
}

func TestLinks_leadSomewhere(t *testing.T) {
	report(t, brokenLinks)
}

func TestMake_isToldTargetsAndVariablesThatExist(t *testing.T) {
	report(t, wrongMake)
}

func TestGo_isToldPackagesAndTestsThatExist(t *testing.T) {
	report(t, wrongGo)
}

func TestPaths_exist(t *testing.T) {
	report(t, wrongPaths)
}

func TestTests_thatPagesNameExist(t *testing.T) {
	report(t, wrongTests)
}

func TestCommands_haveNoCredentialAmongTheirArguments(t *testing.T) {
	report(t, shownCredentials)
}

func TestPromises_nameWhatCarriesThem(t *testing.T) {
	report(t, barePromises)
}

func TestPages_promiseNoMoreThanIsTrue(t *testing.T) {
	report(t, strongWords)
}

func TestPerformance_quotesWhatBenchMeasured(t *testing.T) {
	report(t, wrongFigures)
}

func report(t *testing.T, check func(*testing.T, fs.FS) []string) {
	t.Helper()
	for _, fault := range check(t, os.DirFS("../..")) {
		t.Error(fault)
	}
}

func longReadme(t *testing.T, root fs.FS) []string {
	if n := strings.Count(read(t, root, "README.md"), "\n"); n > maxLines {
		return []string{fmt.Sprintf("README.md has %d lines, more than %d: move what is looked up to a page of docs", n, maxLines)}
	}
	return nil
}

func lonelyPages(t *testing.T, root fs.FS) (faults []string) {
	links := load(t, root, "README.md").links()
	for _, p := range pages(t, root) {
		if p.name != "README.md" && !slices.Contains(links, p.name) {
			faults = append(faults, fmt.Sprintf("README.md does not lead to %s", p.name))
		}
	}
	return faults
}

func brokenLinks(t *testing.T, root fs.FS) (faults []string) {
	for _, p := range pages(t, root) {
		for _, link := range p.links() {
			if strings.Contains(link, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			to := p.name
			if file != "" {
				to = path.Join(path.Dir(p.name), file)
			}
			if !exists(root, to) || anchor != "" && !slices.Contains(load(t, root, to).anchors(), anchor) {
				faults = append(faults, fmt.Sprintf("%s: the link to %s leads nowhere", p.name, link))
			}
		}
	}
	return faults
}

func wrongMake(t *testing.T, root fs.FS) (faults []string) {
	makefile := read(t, root, "Makefile")
	var targets []string
	for _, line := range regexp.MustCompile(`(?m)^\.PHONY:(.*)$`).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, strings.Fields(line[1])...)
	}
	for _, p := range pages(t, root) {
		for _, words := range p.commands("make") {
			for _, word := range words {
				name, _, isVariable := strings.Cut(word, "=")
				if isVariable && !strings.Contains(makefile, "$("+name+")") || !isVariable && !slices.Contains(targets, name) {
					faults = append(faults, fmt.Sprintf("%s: make %s: the Makefile has no %s", p.name, strings.Join(words, " "), name))
				}
			}
		}
	}
	return faults
}

// wrongGo looks at packages, which start with ./, and at what -run asks for. It
// leaves flags of a test to that test.
func wrongGo(t *testing.T, root fs.FS) (faults []string) {
	for _, p := range pages(t, root) {
		for _, words := range p.commands("go") {
			var tests []string
			for _, word := range words {
				if dir, ok := strings.CutPrefix(word, "./"); ok {
					found := goFiles(t, root, dir)
					if len(found) == 0 {
						faults = append(faults, fmt.Sprintf("%s: go %s: no package %s", p.name, strings.Join(words, " "), word))
					}
					tests = append(tests, testNames(t, root, found)...)
				}
			}
			if i := slices.Index(words, "-run"); i >= 0 && i+1 < len(words) {
				pattern := regexp.MustCompile(strings.Trim(words[i+1], `'"`))
				if !slices.ContainsFunc(tests, pattern.MatchString) {
					faults = append(faults, fmt.Sprintf("%s: go %s: no test %s", p.name, strings.Join(words, " "), pattern))
				}
			}
		}
	}
	return faults
}

var (
	anyPath  = regexp.MustCompile(`[\w.-]+(?:/[\w.-]+)+`)
	spanPath = regexp.MustCompile(`^(?:[\w.-]+/[\w./-]*|[\w.-]+\.(?:csv|go|json|jsonl|md|mod|py|sh|sum|svg|toml|yaml|yml))$`)
)

// wrongPaths looks at every path that starts with a folder of ours, wherever it
// stands, and in code spans at whatever looks like a path.
func wrongPaths(t *testing.T, root fs.FS) (faults []string) {
	for _, p := range pages(t, root) {
		var named []string
		for _, found := range anyPath.FindAllString(p.text, -1) {
			if first, _, _ := strings.Cut(found, "/"); exists(root, first) {
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
			if !exists(root, path.Clean(strings.TrimRight(name, "/."))) {
				faults = append(faults, fmt.Sprintf("%s names %s, which does not exist", p.name, name))
			}
		}
	}
	return faults
}

// wrongTests wants SECURITY.md to name some: each of its controls has a test.
func wrongTests(t *testing.T, root fs.FS) (faults []string) {
	exist := testNames(t, root, goFiles(t, root, "..."))
	if !slices.ContainsFunc(load(t, root, "SECURITY.md").spans, isTest.MatchString) {
		faults = append(faults, "SECURITY.md names no test")
	}
	for _, p := range pages(t, root) {
		for _, span := range p.spans {
			if isTest.MatchString(span) && !slices.Contains(exist, span) {
				faults = append(faults, fmt.Sprintf("%s names the test %s, which does not exist", p.name, span))
			}
		}
	}
	return faults
}

// An option with a credential after it, which every user of the machine could read in
// the list of processes.
var shown = regexp.MustCompile(`\s--?[\w-]+(?: +|=)(?:"[^"]*\$\w*(?:SECRET_ACCESS_KEY|CLIENT_SECRET|TOKEN|PASSWORD)|\$\w*(?:SECRET_ACCESS_KEY|CLIENT_SECRET|TOKEN|PASSWORD)|'?"?\{[^}]*client_secret)`)

func shownCredentials(t *testing.T, root fs.FS) (faults []string) {
	for _, p := range pages(t, root) {
		for _, line := range slices.Concat(p.lines, p.spans) {
			if shown.MatchString(line) {
				faults = append(faults, fmt.Sprintf("%s shows a credential in the list of processes: %s", p.name, line))
			}
		}
	}
	return faults
}

// promises are the lists of promises: the page, its heading, and how each begins.
var promises = []struct{ page, heading, begin string }{
	{"README.md", "## What it promises\n", "- "},
	{"SECURITY.md", "## Threat model\n", "| "},
	{"docs/windows.md", "## What windows promise\n", "1. "},
}

// barePromises wants each promise to name a test or to lead to the page that carries it.
func barePromises(t *testing.T, root fs.FS) (faults []string) {
	for _, list := range promises {
		_, section, ok := strings.Cut(read(t, root, list.page), list.heading)
		section, _, _ = strings.Cut(section, "\n## ")
		begin := regexp.MustCompile(strings.ReplaceAll(`(?m)^`+regexp.QuoteMeta(list.begin)+`.*$`, "1", `\d+`))
		lines := begin.FindAllString(section, -1)
		if list.begin == "| " && len(lines) > 0 {
			lines = lines[1:] // its head
		}
		if !ok || len(lines) == 0 {
			faults = append(faults, fmt.Sprintf("%s promises nothing under %q", list.page, list.heading))
		}
		for _, line := range lines {
			if !link.MatchString(line) && !carried.MatchString(line) {
				faults = append(faults, fmt.Sprintf("%s: no test and no page carries %q", list.page, line))
			}
		}
	}
	return faults
}

var (
	carried = regexp.MustCompile("`(?:Test|Fuzz)\\w+`")
	strong  = regexp.MustCompile(`(?i)\b(?:certain|certainty|guarantees?|guaranteed|whatever happen(?:s|ed)|offline|all of it|be sure|impossible)\b`)
)

// strongWords finds words that claim more than can be shown.
func strongWords(t *testing.T, root fs.FS) (faults []string) {
	for _, p := range pages(t, root) {
		for _, found := range strong.FindAllString(p.prose, -1) {
			faults = append(faults, fmt.Sprintf("%s says %q: say what is true, and by which test", p.name, found))
		}
	}
	return faults
}

// wrongFigures wants the tables that the bench wrote to stand in the page as they are.
func wrongFigures(t *testing.T, root fs.FS) (faults []string) {
	page := read(t, root, "docs/performance.md")
	for name, file := range map[string]string{
		"peers": "test/bench/RESULTS.md", "scale": "test/bench/RESULTS.md", "shares": "test/bench/SHARES.md", "reconciles": "test/bench/SHARES.md",
	} {
		_, after, _ := strings.Cut(read(t, root, file), "<!-- "+name+": begin -->\n")
		table, _, ok := strings.Cut(after, "<!-- "+name+": end -->")
		if !ok || !strings.Contains(page, table) {
			faults = append(faults, fmt.Sprintf("docs/performance.md does not have the table %s of %s", name, file))
		}
	}
	return faults
}
