package facts

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/config"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/window"
	"segura-enable/internal/windowdoor"
	"segura-enable/internal/windowtable"
	"segura-enable/test/windowtest"
)

// windows is what the file has of windows.
type windows struct {
	Codes             map[string]answer   `json:"codes"` // that no identifier has
	Members           []string            `json:"members"`
	IdentifierMembers []string            `json:"identifier_members"`
	ExtensionMembers  []string            `json:"extension_members"`
	ErrorMembers      []string            `json:"error_members"`
	States            []string            `json:"states"`
	IdentifierStates  []string            `json:"identifier_states"`
	Metrics           map[string][]string `json:"metrics"`
	Routes            map[string][]string `json:"routes"`    // methods by path
	Variables         map[string]variable `json:"variables"` // that the other functions do not read
	Event             map[string]string   `json:"event"`     // paths of an item of the table, by what they are told as
}

// windowCodes are the codes that a request for a window has beside an identifier's.
func windowCodes() []apisecret.Code {
	return []apisecret.Code{apisecret.WindowNotFound, apisecret.WindowClosed, apisecret.IdempotencyConflict, apisecret.WindowsUnavailable}
}

// isIdentifiers reports whether a code may be one identifier's.
func isIdentifiers(code string) bool {
	return code != string(apisecret.InvalidRequest) && !slices.Contains(windowCodes(), apisecret.Code(code))
}

// windows observes the door to windows. What it logs is the other doors' too, but for
// metrics of its own.
func (d *doors) windows() {
	others := maps.Clone(d.Metrics)
	table, _ := windowtest.Start(d.T)
	h := &windowdoor.Handler{
		Windows: &window.Keeper{
			Table:  table,
			Caller: d.Runner, Longest: 24 * time.Hour, AttemptTimeout: time.Second, FirstCalls: 10, Log: d.Logger,
		},
		Runner: d.Runner, Telemetry: d.Telemetry, Log: d.Logger,
	}
	reply, err := h.Invoke(invoked(d.T), []byte(`{"window":{"identifiers":[5],"for":"PT1H","reason":"x"}}`))
	if err != nil {
		d.Fatal(err)
	}
	var shown window.Shown
	decode(d.T, reply, &shown)
	d.Windows = windows{
		Codes: map[string]answer{}, Members: members(reflect.TypeFor[window.Shown]()),
		IdentifierMembers: members(reflect.TypeFor[window.ShownIdentifier]()), ExtensionMembers: members(reflect.TypeFor[window.ShownExtension]()),
		ErrorMembers: members(reflect.TypeFor[window.Fault]()),
		States:       constants(d.T, "window", "State"), IdentifierStates: constants(d.T, "window", "LeaseState"),
		Routes: windowRoutes(d.T, h, shown.ID), Metrics: map[string][]string{},
		Variables: variables(d.T, func(getenv func(string) string) (any, error) { return config.LoadWindows(getenv) }),
	}
	for _, code := range windowCodes() {
		p := httpapi.ProblemOf(apisecret.NewError(code, "x"))
		d.Windows.Codes[string(code)] = answer{p.Retryable, p.Status, p.Title}
	}
	if _, err := h.Invoke(invoked(d.T), []byte(`{"reconcile":true}`)); err != nil {
		d.Error(err)
	}
	d.readLines()
	d.Windows.Event = eventPaths(d.T, table)
	for name, dimensions := range d.Metrics {
		if others[name] == nil {
			d.Windows.Metrics[name] = dimensions
		}
	}
	d.Metrics = others
}

// eventPaths returns where the item of a window that was just opened has what the
// readers of the table's stream are told.
func eventPaths(t *testing.T, table *windowtable.Table) map[string]string {
	w := window.Opened("told", window.Now(), window.Now()+60, []apisecret.Identifier{5})
	if err := table.Write(t.Context(), w, nil, nil); err != nil {
		t.Fatal(err)
	}
	out, err := table.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table.Name, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "live"}, "sk": &types.AttributeValueMemberS{Value: w.ID}},
	})
	if err != nil {
		t.Fatal(err)
	}
	told, ok := out.Item["event"].(*types.AttributeValueMemberM)
	if !ok {
		t.Fatalf("the item of a new window tells nothing: %v", out.Item)
	}
	paths := map[string]string{"id": "sk.S"}
	for name, value := range told.Value {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", value), "*types.AttributeValueMember")
		paths[name] = "event.M." + name + "." + kind
	}
	return paths
}

// windowRoutes returns the methods that each path is served with.
func windowRoutes(t *testing.T, h *windowdoor.Handler, id string) map[string][]string {
	served := map[string][]string{}
	for _, path := range []string{"/windows", "/windows/{id}", "/windows/{id}/extend", "/windows/{id}/close", "/windows/{id}/reopen"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			status := serve(invoked(t), t, h, map[string]any{"httpMethod": method, "path": strings.ReplaceAll(path, "{id}", id), "requestContext": map[string]any{}}).status
			if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
				served[path] = append(served[path], strings.ToLower(method))
			}
		}
	}
	return served
}
