// Package facts collects what the template, openapi.yaml and the README have to
// agree with from the running code: from its types, its constants and what the
// doors do. tools/sam reads it as facts.json.
package facts

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/config"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/telemetry"
)

var record = flag.Bool("record", false, "write tools/sam/facts.json anew")

const file = "../../tools/sam/facts.json"

// facts is the file. Whatever is nothing here was not found.
type facts struct {
	AuditKeys        []string            `json:"audit_keys"`
	Codes            map[string]answer   `json:"codes"`
	ErrorMembers     []string            `json:"error_members"`
	ErrorTypes       []string            `json:"error_types"` // of function errors
	ItemMembers      []string            `json:"item_members"`
	Limits           limits              `json:"limits"`
	Metrics          map[string][]string `json:"metrics"` // each with its dimensions, joined by commas
	Namespace        string              `json:"namespace"`
	Outcomes         []string            `json:"outcomes"`
	Problem          problem             `json:"problem"`
	Refusals         []int               `json:"refusals"` // statuses of requests that cannot be understood
	ResultMembers    []string            `json:"result_members"`
	Routes           []string            `json:"routes"` // as OpenAPI writes them
	ScheduledSources []string            `json:"scheduled_sources"`
	OwnSource        string              `json:"own_source"`
	Successes        []int               `json:"successes"` // statuses of requests that were carried out
	Variables        map[string]variable `json:"variables"`
	Windows          windows             `json:"windows"`
}

// answer is how a code looks over HTTP, and whether it is retryable as such.
type answer struct {
	Retryable bool   `json:"retryable"`
	Status    int    `json:"status"`
	Title     string `json:"title"`
}

// limits of what one HTTP request may hold.
type limits struct {
	Identifiers int `json:"identifiers"`
	Reason      int `json:"reason"`
}

type problem struct {
	Members    []string `json:"members"`
	Required   []string `json:"required"`
	TypePrefix string   `json:"type_prefix"`
}

// variable is one of the environment's that package config reads.
type variable struct {
	Default string `json:"default"`
	Field   string `json:"field"` // of config.Config
	Max     int    `json:"max,omitempty"`
	Min     int    `json:"min,omitempty"`
	// Parameter is the template's, which messages name beside the variable.
	Parameter string `json:"parameter,omitempty"`
}

func TestFacts_areAsRecorded(t *testing.T) {
	found := collect(t)
	requireWhole(t, found)
	got, err := json.MarshalIndent(found, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *record {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(file)

	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("tools/sam/facts.json is not what the code does (%v): see the difference that make facts makes, and mend the template, openapi.yaml and the README\n%s", err, changed(string(want), string(got)))
	}
}

// requireWhole fails for what was found nowhere: where the code has changed its
// ways, that is a change of this test too, not a check that passes.
func requireWhole(t *testing.T, found facts) {
	t.Helper()
	value := reflect.ValueOf(found)
	for i := range value.NumField() {
		if field := value.Field(i); field.IsZero() || field.Kind() != reflect.Struct && field.Kind() != reflect.String && field.Len() == 0 {
			t.Errorf("found no %s", value.Type().Field(i).Name)
		}
	}
}

// changed returns the lines that only one of the texts has.
func changed(want, got string) string {
	var lines strings.Builder
	for _, side := range []struct{ sign, text, other string }{{"-", want, got}, {"+", got, want}} {
		for line := range strings.Lines(side.text) {
			if !strings.Contains(side.other, line) {
				lines.WriteString(side.sign + line)
			}
		}
	}
	return lines.String()
}

func collect(t *testing.T) facts {
	t.Helper()
	f := observe(t)
	f.ErrorMembers = members(reflect.TypeFor[apisecret.Error]())
	f.ErrorTypes = errorTypes(t)
	f.ItemMembers = members(reflect.TypeFor[apisecret.Item]())
	f.Limits = limits{httpapi.MaxIdentifiers, apisecret.MaxReason}
	f.Namespace = telemetry.Namespace
	f.Outcomes = constants(t, "apisecret", "Outcome")
	f.Variables = variables(t, func(getenv func(string) string) (any, error) { return config.Load(getenv) })
	return f
}
