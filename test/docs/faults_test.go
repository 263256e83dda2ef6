package docs

import (
	"strings"
	"testing"
	"testing/fstest"

	"segura-enable/internal/event"
)

func TestChecks_nameWhatIsWrong(t *testing.T) {
	const fence = "```\n"
	table := []struct {
		check      func(*repository)
		page, text string
		want       string // a part of the only fault; empty: none
	}{
		{longReadme, "README.md", strings.Repeat("\n", 150), ""},
		{longReadme, "README.md", strings.Repeat("\n", 151), "151 lines"},

		{lonelyPages, "README.md", "[Deploy](docs/deploy.md) [Security](SECURITY.md) [Windows](docs/windows.md)", ""},
		{lonelyPages, "README.md", "[Security](SECURITY.md) [Windows](docs/windows.md)", "does not lead to docs/deploy.md"},

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

		{wrongEvents, "docs/events.md", windowEvent("own", "Change", `"state":"open"`), ""},
		{wrongEvents, "docs/events.md", windowEvent("own", "Change", `"state":"ajar"`), `the state "ajar"`},
		{wrongEvents, "docs/events.md", windowEvent("own", "Change", `"state":"open","x":1`), "[state x], the code writes [state]"},
		{wrongEvents, "docs/events.md", windowEvent("com.example", "Change", `"state":"open"`), "for a request"},
		{wrongEvents, "docs/events.md", strings.Replace(windowEvent("own", "Change", `"state":"open"`), "Change", "Changes", 1), "and has samples of"},
		{wrongEvents, "docs/events.md", windowEvent("own", "Change", `"state":`), "not JSON"},
		{shownCredentials, "docs/deploy.md", "\n" + fence + "curl --user \\\n  \"$ID:$AWS_SECRET_ACCESS_KEY\" x\n" + fence, "list of processes: curl"},
		{shownCredentials, "docs/deploy.md", "\n" + fence + "curl -H \"x-amz-security-token: $AWS_SESSION_TOKEN\" x\n" + fence, "list of processes: curl"},
		{shownCredentials, "docs/deploy.md", "`aws secretsmanager put-secret-value --secret-string '{\"client_secret\": \"x\"}'`", "list of processes: aws"},
		{shownCredentials, "docs/deploy.md", "\n" + fence + "aws x --secret-id \"$SECRET_ARN\" --secret-string file://segura.json\ncurl --config - <<END\nuser = \"$ID:$AWS_SECRET_ACCESS_KEY\"\nEND\n" + fence, ""},

		{barePromises, "README.md", "# Doors\n\n## What it promises\n\n- It opens. `TestDoor_opens`\n- It closes. [Here](docs/deploy.md)\n\n## Else\n\n- No promise\n", ""},
		{barePromises, "README.md", "# Doors\n\n## What it promises\n\n- It opens.\n- It closes. [Here](docs/deploy.md)\n", "It opens."},
		{barePromises, "README.md", "# Doors\n", "promises nothing"},
		{barePromises, "SECURITY.md", "## Threat model\n\n| threat | test |\n|---|---|\n| it stays open | `TestDoor_shuts` |\n| it creaks | oil |\n", "it creaks"},
		{barePromises, "docs/windows.md", "## What windows promise\n\n1. A view (`TestView`).\n2. Air.\n", "Air"},

		{strongWords, "README.md", "It is on this machine alone, and `certain`.", "says \"certain\""},
		{strongWords, "README.md", "An uncertain sentence, under certainties' heading.", ""},
		{strongWords, "docs/deploy.md", "It works Offline.", "says \"Offline\""},

		{wrongFigures, "docs/performance.md", "Fast:\n\n| 1 ms |\n\n| 9 s |\n\n| 3 ms |\n\n| 4 s |\n", ""},
		{wrongFigures, "docs/performance.md", "Fast:\n\n| 2 ms |\n\n| 9 s |\n\n| 3 ms |\n\n| 4 s |\n", "the table peers"},
		{wrongFigures, "docs/performance.md", "Fast:\n\n| 1 ms |\n\n| 9 s |\n\n| 3 ms |\n\n| 5 s |\n", "the table reconciles"},
	}
	for _, row := range table {
		root := fstest.MapFS{
			"Makefile":              {Data: []byte(".PHONY: run\nrun:\n\techo '$(EVENT)'\n")},
			"README.md":             {Data: []byte("# Doors\n\n## What it promises\n\n- It opens. `TestDoor_opens`\n")},
			"SECURITY.md":           {Data: []byte("# Security\n\n## Threat model\n\n| threat | test |\n|---|---|\n| it stays open | `TestDoor_opens` |\n")},
			"docs/windows.md":       {Data: []byte("## What windows promise\n\n1. A view (`TestDoor_opens`).\n")},
			"docs/deploy.md":        {Data: []byte("# Deploy\n\n## 2. How to *go*?\n")},
			"events/one.json":       {},
			"tools/sam/facts.json":  {Data: []byte(`{"own_source":"` + event.OwnSource + `","windows":{"event":{"state":"S"},"states":["open"]}}`)},
			"test/x/x_test.go":      {Data: []byte("func TestDoor_opens(t *testing.T) {}\n")},
			"test/bench/RESULTS.md": {Data: []byte("<!-- peers: begin -->\n| 1 ms |\n<!-- peers: end -->\n<!-- scale: begin -->\n| 9 s |\n<!-- scale: end -->\n")},
			"test/bench/SHARES.md":  {Data: []byte("<!-- shares: begin -->\n| 3 ms |\n<!-- shares: end -->\n<!-- reconciles: begin -->\n| 4 s |\n<!-- reconciles: end -->\n")},
		}
		root[row.page] = &fstest.MapFile{Data: []byte(row.text)}

		r := &repository{FS: root, t: t}

		row.check(r)

		got := strings.Join(r.faults, "\n")
		if (row.want == "") != (got == "") || len(r.faults) > 1 || !strings.Contains(got, row.want) {
			t.Errorf("%s with %q: got %q, want %q", row.page, row.text, got, row.want)
		}
	}
}

// windowEvent is a page with a table of one event and its sample; own is the source of
// the template's own events.
func windowEvent(source, detailType, detail string) string {
	if source == "own" {
		source = event.OwnSource
	}
	return "| x | `" + source + "` | `" + detailType + "` |\n\n```json\n" +
		`{"source":"` + source + `","detail-type":"` + detailType + `","detail":{` + detail + "}}\n```\n"
}
