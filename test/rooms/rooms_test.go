// Package rooms keeps the rooms of this repository apart: it reads the imports of
// every Go file and holds them against the rules below, which are the drawing in
// words.
package rooms

import (
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

// trees are where Go lives, each with the trees that its files, tests left out, may
// import from: what is deployed imports nothing that imitates its surroundings or
// proves it, and what imitates shares nothing with what it is there to test.
var trees = map[string][]string{
	"functions": {"internal"},
	"internal":  {"internal"},
	"simulated": {"simulated"},
	"test":      {"internal", "simulated", "test"},
}

// product says which rooms each room of what is deployed may import, and which
// modules from outside by a prefix of their path. A new room gets a line here and a
// place in the drawing. Before you add an arrow, see that it points inward:
// doors -> activation -> segura -> apisecret.
var product = map[string]room{
	// What Lambda starts: wiring only.
	"functions/api":    {list("function", "httpapi"), list(aws)},
	"functions/event":  {list("function", "event"), list(aws)},
	"functions/window": {list("config", "function", "window", "windowdoor", "windowtable"), list(aws)},
	"internal/function": {
		list("activation", "config", "credentials", "segura", "telemetry"), list(aws, "golang.org/x/time"),
	},

	// The doors, which never know each other.
	"internal/httpapi": {doors, nil},
	"internal/event":   {doors, list(aws)},

	// The door to windows stands on the other two.
	"internal/windowdoor": {list("activation", "apisecret", "event", "httpapi", "strictjson", "telemetry", "window"), list(aws)},

	// What happens behind both doors. Segura's client knows nothing of AWS.
	"internal/activation":  {list("segura", "telemetry", "apisecret", "strictjson"), list("golang.org/x/")},
	"internal/credentials": {list("segura", "apisecret", "flight", "strictjson"), list(aws)},
	"internal/segura":      {list("apisecret", "flight", "strictjson"), list("golang.org/x/")},
	"internal/telemetry":   {list("apisecret"), list(aws)},
	"internal/config":      {list("apisecret"), nil},

	// Windows decide and write; where the table is stands apart.
	"internal/window":      {list("activation", "apisecret", "strictjson", "telemetry"), list("golang.org/x/sync")},
	"internal/windowtable": {list("window", "strictjson"), list(aws)},

	// The vocabulary, and what it is written with.
	"internal/apisecret":  {list("strictjson"), nil},
	"internal/flight":     {},
	"internal/strictjson": {},
}

var doors = list("activation", "apisecret", "telemetry", "strictjson")

const (
	module   = "segura-enable"
	drawing  = "docs/architecture.md"
	aws      = "github.com/aws/"
	maxLines = 60 // of a function's own code
)

type room struct {
	rooms   []string // under internal
	modules []string // of others
}

// root is the repository's.
var root = os.DirFS("../..")

func list(paths ...string) []string { return paths }

func TestRooms_importOnlyWhatTheDrawingAllows(t *testing.T) {
	for _, fault := range wrongArrows(t, root) {
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
		{"internal/segura/call.go", "segura-enable/simulated/seguratest", "internal/segura -> simulated/seguratest"},
		{"internal/segura/call.go", "segura-enable/test/stage", "internal/segura -> test/stage"},
		{"functions/api/main.go", "segura-enable/internal/event", "functions/api -> internal/event"},
		{"functions/api/main.go", "segura-enable/simulated/runtimeapi", "functions/api -> simulated/runtimeapi"},
		{"simulated/stage/local.go", "segura-enable/simulated/seguratest", ""},
		{"simulated/stage/local.go", "segura-enable/internal/config", "simulated/stage -> internal/config"},
		{"simulated/stage/local.go", "segura-enable/test/stage", "simulated/stage -> test/stage"},
		{"test/bench/bench.go", "segura-enable/internal/apisecret", ""},
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
	exist := directories(goFiles(t, root, "functions", "internal"))
	for dir := range product {
		if !slices.Contains(exist, dir) {
			t.Errorf("the table has %s, but no such room has Go files", dir)
		}
	}
}

func TestRooms_theDrawingNamesEachOne(t *testing.T) {
	named := regexp.MustCompile(`[A-Za-z0-9_./-]+`).FindAllString(read(t, root, drawing), -1)
	for i, p := range named {
		named[i] = strings.TrimRight(p, "/.") // one that begins with ./ is an argument of a command, and does not count
	}

	for _, dir := range directories(goFiles(t, root, "functions", "internal", "simulated", "test")) {
		if !slices.Contains(named, dir) {
			t.Errorf("%s does not name the room %s", drawing, dir)
		}
	}
	for _, dir := range named {
		if _, err := fs.Stat(root, dir); err != nil && trees[strings.Split(dir, "/")[0]] != nil {
			t.Errorf("%s names %s, which does not exist", drawing, dir)
		}
	}
}

func TestFunctions_areWiringOnly(t *testing.T) {
	lines := map[string]int{}
	for _, file := range goFiles(t, root, "functions") {
		dir := path.Dir(file)
		if lines[dir] += strings.Count(read(t, root, file), "\n"); lines[dir] > maxLines {
			t.Errorf("%s has %d lines of Go, more than %d: move logic to a room under internal", dir, lines[dir], maxLines)
		}
	}
}

func TestFunctions_neverSkipVerification(t *testing.T) {
	for _, file := range goFiles(t, root, "functions", "internal") {
		if strings.Contains(read(t, root, file), "InsecureSkipVerify") {
			t.Errorf("%s mentions InsecureSkipVerify: certificates are always verified", file)
		}
	}
}

// wrongArrows describes every import that the rules do not allow, and every room of
// the product that the table does not know.
func wrongArrows(t *testing.T, root fs.FS) []string {
	t.Helper()
	var faults []string
	for _, file := range goFiles(t, root, "functions", "internal", "simulated", "test") {
		dir := path.Dir(file)
		from, known := product[dir]
		tree, _, _ := strings.Cut(dir, "/")
		if isProduct := tree == "functions" || tree == "internal"; isProduct && !known {
			faults = append(faults, fmt.Sprintf("%s is a room that the table does not know (%s)", dir, file))
			continue
		}
		for _, imported := range imports(t, root, file) {
			to, ours := strings.CutPrefix(imported, module+"/")
			toTree, toRoom, _ := strings.Cut(to, "/")
			switch {
			case ours && slices.Contains(trees[tree], toTree) && (!known || slices.Contains(from.rooms, toRoom)):
			case !ours && (!known || from.mayUse(imported)):
			default:
				faults = append(faults, fmt.Sprintf("wrong arrow %s -> %s (%s)", dir, to, file))
			}
		}
	}
	return faults
}

// mayUse reports whether the room may import a package of another module, or of the
// standard library.
func (r room) mayUse(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") || slices.ContainsFunc(r.modules, func(prefix string) bool { return strings.HasPrefix(imported, prefix) })
}

// directories are the folders of files.
func directories(files []string) (dirs []string) {
	for _, file := range files {
		dirs = append(dirs, path.Dir(file))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// goFiles returns the non-test Go files under the trees, whatever platform they
// are for.
func goFiles(t *testing.T, root fs.FS, trees ...string) (files []string) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		tree, _, _ := strings.Cut(file, "/")
		switch {
		case err == nil && entry.IsDir() && file != "." && (!slices.Contains(trees, tree) || entry.Name() == "testdata"):
			return fs.SkipDir
		case strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go"):
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(t *testing.T, root fs.FS, file string) (imported []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, read(t, root, file), parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		imported = append(imported, strings.Trim(spec.Path.Value, "\"`"))
	}
	return imported
}

func read(t *testing.T, root fs.FS, file string) string {
	t.Helper()
	content, err := fs.ReadFile(root, file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
