package docs

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestChecks_nameWhatIsWrong(t *testing.T) {
	const fence = "```\n"
	table := []struct {
		check      func(*testing.T, fs.FS) []string
		page, text string
		want       string // a part of the only fault; empty: none
	}{
		{longReadme, "README.md", strings.Repeat("\n", 150), ""},
		{longReadme, "README.md", strings.Repeat("\n", 151), "151 lines"},

		{lonelyPages, "README.md", "[Deploy](docs/deploy.md) [Security](SECURITY.md)", ""},
		{lonelyPages, "README.md", "[Security](SECURITY.md)", "does not lead to docs/deploy.md"},

		{brokenLinks, "README.md", "[far](https://example.com/x#y) [there](docs/deploy.md#2-how-to-go) [here](#a)\n\n# A", ""},
		{brokenLinks, "README.md", "`[no](link)`\n" + fence + "[none](either)\n" + fence, ""},
		{brokenLinks, "README.md", "[gone](docs/gone.md)", "docs/gone.md leads nowhere"},
		{brokenLinks, "README.md", "![gone](gone.svg)", "gone.svg leads nowhere"},
		{brokenLinks, "README.md", "[gone](docs/deploy.md#gone)", "docs/deploy.md#gone leads nowhere"},
		{brokenLinks, "README.md", "[gone](#gone)\n\n" + fence + "# gone\n" + fence, "#gone leads nowhere"},
		{brokenLinks, "docs/deploy.md", "[out](../../x.md)", "../../x.md leads nowhere"},
		{brokenLinks, "docs/deploy.md", "[security](SECURITY.md)", "SECURITY.md leads nowhere"},

		{wrongMake, "README.md", "`make`, `make run EVENT=-`", ""},
		{wrongMake, "README.md", "To make sense is not `Makefile`'s.", ""},
		{wrongMake, "README.md", "`make walk`", "the Makefile has no walk"},
		{wrongMake, "README.md", "`make run EVENTS=-`", "the Makefile has no EVENTS"},
		{wrongMake, "docs/deploy.md", "\n" + fence + "cd x && X=1 make run EVENT='a B=c' # make tea\n" + fence, ""},
		{wrongMake, "docs/deploy.md", "\n" + fence + "cd x; X=1 make run \\\n  walk\n" + fence, "the Makefile has no walk"},

		{wrongGo, "README.md", "`go test -run Door ./...`, `go test -run '^TestDoor_opens$' ./test/x -record`", ""},
		{wrongGo, "README.md", "`go test ./test/y`", "no package ./test/y"},
		{wrongGo, "README.md", "`go vet ./events/...`", "no package ./events/..."},
		{wrongGo, "README.md", "`go test -run Window ./test/x`", "no test Window"},

		{wrongPaths, "README.md", "`events/one.json`, `test/`, `SECURITY.md`, ./test/x/... `results/` and/or https://test.example/x", ""},
		{wrongPaths, "README.md", "`tests/x`", "tests/x, which"},
		{wrongPaths, "README.md", "`SECURE.md`", "SECURE.md, which"},
		{wrongPaths, "docs/deploy.md", "\n" + fence + "make run EVENT=events/two.json\n" + fence, "events/two.json, which"},
		{wrongPaths, "docs/deploy.md", "in test/y", "test/y, which"},

		{wrongTests, "SECURITY.md", "`TestDoor_opens`", ""},
		{wrongTests, "SECURITY.md", "`TestDoor_open`", "TestDoor_open, which"},
		{wrongTests, "SECURITY.md", "No control has a test.", "names no test"},

		{wrongFigures, "docs/performance.md", "Fast:\n\n| 1 ms |\n\n| 9 s |\n\n| 3 ms |\n\n| 4 s |\n", ""},
		{wrongFigures, "docs/performance.md", "Fast:\n\n| 2 ms |\n\n| 9 s |\n\n| 3 ms |\n\n| 4 s |\n", "the table peers"},
		{wrongFigures, "docs/performance.md", "Fast:\n\n| 1 ms |\n\n| 9 s |\n\n| 3 ms |\n\n| 5 s |\n", "the table reconciles"},
	}
	for _, row := range table {
		root := fstest.MapFS{
			"Makefile":              {Data: []byte(".PHONY: run\nrun:\n\techo '$(EVENT)'\n")},
			"README.md":             {Data: []byte("# Doors\n")},
			"SECURITY.md":           {Data: []byte("# Security\n")},
			"docs/deploy.md":        {Data: []byte("# Deploy\n\n## 2. How to *go*?\n")},
			"events/one.json":       {},
			"test/x/x_test.go":      {Data: []byte("func TestDoor_opens(t *testing.T) {}\n")},
			"test/bench/RESULTS.md": {Data: []byte("<!-- peers: begin -->\n| 1 ms |\n<!-- peers: end -->\n<!-- scale: begin -->\n| 9 s |\n<!-- scale: end -->\n")},
			"test/bench/SHARES.md":  {Data: []byte("<!-- shares: begin -->\n| 3 ms |\n<!-- shares: end -->\n<!-- reconciles: begin -->\n| 4 s |\n<!-- reconciles: end -->\n")},
		}
		root[row.page] = &fstest.MapFile{Data: []byte(row.text)}

		faults := row.check(t, root)

		got := strings.Join(faults, "\n")
		if (row.want == "") != (got == "") || len(faults) > 1 || !strings.Contains(got, row.want) {
			t.Errorf("%s with %q: got %q, want %q", row.page, row.text, got, row.want)
		}
	}
}
