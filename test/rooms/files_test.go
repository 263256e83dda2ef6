package rooms

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// files are patterns of all that is kept in the repository; ** stands for any
// folders, or none. A file that matches none was committed by mistake, or is of a
// new kind, which gets a line here.
var files = []string{
	".ci/run", ".editorconfig", ".gitattributes", ".gitignore", ".golangci.yml",
	".github/CODEOWNERS", ".github/PULL_REQUEST_TEMPLATE.md", ".github/ISSUE_TEMPLATE/*.md", ".github/dependabot.yml", ".github/workflows/*.yml",
	"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md",
	"Makefile", "go.mod", "go.sum",
	"openapi.yaml", "samconfig.toml", "template.yaml", "statemachines/*.asl.json",

	"docs/*.md",
	"examples/README.md", "examples/*.sh", "examples/*.py", "examples/*/*.go", "examples/*.yaml", "examples/parameters/*.yaml", "examples/*.asl.json", "examples/terraform/*.tf",
	"events/*.json",
	"functions/*/*.go",
	"internal/**/*.go",
	"simulated/**/*.go",
	"test/**/*.go",
	"**/testdata/**/*.json",
	"test/bench/RESULTS.md", "test/bench/SHARES.md", "test/bench/*.svg", "test/bench/peers/python/*.py",

	"tools/*.sh", "tools/go.mod", "tools/go.sum",
	"tools/e2e/*.py", "tools/e2e/*.sh",
	"tools/dist/*.go", "tools/dist/go.mod", "tools/dist/go.sum",
	"tools/deploy/*.go", "tools/deploy/go.mod", "tools/deploy/go.sum",
	"tools/rie/*.sh", "tools/rie/go.mod", "tools/rie/go.sum",
	"tools/sam/*.py", "tools/sam/*.sh", "tools/sam/requirements*.in", "tools/sam/requirements*.txt", "tools/sam/local-env.json", "tools/sam/facts.json", "tools/sam/golden/*.json",
	"tools/statemachines/*.py", "tools/statemachines/*.sh", "tools/statemachines/requirements*.in", "tools/statemachines/requirements*.txt",
	"tools/statemachines/package.json", "tools/statemachines/package-lock.json",
}

// fuzzed is what fuzzing found and keeps as seeds; there may be none.
const fuzzed = "**/testdata/fuzz/*/*"

func TestFiles_areOfAKindThatIsExpected(t *testing.T) {
	tracked := trackedFiles(t)

	for _, file := range strays(tracked) {
		t.Errorf("%s is kept in the repository, and no pattern expects it", file)
	}
	for _, pattern := range files {
		if !slices.ContainsFunc(tracked, matches(pattern)) {
			t.Errorf("no file matches the pattern %s", pattern)
		}
	}
}

func TestFiles_aStrayIsNamed(t *testing.T) {
	expected := []string{"go.mod", "docs/deploy.md", "internal/segura/call.go", "internal/x/testdata/fuzz/FuzzX/0a1b2c", "simulated/stage/testdata/refused/sns.json"}
	stray := []string{
		"simulated/cmd/segura-local/2020", "notes.md", "main.go", "docs/drawing.key", "events/old/one.json", "functions/api/bootstrap", "functions/api/x/y.go",
		"internal/segura/call.go.orig", "internal/segura/testdata/reply", "test/bench/peers/python/x.pyc", "tools/dist/dist", "tools/sam/.venv/x.py",
	}

	got := strays(slices.Concat(expected, stray))

	if !slices.Equal(got, stray) {
		t.Errorf("got %q, want %q", got, stray)
	}
}

// strays returns those of the paths that no pattern matches.
func strays(paths []string) []string {
	for _, pattern := range append([]string{fuzzed}, files...) {
		paths = slices.DeleteFunc(slices.Clone(paths), matches(pattern))
	}
	return paths
}

// matches returns a function that reports whether a path matches the pattern.
// Patterns of package path have no **.
func matches(pattern string) func(string) bool {
	expression := strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*`, `[^/]*`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("^" + expression + "$").MatchString
}

// trackedFiles are the files that git keeps. Where the source was unpacked or copied
// without its history, there is nothing to look at.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	_, err := fs.Stat(root, ".git")
	git, missing := exec.LookPath("git")
	if errors.Is(err, fs.ErrNotExist) || missing != nil {
		t.Skip("which files are kept is read from git, and there is none here, or this source is no clone")
	}
	// In a container, the clone may belong to another user than this one.
	list := exec.CommandContext(t.Context(), git, "-c", "safe.directory=*", "-C", "../..", "ls-files", "-z")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
