package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// programs are the functions of template.yaml, each with the folder of functions that
// it is compiled from, as the Makefile's targets for sam build have it.
var programs = map[string]string{
	"ApiFunction": "api", "EventFunction": "event", "WindowApiFunction": "window", "WindowFunction": "window",
}

// processors are the architectures that a release is made for: Go's names, and
// CloudFormation's.
var processors = map[string]string{"arm64": "arm64", "amd64": "x86_64"}

func zipName(function, version, architecture string) string {
	return fmt.Sprintf("segura-enable-%s_%s_linux_%s.zip", function, version, architecture)
}

// flatTemplate returns template.yaml as it is released: with what it includes in it,
// and with the zips beside it for code. It is for one architecture, and takes no
// other, so that the zips and the functions' Architectures agree. An address is where
// the source can be read; it may be empty.
func flatTemplate(source, version, address, architecture string) ([]byte, error) {
	if version == "" || processors[architecture] == "" {
		return nil, fmt.Errorf("there is no template of version %q for %q", version, architecture)
	}
	document, err := readYAML(source, "template.yaml")
	if err != nil {
		return nil, err
	}
	template, processor := document.Content[0], processors[architecture]
	if err := include(template, source); err != nil {
		return nil, err
	}
	remove(at(template, "Globals", "Function"), "CodeUri")
	if err := stamp(template, version, address, processor); err != nil {
		return nil, err
	}
	resources := at(template, "Resources").Content
	for i := 0; i+1 < len(resources); i += 2 {
		if err := flattenResource(resources[i].Value, resources[i+1], source, version, architecture); err != nil {
			return nil, err
		}
	}
	document.HeadComment = fmt.Sprintf("# segura-enable %s for %s, to be deployed with the zips beside it.\n", version, processor)
	return written(document)
}

// stamp says what the release is, and which architecture it takes.
func stamp(template *yaml.Node, version, address, processor string) error {
	for _, edit := range []struct {
		value *yaml.Node
		path  []string
	}{
		{scalar(version), []string{"Metadata", "AWS::ServerlessRepo::Application", "SemanticVersion"}},
		{scalar(version), []string{"Resources", "Api", "Properties", "DefinitionBody", "info", "version"}},
		{scalar(processor), []string{"Parameters", "Architecture", "Default"}},
		{sequence(processor), []string{"Parameters", "Architecture", "AllowedValues"}},
		{scalar("Of the functions, and of the zips beside this template. Each architecture has a template of its own."), []string{"Parameters", "Architecture", "Description"}},
	} {
		node := at(template, edit.path...)
		if node == nil {
			return fmt.Errorf("template.yaml: there is no %s", strings.Join(edit.path, "."))
		}
		*node = *edit.value
	}
	if address != "" {
		application := at(template, "Metadata", "AWS::ServerlessRepo::Application")
		set(application, "HomePageUrl", scalar(address))
		set(application, "SourceCodeUrl", scalar(address))
	}
	return nil
}

// flattenResource gives a function its zip, and a state machine its definition.
func flattenResource(name string, resource *yaml.Node, source, version, architecture string) error {
	properties := at(resource, "Properties")
	switch kind := at(resource, "Type"); {
	case kind == nil:
		return fmt.Errorf("template.yaml: %s has no Type", name)
	case kind.Value == "AWS::Serverless::Function":
		program, known := programs[name]
		if !known {
			return fmt.Errorf("template.yaml: nobody has said what %s is compiled from", name)
		}
		remove(resource, "Metadata") // how sam build makes it
		set(properties, "CodeUri", scalar(zipName(program, version, architecture)))
	case kind.Value == "AWS::Serverless::StateMachine":
		uri := at(properties, "DefinitionUri")
		if uri == nil {
			return nil
		}
		definition, err := readYAML(source, uri.Value) // JSON is YAML
		if err != nil {
			return err
		}
		set(properties, "Definition", definition.Content[0])
		remove(properties, "DefinitionUri")
	}
	return nil
}

// include puts the documents that AWS::Include names in its place.
func include(node *yaml.Node, source string) error {
	if call := at(node, "Fn::Transform"); call != nil {
		name, location := at(call, "Name"), at(call, "Parameters", "Location")
		if name == nil || name.Value != "AWS::Include" || location == nil {
			return errors.New("template.yaml: Fn::Transform with anything but AWS::Include")
		}
		document, err := readYAML(source, location.Value)
		if err != nil {
			return err
		}
		*node = *document.Content[0]
		return nil
	}
	for _, one := range node.Content {
		if err := include(one, source); err != nil {
			return err
		}
	}
	return nil
}

func readYAML(folder, name string) (*yaml.Node, error) {
	content, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name))) //nolint:gosec // the source that is released
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(document.Content) != 1 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	return &document, nil
}

func written(document *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(document), encoder.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// at follows keys of mappings; nil where one is missing.
func at(node *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		i := position(node, key)
		if i < 0 {
			return nil
		}
		node = node.Content[i+1]
	}
	return node
}

func position(mapping *yaml.Node, key string) int {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

func set(mapping *yaml.Node, key string, value *yaml.Node) {
	if i := position(mapping, key); i >= 0 {
		mapping.Content[i+1] = value
		return
	}
	mapping.Content = append(mapping.Content, scalar(key), value)
}

func remove(mapping *yaml.Node, key string) {
	if i := position(mapping, key); i >= 0 {
		mapping.Content = slices.Delete(mapping.Content, i, i+2)
	}
}

func scalar(value string) *yaml.Node {
	var node yaml.Node
	node.SetString(value)
	return &node
}

func sequence(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{scalar(value)}}
}

// releasedVersion is that of the newest release in CHANGELOG.md, which is where a
// version is written down. What is not released yet has none.
func releasedVersion(source string) (string, error) {
	content, err := os.ReadFile(filepath.Join(source, "CHANGELOG.md")) //nolint:gosec // the source that is released
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		switch heading, isHeading := strings.CutPrefix(line, "## ["); {
		case isHeading && !strings.HasPrefix(heading, "Unreleased]"):
			version, _, _ := strings.Cut(heading, "]")
			return version, nil
		case strings.HasPrefix(line, "- "):
			return "", errors.New("CHANGELOG.md has changes that are not released: give them a version and a date, or name a trial: make dist VERSION=1.2.3-rc.1")
		}
	}
	return "", errors.New("CHANGELOG.md names no version")
}
