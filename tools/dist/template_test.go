package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// parsed is a document without its comments and its layout: maps, lists, and texts
// with their tags.
func parsed(t *testing.T, content []byte) any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	return plain(document.Content[0])
}

func plain(node *yaml.Node) any {
	switch node.Kind {
	case yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			all[node.Content[i].Value] = plain(node.Content[i+1])
		}
		return all
	case yaml.SequenceNode:
		all := []any{node.Tag}
		for _, one := range node.Content {
			all = append(all, plain(one))
		}
		return all
	default:
		return node.Tag + " " + node.Value
	}
}

func sourceFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// differences are the paths at which two documents differ, the deepest ones.
func differences(path string, a, b any) []string {
	one, isMap := a.(map[string]any)
	other, isMapToo := b.(map[string]any)
	if !isMap || !isMapToo {
		if fmt.Sprint(a) == fmt.Sprint(b) {
			return nil
		}
		return []string{strings.TrimPrefix(path, ".")}
	}
	var all []string
	for key := range one {
		all = append(all, differences(path+"."+key, one[key], other[key])...)
	}
	for key := range other {
		if _, both := one[key]; !both {
			all = append(all, strings.TrimPrefix(path+"."+key, "."))
		}
	}
	slices.Sort(all)
	return all
}

func TestTemplate_isTheSourcesButForWhatItRefersTo(t *testing.T) {
	const api, bulk = "Resources.Api.Properties.DefinitionBody", "Resources.BulkStateMachine.Properties"
	want := []string{
		"Globals.Function.CodeUri", "Metadata.AWS::ServerlessRepo::Application.SemanticVersion",
		"Parameters.Architecture.AllowedValues", "Parameters.Architecture.Default", "Parameters.Architecture.Description",
	}
	for name := range programs {
		want = append(want, "Resources."+name+".Metadata", "Resources."+name+".Properties.CodeUri")
	}
	want = append(want, bulk+".Definition", bulk+".DefinitionUri")

	got := parsed(t, packed(t)["template-amd64.yaml"])

	source := parsed(t, sourceFile(t, "template.yaml"))
	found := slices.DeleteFunc(differences("", source, got), func(path string) bool { return strings.HasPrefix(path, api+".") })
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("differs at %q, want %q", found, want)
	}
	for path, file := range map[string]string{api: "openapi.yaml", bulk + ".Definition": "statemachines/bulk.asl.json"} {
		if d := differences("", parsed(t, sourceFile(t, file)), follow(got, path)); len(d) > 0 && !slices.Equal(d, []string{"info.version"}) {
			t.Errorf("%s is not %s: it differs at %q", path, file, d)
		}
	}
	if version := follow(got, api+".info.version"); version != "!!str 1.2.3" {
		t.Errorf("got the version %q of the API, want the release's", version)
	}
}

func follow(document any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		mapping, _ := document.(map[string]any)
		document = mapping[key]
	}
	return document
}

// Whatever in the template is the name of a file has to be beside it.
func TestTemplate_refersToNothingButWhatIsReleasedWithIt(t *testing.T) {
	files := packed(t)
	for architecture, processor := range processors {
		var document yaml.Node
		if err := yaml.Unmarshal(files["template-"+architecture+".yaml"], &document); err != nil {
			t.Fatal(err)
		}
		zips := 0
		for _, value := range scalars(&document) {
			isZip := strings.HasSuffix(value, "_linux_"+architecture+".zip")
			if isZip {
				zips++
			}
			info, err := os.Stat(filepath.Join("../..", value))
			isFile := err == nil && (info.Mode().IsRegular() || value == ".")
			if (isFile || isZip) && files[value] == nil {
				t.Errorf("%s: %s is not in the release", architecture, value)
			}
			if value == "AWS::Include" || value == "DefinitionUri" {
				t.Errorf("%s: %s is left", architecture, value)
			}
		}
		if zips != len(programs) {
			t.Errorf("%s: got %d zips, want one for each of the %d functions", architecture, zips, len(programs))
		}
		allowed := at(document.Content[0], "Parameters", "Architecture", "AllowedValues")
		if len(allowed.Content) != 1 || allowed.Content[0].Value != processor {
			t.Errorf("%s: the template can be deployed for another architecture than %s", architecture, processor)
		}
	}
}

func scalars(node *yaml.Node) []string {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	var all []string
	for _, one := range node.Content {
		all = append(all, scalars(one)...)
	}
	return all
}

func TestPack_leadsToItsSourceWhereItIsTold(t *testing.T) {
	const address = "https://example.com/source/v1.2.3"

	files := packedAnew(t, address)

	application := follow(parsed(t, files["template-arm64.yaml"]), "Metadata.AWS::ServerlessRepo::Application")
	if got, want := follow(application, "SourceCodeUrl"), "!!str "+address; got != want || follow(application, "HomePageUrl") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(files["README.md"]), -1) {
		if !strings.HasPrefix(link[1], "https://") && !strings.HasPrefix(link[1], "#") {
			t.Errorf("README.md links %s, which is not beside it", link[1])
		}
	}
	if !strings.Contains(string(files["README.md"]), "]("+address+"/docs/deploy.md") {
		t.Error("README.md does not lead to the source")
	}
}

func TestPack_refusesAReleaseThatLacksAFunction(t *testing.T) {
	err := release{source: "../..", version: "1.2.3"}.templates(map[string][]byte{zipName("api", "1.2.3", "arm64"): {1}})

	if err == nil || !strings.Contains(err.Error(), "which is not among the functions") {
		t.Errorf("got %v, want that a zip is missing", err)
	}
}

// That example puts the zips' place in a bucket before their names.
func TestTerraformExample_findsEachZip(t *testing.T) {
	const before = `"CodeUri: segura-enable-"`
	if !strings.Contains(string(sourceFile(t, "examples/terraform/main.tf")), before) {
		t.Fatalf("the example does not look for %s", before)
	}

	if got := strings.Count(string(packed(t)["template-arm64.yaml"]), strings.Trim(before, `"`)); got != len(programs) {
		t.Errorf("got %d zips, want %d", got, len(programs))
	}
}

func TestPrograms_areThoseOfSAMBuild(t *testing.T) {
	got := map[string]string{}
	for _, found := range regexp.MustCompile(`(?m)^build-(\w+): NAME := (\w+)$`).FindAllStringSubmatch(string(sourceFile(t, "Makefile")), -1) {
		got[found[1]] = found[2]
	}
	if fmt.Sprint(got) != fmt.Sprint(programs) {
		t.Errorf("the Makefile has %v, want %v", got, programs)
	}
}

func TestReleasedVersion_isTheNewestOfTheChangelog(t *testing.T) {
	for _, row := range []struct{ changelog, version, fault string }{
		{"# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-02\n\n- More\n\n## [1.1.0] - 2026-01-01\n", "1.2.0", ""},
		{"# Changelog\n\n## [1.2.0] - 2026-01-02\n\n- More\n", "1.2.0", ""},
		{"# Changelog\n\n## [Unreleased]\n\n### Added\n\n- More\n\n## [1.1.0] - 2026-01-01\n", "", "changes that are not released"},
		{"# Changelog\n\n## [Unreleased]\n", "", "names no version"},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "CHANGELOG.md"), []byte(row.changelog), 0o600); err != nil {
			t.Fatal(err)
		}

		got, err := releasedVersion(folder)

		if got != row.version || (err == nil) != (row.fault == "") || err != nil && !strings.Contains(err.Error(), row.fault) {
			t.Errorf("%q: got %q, %v, want %q, %q", row.changelog, got, err, row.version, row.fault)
		}
	}
}

func TestChangelog_namesVersionsWithTheirDatesNewestFirst(t *testing.T) {
	newer := "9999-12-31"
	headings := regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(sourceFile(t, "CHANGELOG.md")), -1)
	if len(headings) < 2 {
		t.Fatalf("got %d headings, want Unreleased and a version at least", len(headings))
	}
	for i, heading := range headings {
		if i == 0 && heading[1] == "[Unreleased]" {
			continue
		}
		found := regexp.MustCompile(`^\[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d)$`).FindStringSubmatch(heading[1])
		if found == nil {
			t.Fatalf("got the heading %q, want a version and a date", heading[1])
		}
		if _, err := time.Parse(time.DateOnly, found[1]); err != nil || found[1] > newer {
			t.Errorf("got the date of %q, want one at most %s (%v)", heading[1], newer, err)
		}
		newer = found[1]
	}
}
