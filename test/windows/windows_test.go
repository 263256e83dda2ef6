// Package windows proves windows on the compiled function, with a DynamoDB API, a
// Segura and Lambda's Runtime API around it.
package windows

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/window"
	"segura-enable/simulated/dynamodb"
	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// identifier is one of a window's, as shown.
type identifier struct {
	Identifier int64
	State      string
	Error      *struct{ Code string }
}

// shown is a window, a problem or a report.
type shown struct {
	ID, State, From, Until, Reason, Code, Window string
	OpenedBy                                     string `json:"opened_by"`
	ClosedBy                                     string `json:"closed_by"`
	Identifiers                                  []identifier
	Extensions                                   []struct{ Until, By string }
	Windows                                      []shown
	Next                                         string
	Open, Enabled, Disabled, Overdue, Failed     int

	status    int
	header    map[string]string
	errorType string
	logs      []string
}

func (s shown) states() string {
	var texts []string
	for _, i := range s.Identifiers {
		texts = append(texts, fmt.Sprint(i.Identifier, " ", i.State))
	}
	return strings.Join(texts, ", ")
}

func (w *scene) invoke(payload any) runtimeapi.Invocation {
	w.t.Helper()
	text, err := json.Marshal(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	p := w.cast[w.at]
	x, err := w.Observe(w.t.Context(), stage.Window, text, func() (runtimeapi.Invocation, error) {
		return p.Invoke(w.t.Context(), text, runtimeapi.WithClockAhead(p.clock.Ahead()))
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(x.Leaks) > 0 {
		w.t.Errorf("leaks: %v", x.Leaks)
	}
	return x.Invocation
}

// call sends an HTTP request.
func (w *scene) call(method, path, body string, header ...string) shown {
	w.t.Helper()
	headers := map[string]string{}
	for at := 0; at+1 < len(header); at += 2 {
		headers[header[at]] = header[at+1]
	}
	path, query, _ := strings.Cut(path, "?")
	event := stage.HTTPEvent(method, path, body, headers)
	event["rawQueryString"] = query
	inv := w.invoke(event)
	var response struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	if err := json.Unmarshal(inv.Payload, &response); err != nil {
		w.t.Fatalf("%v: %s", err, inv.Payload)
	}
	s := w.read([]byte(response.Body))
	s.status, s.header, s.logs = response.StatusCode, response.Headers, inv.Logs
	return s
}

// event sends a document.
func (w *scene) event(document string) shown {
	w.t.Helper()
	inv := w.invoke(json.RawMessage(document))
	text := inv.Payload
	if inv.FunctionError {
		text = []byte(inv.ErrorMessage)
	}
	s := shown{}
	_ = json.Unmarshal(text, &s)
	s.errorType, s.logs = inv.ErrorType, inv.Logs
	return s
}

func (w *scene) read(text []byte) shown {
	w.t.Helper()
	var s shown
	if err := json.Unmarshal(text, &s); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	return s
}

func (w *scene) enabled(i int64) bool { return w.Segura.States()[i].Active }

func (w *scene) require(what string, got, want any) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func opensShowsAndCloses(w *scene) {
	opened := w.call("POST", "/windows", `{"identifiers":[1000,"1001"],"for":"PT1H","reason":"CHG1"}`)
	on := w.enabled(1000) && w.enabled(1001)
	seen := w.call("GET", "/windows/"+opened.ID, "")
	closed := w.call("POST", "/windows/"+opened.ID+"/close", `{"reason":"done"}`)
	again := w.call("POST", "/windows/"+opened.ID+"/close", "")

	w.require("opened", []any{opened.status, opened.header["Location"], opened.State, opened.states(), on},
		[]any{201, "/windows/" + opened.ID, "open", "1000 enabled, 1001 enabled", true})
	w.require("seen", []any{seen.status, seen.State, seen.Reason}, []any{200, "open", "CHG1"})
	w.require("closed", []any{closed.status, closed.State, closed.states(), w.enabled(1000)}, []any{200, "closed", "1000 disabled, 1001 disabled", false})
	w.require("closed again", []any{again.status, again.State}, []any{200, "closed"})
	audit := strings.Join(opened.logs, "\n")
	if strings.Count(audit, `"source":"window"`) != 2 || !strings.Contains(audit, `"window":"`+opened.ID+`"`) || !strings.Contains(audit, `"reason":"CHG1"`) {
		w.t.Errorf("audit lines: %s", audit)
	}
}

func disablesAtTheEnd(w *scene) {
	opened := w.call("POST", "/windows", `{"identifiers":[1020],"for":"PT1M"}`)
	next := w.call("POST", "/windows", `{"identifiers":[1021],"from":"`+opened.Until+`","for":"PT1H"}`)
	w.event(`{"reconcile":true}`)
	before := len(w.Tables.Requests())
	quiet := w.event(`{"reconcile":true}`)
	asked := w.Tables.Requests()[before:]

	move(60)(w)
	report := w.event(`{"reconcile":true}`)
	opened = w.call("GET", "/windows/"+opened.ID, "")
	next = w.call("GET", "/windows/"+next.ID, "")

	w.require("quiet", []any{quiet.Enabled, quiet.Disabled, asked}, []any{0, 0, []string{"Query"}})
	w.require("report", []any{report.Enabled, report.Disabled, report.Failed, report.Overdue}, []any{1, 1, 0, 0})
	w.require("the first", []any{opened.State, opened.ClosedBy, opened.states(), w.enabled(1020)}, []any{"closed", "time", "1020 disabled", false})
	w.require("the next", []any{next.State, next.states(), w.enabled(1021)}, []any{"open", "1021 enabled", true})
	metrics := strings.Join(report.logs, "\n")
	for _, name := range []string{`"Reconciled":1`, `"WindowsOpen":`, `"WindowsOverdue":0`, `"DriftRepaired":0`} {
		if !strings.Contains(metrics, name) {
			w.t.Errorf("no %s in %s", name, metrics)
		}
	}
	w.call("POST", "/windows/"+next.ID+"/close", "")
}

func extends(w *scene) {
	a := w.call("POST", "/windows", `{"identifiers":[1030],"for":"PT1M"}`)
	end, _ := window.ParseTime(a.Until)
	move(60)(w)
	over := w.call("GET", "/windows/"+a.ID, "")
	before := w.calls(1030)
	extended := w.call("POST", "/windows/"+a.ID+"/extend", `{"by":"PT1H","reason":"more"}`)
	calls := w.calls(1030) - before
	shorter := w.call("POST", "/windows/"+a.ID+"/extend", `{"until":"`+a.Until+`"}`)
	long := w.call("POST", "/windows/"+a.ID+"/extend", `{"by":"P2D"}`)
	w.call("POST", "/windows/"+a.ID+"/close", "")
	late := w.call("POST", "/windows/"+a.ID+"/extend", `{"by":"PT1H"}`)

	w.require("over", over.State, "closing")
	w.require("extended", []any{extended.status, extended.State, len(extended.Extensions), extended.Until, calls},
		[]any{200, "open", 1, end + 3600, 0})
	w.require("refused", []any{shorter.status, long.status, late.status, late.Code}, []any{400, 400, 409, "window_closed"})
}

// calls counts the calls that Segura got for an API secret.
func (w *scene) calls(i int64) int {
	n := 0
	for _, r := range w.Segura.Requests() {
		if r.Identifier == i {
			n++
		}
	}
	return n
}

func comparesKeys(w *scene) {
	body := `{"identifiers":[1040],"for":"PT1H"}`
	first := w.call("POST", "/windows", body, "Idempotency-Key", "k1")
	second := w.call("POST", "/windows", `{"for":"PT1H","identifiers":["1040",1040]}`, "Idempotency-Key", "k1")
	other := w.call("POST", "/windows", `{"identifiers":[1041],"for":"PT1H"}`, "Idempotency-Key", "k1")
	empty := w.call("POST", "/windows", body, "Idempotency-Key", "")
	extended := w.call("POST", "/windows/"+first.ID+"/extend", `{"by":"PT1H"}`, "Idempotency-Key", "k2")
	again := w.call("POST", "/windows/"+first.ID+"/extend", `{"by":"PT1H"}`, "Idempotency-Key", "k2")
	w.call("POST", "/windows/"+first.ID+"/close", "")
	closed := w.call("POST", "/windows", body, "Idempotency-Key", "k1")

	w.require("the same", []any{first.status, second.status, second.ID, closed.status, closed.State}, []any{201, 200, first.ID, 200, "closed"})
	w.require("refused", []any{other.status, other.Code, empty.status}, []any{409, "idempotency_conflict", 400})
	w.require("extended once", []any{extended.status, again.status, again.Until, len(again.Extensions)}, []any{200, 200, extended.Until, 1})
}

// every fails each nth write.
func every(n int, fault dynamodb.Fault) func(string) dynamodb.Fault {
	seen := 0
	return func(operation string) dynamodb.Fault {
		if operation != "PutItem" && operation != "TransactWriteItems" {
			return dynamodb.None
		}
		if seen++; seen%n == 0 {
			return fault
		}
		return dynamodb.None
	}
}

func survivesAnUnheardWrite(w *scene) {
	defer w.Tables.FailWith(nil)
	for at, fault := range []dynamodb.Fault{dynamodb.Unheard, dynamodb.Refused, dynamodb.Throttled} {
		i := int64(1050 + at)
		w.Tables.FailWith(every(2, fault))
		a := w.call("POST", "/windows", fmt.Sprintf(`{"identifiers":[%d],"for":"PT1H"}`, i), "Idempotency-Key", fmt.Sprint("unheard", at))
		a = w.call("POST", "/windows/"+a.ID+"/extend", `{"by":"PT1H"}`)
		on := w.enabled(i)
		a = w.call("POST", "/windows/"+a.ID+"/close", "")

		w.require(fmt.Sprint("fault ", at), []any{on, a.State, len(a.Extensions), w.enabled(i)}, []any{true, "closed", 1, false})
	}
}

func enablesNothingWithoutTheTable(w *scene) {
	defer w.Tables.FailWith(nil)
	w.Tables.FailWith(func(string) dynamodb.Fault { return dynamodb.Refused })
	refused := w.call("POST", "/windows", `{"identifiers":[1060],"for":"PT1H"}`)
	report := w.event(`{"reconcile":true}`)

	w.require("refused", []any{refused.status, refused.Code, w.calls(1060), refused.header["Retry-After"] != ""}, []any{503, "windows_unavailable", 0, true})
	w.require("reconcile", report.errorType, "Segura.TransientError")
}

func refuses(w *scene) {
	for _, row := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/windows", `{"identifiers":[1070]}`, 400},
		{"POST", "/windows", ``, 400},
		{"POST", "/windows", `{"identifiers":[1070],"for":"P1DT1S"}`, 400},
		{"POST", "/windows", `{"identifiers":[1070],"until":"2027-02-29T18:00:00Z"}`, 400},
		{"POST", "/windows", `{"identifiers":[1070,5],"for":"PT1H"}`, 403},
		{"GET", "/windows/01JD3ZZZZZZZZZZZZZZZZZZZZZ", "", 404},
		{"GET", "/windows/nothing", "", 404},
		{"GET", "/windows/a/b", "", 404},
		{"POST", "/windows/x", "{}", 405},
		{"DELETE", "/windows", "", 405},
		{"GET", "/windows?limit=0", "", 400},
		{"GET", "/windows?state=gone", "", 400},
		{"GET", "/windows?color=red", "", 400},
	} {
		got := w.call(row.method, row.path, row.body)
		w.require(row.method+" "+row.path+" "+row.body, got.status, row.status)
	}
	w.require("calls", w.calls(1070), 0)
	for _, document := range []string{
		`{}`, `{"reconcile":false}`, `{"reconcile":true,"check":true}`, `{"window":{"identifiers":[1070],"for":"PT1H"},"reason":"x"}`,
		`{"close":{"reason":"x"}}`, `{"detail-type":"x","source":"y","detail":{"reconcile":true}}`,
		`{"replay-name":"r","detail-type":"x","source":"y","detail":{"window":{"identifiers":[1070],"for":"PT1H"}}}`,
		`{"version":"1.0","requestContext":{"functionArn":"arn:aws:lambda:eu-west-1:1:function:f","condition":"RetriesExhausted"},"requestPayload":{"reconcile":true}}`,
	} {
		w.require(document, w.event(document).errorType, "Segura.InvalidRequest")
	}
	gone := w.event(`{"close":{"id":"01JD3ZZZZZZZZZZZZZZZZZZZZZ"}}`)
	w.require("close", []any{gone.errorType, gone.Code}, []any{"Segura.PermanentError", "window_not_found"})
}

func callsFor(i int64) seguratest.Match {
	return seguratest.Match{When: func(r seguratest.Request) bool { return r.Identifier == i }}
}

func closesWhatFailed(w *scene) {
	w.Segura.Fail(callsFor(1080), seguratest.NotFound1005(), -1)
	failed := w.call("POST", "/windows", `{"identifiers":[1080],"for":"PT1H"}`)
	seen := w.call("GET", "/windows/"+failed.Window, "")
	partly := w.call("POST", "/windows", `{"identifiers":[1080,1081],"for":"PT1H"}`)

	w.require("failed", []any{failed.status, failed.Code}, []any{404, "not_found"})
	w.require("seen", []any{seen.status, seen.State, seen.states()}, []any{200, "closed", "1080 failed"})
	w.require("partly", []any{partly.status, partly.states()}, []any{201, "1080 failed, 1081 enabled"})
	before := w.calls(1080)
	partly = w.call("POST", "/windows/"+partly.ID+"/close", "")
	w.require("closed", []any{partly.State, partly.states(), w.calls(1080) - before}, []any{"closed", "1080 failed, 1081 disabled", 0})
}

func lists(w *scene) {
	var ids []string
	for at := range 5 {
		a := w.call("POST", "/windows", fmt.Sprintf(`{"identifiers":[1110],"for":"PT%dH"}`, 5-at))
		ids = append([]string{a.ID}, ids...) // by their ends
	}
	w.call("POST", "/windows/"+ids[4]+"/extend", `{"by":"PT1H"}`)
	var got []string
	extensions := 0
	for path := "/windows?identifier=1110&limit=2"; path != ""; {
		page := w.call("GET", path, "")
		for _, one := range page.Windows {
			got = append(got, one.ID)
			extensions += len(one.Extensions)
		}
		if path = ""; page.Next != "" {
			path = "/windows?identifier=1110&limit=2&next=" + page.Next
		}
	}
	for _, id := range ids {
		w.call("POST", "/windows/"+id+"/close", "")
	}
	closed := w.call("GET", "/windows?state=closed&identifier=1110", "")

	w.require("live", got, ids)
	w.require("extensions", extensions, 1)
	var newest []string
	for _, one := range closed.Windows {
		newest = append(newest, one.ID)
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	w.require("closed, the newest first", newest, ids)
}

func checks(w *scene) {
	inv := w.invoke(map[string]bool{"check": true})
	w.require("check", strings.Contains(string(inv.Payload), `{"name":"table","outcome":"passed"`), true)
}

func TestFunctions_onlyThatForWindowsLinksDynamoDB(t *testing.T) {
	for function, want := range map[string]bool{"api": false, "event": false, "window": true} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../functions/"+function).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(out), "/service/dynamodb"); got != want {
			t.Errorf("functions/%s links DynamoDB: %t, want %t", function, got, want)
		}
	}
}
