package facts

import (
	"encoding/json"
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
func (d *doors) windows(t *testing.T, f *facts) {
	t.Helper()
	others := maps.Clone(f.Metrics)
	h := d.windowDoor(t)
	shown := d.openOne(t, h)
	f.Windows = windows{
		Codes: map[string]answer{}, Members: members(reflect.TypeFor[window.Shown]()),
		IdentifierMembers: members(reflect.TypeFor[window.ShownIdentifier]()), ExtensionMembers: members(reflect.TypeFor[window.ShownExtension]()),
		ErrorMembers: members(reflect.TypeFor[window.Fault]()),
		States:       constants(t, "window", "State"), IdentifierStates: constants(t, "window", "LeaseState"),
		Routes: windowRoutes(t, h, shown), Metrics: map[string][]string{}, Variables: windowVariables(t),
	}
	for _, code := range windowCodes() {
		p := httpapi.ProblemOf(apisecret.NewError(code, "x"))
		f.Windows.Codes[string(code)] = answer{p.Retryable, p.Status, p.Title}
	}
	if _, err := h.Invoke(invoked(t), []byte(`{"reconcile":true}`)); err != nil {
		t.Error(err)
	}
	d.readLines(t, f)
	f.Windows.Event = eventPaths(t, h)
	for name, dimensions := range f.Metrics {
		if others[name] == nil {
			f.Windows.Metrics[name] = dimensions
		}
	}
	f.Metrics = others
}

// windowDoor returns the door to windows, with a table behind it.
func (d *doors) windowDoor(t *testing.T) *windowdoor.Handler {
	t.Helper()
	table, _ := windowtest.Start(t)
	return &windowdoor.Handler{
		Windows: &window.Keeper{
			Table:  table,
			Caller: d.Runner, Longest: 24 * time.Hour, AttemptTimeout: time.Second, FirstCalls: 10, Log: d.Logger,
		},
		Runner: d.Runner, Telemetry: d.Telemetry, Log: d.Logger,
	}
}

// openOne opens a window and returns its id.
func (d *doors) openOne(t *testing.T, h *windowdoor.Handler) string {
	t.Helper()
	reply, err := h.Invoke(invoked(t), []byte(`{"window":{"identifiers":[5],"for":"PT1H","reason":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var shown window.Shown
	decode(t, reply, &shown)
	return shown.ID
}

// eventPaths returns where the item of a window that was just opened has what the
// readers of the table's stream are told.
func eventPaths(t *testing.T, h *windowdoor.Handler) map[string]string {
	t.Helper()
	table, _ := h.Windows.Table.(*windowtable.Table)
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
	t.Helper()
	served := map[string][]string{}
	for _, path := range []string{"/windows", "/windows/{id}", "/windows/{id}/extend", "/windows/{id}/close", "/windows/{id}/reopen"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			payload, _ := json.Marshal(map[string]any{"httpMethod": method, "path": strings.ReplaceAll(path, "{id}", id), "requestContext": map[string]any{}})
			reply, err := h.Invoke(invoked(t), payload)
			if err != nil {
				t.Fatal(err)
			}
			var r response
			decode(t, reply, &r)
			if r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusMethodNotAllowed {
				served[path] = append(served[path], strings.ToLower(method))
			}
		}
	}
	return served
}

// windowVariables returns what config.LoadWindows asks for.
func windowVariables(t *testing.T) map[string]variable {
	t.Helper()
	load := func(getenv func(string) string) (any, error) { return config.LoadWindows(getenv) }
	return variables(t, load)
}
