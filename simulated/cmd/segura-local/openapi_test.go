package main

import (
	"os"
	"regexp"
	"testing"
)

// sam local start-api ends where an integration's type depends on a condition
// (swagger/parser.py, _get_integration, of SAM CLI 1.170), and the type is all that it
// needs to pass one by.
func TestOpenAPI_saysEveryIntegrationsTypeOutright(t *testing.T) {
	document, err := os.ReadFile("../../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	integrations := regexp.MustCompile(`x-amazon-apigateway-integration:\n *(.*)`).FindAllSubmatch(document, -1)
	if len(integrations) == 0 {
		t.Error("got no integration, want those of the API")
	}
	for _, i := range integrations {
		if string(i[1]) != "type: aws_proxy" {
			t.Errorf("got %q, want the type", i[1])
		}
	}
}
