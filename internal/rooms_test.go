// Package internal_test keeps the rooms of this repository apart: it reads the
// imports of every Go file and holds them against the table below, which is the
// README's drawing in words.
package internal_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// rooms says what the non-test files of each room may import besides the
// standard library: other rooms, and modules from outside by a prefix of their
// path. A path that ends in /... stands for the rooms beneath it as well.
//
// A new room gets a line here and a place in the README's drawing. Before you add
// an arrow, see that it points inward: doors -> activation -> segura -> apisecret.
var rooms = []room{
	// What Lambda starts: wiring only.
	{path: "functions/api", rooms: list("internal/function", "internal/httpapi"), modules: list(aws)},
	{path: "functions/event", rooms: list("internal/function", "internal/event"), modules: list(aws)},
	{
		path: "internal/function",
		rooms: list("internal/activation", "internal/config", "internal/credentials", "internal/segura",
			"internal/telemetry", "internal/apisecret"),
		modules: list(aws),
	},

	// The doors, which never know each other.
	{path: "internal/httpapi", rooms: doors, modules: list(aws)},
	{path: "internal/event", rooms: doors, modules: list(aws)},

	// What happens behind both doors. Segura's client knows nothing of AWS.
	{
		path:  "internal/activation",
		rooms: list("internal/segura", "internal/telemetry", "internal/apisecret"),
	},
	{
		path:    "internal/credentials",
		rooms:   list("internal/segura", "internal/apisecret", "internal/flight", "internal/strictjson"),
		modules: list(aws),
	},
	{
		path:    "internal/segura",
		rooms:   list("internal/apisecret", "internal/flight", "internal/strictjson"),
		modules: list("golang.org/x/"),
	},
	{path: "internal/telemetry", rooms: list("internal/apisecret"), modules: list(aws)},
	{path: "internal/config", rooms: list("internal/apisecret")},

	// The vocabulary, and what it is written with.
	{path: "internal/apisecret", rooms: list("internal/strictjson")},
	{path: "internal/flight"},
	{path: "internal/strictjson"},

	// Stand-ins, which share nothing with what they test.
	{path: "internal/segura/seguratest", local: true},
	{
		path:  "internal/activation/activationtest",
		rooms: list("internal/activation", "internal/segura", "internal/segura/seguratest", "internal/telemetry", "internal/apisecret"),
		local: true,
	},
	{path: "internal/acceptance", local: true},
	{path: "internal/chaos/...", local: true},
	{
		path:    "internal/bench/...",
		rooms:   list("internal/bench", "internal/segura/seguratest", "internal/local/..."),
		modules: list(aws, "golang.org/x/"),
		local:   true,
	},
	{path: "internal/soak/...", local: true},
	{
		path:    "internal/local/statemachine",
		rooms:   list("internal/segura/seguratest", "internal/local/..."),
		modules: list("github.com/blues/jsonata-go"), // the query language of the state machines
		local:   true,
	},
	{path: "internal/local/...", rooms: list("internal/segura/seguratest", "internal/local/..."), local: true},
}

var doors = list("internal/activation", "internal/apisecret", "internal/telemetry", "internal/strictjson")

const (
	module   = "segura-enable"
	aws      = "github.com/aws/"
	maxLines = 60 // of a function's own code
)

type room struct {
	path    string
	rooms   []string // of this module
	modules []string // of others
	local   bool     // never deployed
}

func list(paths ...string) []string { return paths }

func TestRooms_importOnlyWhatTheDrawingAllows(t *testing.T) {
	for _, fault := range wrongArrows(t, repository(t)) {
		t.Error(fault)
	}
}

func TestRooms_aWrongArrowIsNamed(t *testing.T) {
	table := []struct {
		file, imports string
		want          string // a part of the only fault; empty: none
	}{
		{"internal/httpapi/door.go", "segura-enable/internal/activation", ""},
		{"internal/httpapi/door.go", "net/http", ""},
		{"internal/httpapi/door_test.go", "segura-enable/internal/event", ""},
		{"internal/httpapi/door.go", "segura-enable/internal/event", "internal/httpapi -> internal/event"},
		{"internal/apisecret/set.go", "segura-enable/internal/segura", "internal/apisecret -> internal/segura"},
		{"internal/segura/call.go", "github.com/aws/aws-sdk-go-v2/aws", "internal/segura -> github.com/aws/aws-sdk-go-v2/aws"},
		{"internal/segura/call.go", "segura-enable/internal/segura/seguratest", "internal/segura -> internal/segura/seguratest"},
		{"functions/api/main.go", "segura-enable/internal/event", "functions/api -> internal/event"},
		{"internal/local/stack/stack.go", "segura-enable/internal/local/vault", ""},
		{"internal/local/stack/stack.go", "segura-enable/internal/config", "internal/local/stack -> internal/config"},
		{"internal/util/util.go", "fmt", "internal/util is a room that the table does not know"},
		{"functions/api/extra/extra.go", "fmt", "functions/api/extra is a room that the table does not know"},
	}
	for _, row := range table {
		source := "package p\n\nimport _ " + strconv.Quote(row.imports) + "\n"
		faults := wrongArrows(t, fstest.MapFS{row.file: {Data: []byte(source)}})
		got := strings.Join(faults, "\n")
		if (row.want == "") != (got == "") || len(faults) > 1 || !strings.Contains(got, row.want) {
			t.Errorf("%s importing %s: got %q, want %q", row.file, row.imports, got, row.want)
		}
	}
}

func TestRooms_theTableNamesNoRoomThatIsGone(t *testing.T) {
	exist := directories(t, repository(t))
	for _, r := range rooms {
		if !slices.ContainsFunc(exist, func(dir string) bool { return covers(r.path, dir) }) {
			t.Errorf("the table has %s, but no such room has Go files", r.path)
		}
	}
}

func TestRooms_theReadmeNamesEachOne(t *testing.T) {
	root := repository(t)
	readme, err := fs.ReadFile(root, "README.md")
	if err != nil {
		t.Fatal(err)
	}

	named := paths(string(readme))

	for _, dir := range directories(t, root) {
		if !slices.Contains(named, dir) {
			t.Errorf("README.md does not name the room %s", dir)
		}
	}
	for _, dir := range named {
		if _, err := fs.Stat(root, dir); err != nil && strings.HasPrefix(dir, "internal/") {
			t.Errorf("README.md names %s, which does not exist", dir)
		}
	}
}

func TestFunctions_areWiringOnly(t *testing.T) {
	root := repository(t)
	lines := map[string]int{}
	for _, file := range goFiles(t, root, "functions") {
		lines[path.Dir(file)] += bytes.Count(read(t, root, file), []byte("\n"))
	}
	for dir, n := range lines {
		if n > maxLines {
			t.Errorf("%s has %d lines of Go, more than %d: move logic to a room under internal", dir, n, maxLines)
		}
	}
}

func TestFunctions_neverSkipVerification(t *testing.T) {
	root := repository(t)
	for _, file := range goFiles(t, root, "functions", "internal") {
		r, known := roomOf(path.Dir(file))
		if known && r.local {
			continue
		}
		if bytes.Contains(read(t, root, file), []byte("InsecureSkipVerify")) {
			t.Errorf("%s mentions InsecureSkipVerify: certificates are always verified", file)
		}
	}
}

func TestSecurity_namesTestsThatExist(t *testing.T) {
	root := repository(t)
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(read(t, root, "SECURITY.md")), -1)
	if len(named) == 0 {
		t.Fatal("SECURITY.md names no test")
	}
	var source strings.Builder
	err := fs.WalkDir(root, "internal", func(file string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, "_test.go") {
			source.Write(read(t, root, file))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		if !strings.Contains(source.String(), "func "+name[1]+"(") {
			t.Errorf("SECURITY.md names the test %s, which does not exist", name[1])
		}
	}
}

// wrongArrows describes every import that the table does not allow, and every
// room that it does not know.
func wrongArrows(t *testing.T, root fs.FS) []string {
	t.Helper()
	var faults []string
	for _, file := range goFiles(t, root, "functions", "internal") {
		dir := path.Dir(file)
		from, known := roomOf(dir)
		if !known {
			faults = append(faults, fmt.Sprintf("%s is a room that the table does not know (%s)", dir, file))
			continue
		}
		for _, imported := range imports(t, root, file) {
			to := strings.TrimPrefix(imported, module+"/")
			if !from.mayImport(imported) {
				faults = append(faults, fmt.Sprintf("wrong arrow %s -> %s (%s); %s may import, besides the standard library: %s",
					dir, to, file, dir, strings.Join(slices.Concat(from.rooms, from.modules), " ")))
			}
		}
	}
	return faults
}

func (r room) mayImport(imported string) bool {
	if to, ours := strings.CutPrefix(imported, module+"/"); ours {
		return slices.ContainsFunc(r.rooms, func(allowed string) bool { return covers(allowed, to) })
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") { // the standard library
		return true
	}
	return slices.ContainsFunc(r.modules, func(prefix string) bool { return strings.HasPrefix(imported, prefix) })
}

func roomOf(dir string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return covers(r.path, dir) })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

func covers(pattern, dir string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == tree || strings.HasPrefix(dir, tree+"/")
	}
	return dir == pattern
}

// paths returns every path in a text. One that starts with ./ is an argument of a
// command, and does not count.
func paths(text string) []string {
	found := regexp.MustCompile(`[A-Za-z0-9_./-]+`).FindAllString(text, -1)
	for i, p := range found {
		found[i] = strings.TrimRight(p, "/.")
	}
	return found
}

func directories(t *testing.T, root fs.FS) []string {
	t.Helper()
	var dirs []string
	for _, file := range goFiles(t, root, "functions", "internal") {
		dirs = append(dirs, path.Dir(file))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// goFiles returns the non-test Go files under the trees, whatever platform they
// are for.
func goFiles(t *testing.T, root fs.FS, trees ...string) []string {
	t.Helper()
	var files []string
	for _, tree := range trees {
		err := fs.WalkDir(root, tree, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err) && file == tree:
				return nil
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return fs.SkipDir
			case strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go"):
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func imports(t *testing.T, root fs.FS, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, read(t, root, file), parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var imported []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", file, spec.Path.Value, err)
		}
		imported = append(imported, p)
	}
	return imported
}

func read(t *testing.T, root fs.FS, file string) []byte {
	t.Helper()
	content, err := fs.ReadFile(root, file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// repository is the root of this module, which holds more than these rooms.
func repository(t *testing.T) fs.FS {
	t.Helper()
	root := os.DirFS("..")
	if mod := read(t, root, "go.mod"); !bytes.HasPrefix(mod, []byte("module "+module+"\n")) {
		t.Fatalf("go.mod is not that of %s", module)
	}
	return root
}
