package facts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"segura-enable/internal/config"
)

// Package config itself adds the parameter to its messages.
func TestMessages_nameTheParameterBesideTheVariable(t *testing.T) {
	named := 0
	err := filepath.WalkDir("../../internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "config" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				named += requireParameters(t, path, literal.Value)
			}
			return true
		})
		return err
	})

	if err != nil || named < 8 {
		t.Errorf("found %d variables in messages, and %v", named, err)
	}
}

var variableName = regexp.MustCompile(`SEGURA_[A-Z_]+`)

// requireParameters returns how many variables with a parameter a text names.
func requireParameters(t *testing.T, path, text string) int {
	t.Helper()
	found := 0
	for _, at := range variableName.FindAllStringIndex(text, -1) {
		parameter := config.Parameter(text[at[0]:at[1]])
		if parameter == "" {
			continue
		}
		found++
		if want := " (parameter " + parameter + ")"; !strings.HasPrefix(text[at[1]:], want) {
			t.Errorf("%s: %s names a variable without%s", path, text, want)
		}
	}
	return found
}

// Of the variables that package config reads itself, tools/sam compares the parameters.
func TestTemplate_setsTheProxiesFromTheParametersThatMessagesName(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HTTPS_PROXY", "NO_PROXY"} {
		if want := " " + name + ": !Ref " + config.Parameter(name) + "\n"; !strings.Contains(string(template), want) {
			t.Errorf("template.yaml has no line%s", want)
		}
	}
}
