package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func forge(t *testing.T, name string, to any) {
	t.Helper()
	if err := yaml.Unmarshal(sourceFile(t, ".github/"+name), to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestForge_runsWhatCIIs(t *testing.T) {
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct{ Steps []struct{ Run string } }
	}
	forge(t, "workflows/ci.yml", &workflow)
	var runs []string
	for _, step := range workflow.Jobs["run"].Steps {
		if step.Run != "" {
			runs = append(runs, step.Run)
		}
	}
	if !slices.Equal(runs, []string{".ci/run"}) || len(workflow.Permissions) != 1 || workflow.Permissions["contents"] != "read" {
		t.Errorf("got %q with %v, want .ci/run alone, with contents: read", runs, workflow.Permissions)
	}
}

// Each folder with packages of its own is kept up to date.
func TestForge_updatesEveryFolderWithPackages(t *testing.T) {
	var dependabot struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	forge(t, "dependabot.yml", &dependabot)
	got := map[string][]string{}
	for _, update := range dependabot.Updates {
		got[update.Ecosystem] = slices.Sorted(slices.Values(update.Directories))
	}
	want := map[string][]string{"github-actions": {"/"}, "gomod": {}, "pip": {}, "npm": {}}
	source := os.DirFS("../..")
	for _, pattern := range []string{"*", "tools/*", "tools/*/*"} {
		files, err := fs.Glob(source, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			folder, name := "/"+strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "."), filepath.Base(file)
			for kind, is := range map[string]bool{"gomod": name == "go.mod", "npm": name == "package.json", "pip": strings.HasSuffix(name, ".in")} {
				if is && !slices.Contains(want[kind], folder) {
					want[kind] = append(want[kind], folder)
				}
			}
		}
	}
	for kind := range want {
		if slices.Sort(want[kind]); !slices.Equal(got[kind], want[kind]) {
			t.Errorf("%s: got %q, want %q", kind, got[kind], want[kind])
		}
	}
}
