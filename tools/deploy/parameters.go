package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// template is what of template.yaml matters here.
type template struct {
	Parameters map[string]declaration `yaml:"Parameters"`
}

type declaration struct {
	Default string `yaml:"Default"`
}

func readTemplate(file string) (t template, _ error) {
	text, err := os.ReadFile(file) //nolint:gosec // the repository's own template
	if err == nil {
		err = yaml.Unmarshal(text, &t)
	}
	if err != nil {
		return t, fmt.Errorf("read the template: %w", err)
	}
	return t, nil
}

// readParameters reads a file of parameters, and gives their values as CloudFormation
// takes them: texts. What is not quoted stays as it is written (YAML would make a
// Boolean of true, and the SAM CLI True of that), an object becomes JSON, and a list
// its items with commas between them.
func readParameters(text []byte, t template) (map[string]string, error) {
	values := map[string]string{}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return values, nil // nothing but comments
	} else if err != nil {
		return nil, err
	}
	root := document.Content[0]
	if root.Tag == "!!null" {
		return values, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("it has to hold lines such as WindowsEnabled: true")
	}
	for i := 0; i < len(root.Content); i += 2 {
		name, node := root.Content[i].Value, root.Content[i+1]
		if _, known := t.Parameters[name]; !known {
			return nil, fmt.Errorf("line %d: the template has no parameter %s", root.Content[i].Line, name)
		}
		if _, repeated := values[name]; repeated {
			return nil, fmt.Errorf("line %d: %s stands here twice", root.Content[i].Line, name)
		}
		value, err := asText(node)
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", node.Line, name, err)
		}
		values[name] = value
	}
	return values, nil
}

func asText(node *yaml.Node) (string, error) {
	switch {
	case node.Tag == "!!null":
		return "", errors.New("no value; '' empties a parameter, and without its line it stays as it is")
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind == yaml.MappingNode:
		return asJSON(node)
	case node.Kind == yaml.SequenceNode:
		var items []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("a list may hold texts and numbers only")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	default:
		return "", errors.New("no anchors and aliases here")
	}
}

func asJSON(node *yaml.Node) (string, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return "", err
	}
	var document strings.Builder
	encoder := json.NewEncoder(&document)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSuffix(document.String(), "\n"), nil
}
