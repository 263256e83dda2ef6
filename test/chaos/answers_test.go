package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// answer is what came of an invocation, read.
type answer struct {
	runtimeapi.Invocation
	request request
	began   time.Time
	ended   time.Time

	text    string // of the document, the item or the problem
	status  int    // over HTTP
	result  *stage.Result
	item    *stage.Item
	problem *stage.Problem
	report  *stage.SelfCheck
	audit   map[int64]auditLine
}

// auditLine is what the audit log has of one identifier.
type auditLine struct {
	Identifier int64
	Outcome    string
	Attempts   int
	Code       string
	Action     string
	Source     string
	Reason     string
	Duration   int64 `json:"duration_ms"`
}

func (l auditLine) succeeded() bool { return l.Code == "" && l.Outcome != "failed" }

// errorTypes are what the event function may end in.
var errorTypes = []string{"Segura.TransientError", "Segura.PermanentError", "Segura.InvalidRequest", "Segura.CheckFailed"}

// read reads what came of an invocation. Its error is one of form.
func (a *answer) read(door string) error {
	said, err := stage.ReadAnswer(door, a.Invocation)
	if err != nil {
		return err
	}
	a.text, a.status = string(said.Text), said.Status
	a.result, a.item, a.problem, a.report = said.Result, said.Item, said.Problem, said.SelfCheck
	if door == api {
		return a.checkHTTP(said.Header)
	}
	if a.FunctionError {
		if !slices.Contains(errorTypes, a.ErrorType) {
			return fmt.Errorf("errorType %q is not documented", a.ErrorType)
		}
		if len(a.Payload) > 32768 {
			return fmt.Errorf("the function error has %d bytes, Step Functions would cut it", len(a.Payload))
		}
	}
	switch {
	case a.request.invalid != nil:
		if a.ErrorType != "Segura.InvalidRequest" || a.ErrorMessage == "" {
			return fmt.Errorf("got %q, want Segura.InvalidRequest and a message", a.ErrorType)
		}
	case a.request.check:
		if a.report == nil || a.FunctionError != (a.ErrorType == "Segura.CheckFailed") {
			return fmt.Errorf("a self-check ended in %q: %s", a.ErrorType, a.text)
		}
	case a.FunctionError && !strings.HasSuffix(a.ErrorType, "tError"): // Transient and Permanent
		return fmt.Errorf("got %q for a valid request", a.ErrorType)
	case a.result == nil || a.FunctionError == (a.result.Failed == 0):
		return fmt.Errorf("the function error is %v, and the result is %s", a.FunctionError, a.text)
	}
	return nil
}

func (a *answer) checkHTTP(header http.Header) error {
	if a.FunctionError {
		return fmt.Errorf("the API function ended in a function error: %s", a.ErrorType)
	}
	if header.Get("Cache-Control") != "no-store" || header.Get("X-Request-Id") != a.RequestID {
		return fmt.Errorf("Cache-Control %q, X-Request-Id %q", header.Get("Cache-Control"), header.Get("X-Request-Id"))
	}
	if a.request.invalid != nil && !slices.Contains(a.request.invalid, a.status) {
		return fmt.Errorf("got status %d, want one of %v", a.status, a.request.invalid)
	}
	if a.status != 200 && a.status != 207 {
		return a.checkProblemForm(header)
	}
	if contentType := header.Get("Content-Type"); contentType != "application/json" {
		return fmt.Errorf("Content-Type of a %d is %q", a.status, contentType)
	}
	if a.request.single {
		if a.item == nil {
			return fmt.Errorf("a %d for one identifier has no item: %s", a.status, a.text)
		}
		return nil
	}
	if a.result == nil || (a.status == 200) != (a.result.Failed == 0) {
		return fmt.Errorf("the status is %d, and the result is %s", a.status, a.text)
	}
	return nil
}

func (a *answer) checkProblemForm(header http.Header) error {
	p := a.problem
	if p == nil {
		return fmt.Errorf("a %d has no problem: %s", a.status, a.text)
	}
	contentType := header.Get("Content-Type")
	if contentType != "application/problem+json" || p.Status != a.status || p.Instance != "urn:uuid:"+a.RequestID || p.Detail == "" || p.Title == "" || p.Type == "" {
		return fmt.Errorf("a problem of %d is incomplete or not called one: %s %+v", a.status, contentType, *p)
	}
	if p.Retryable != (header.Get("Retry-After") != "") {
		return fmt.Errorf("retryable is %v, Retry-After is %q", p.Retryable, header.Get("Retry-After"))
	}
	if (p.Code == "invalid_request") != (a.request.invalid != nil) {
		return fmt.Errorf("got code %q", p.Code)
	}
	if a.request.invalid == nil && !a.request.single {
		return fmt.Errorf("got a problem of %d for several identifiers", a.status)
	}
	return nil
}

// readAudit reads the audit lines of the invocation.
func (a *answer) readAudit() error {
	a.audit = map[int64]auditLine{}
	for _, text := range a.Logs {
		var l stage.Line
		if json.Unmarshal([]byte(text), &l) != nil || !l.IsAudit() {
			continue
		}
		var one auditLine
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return fmt.Errorf("audit line %.300s: %w", text, err)
		}
		if _, twice := a.audit[one.Identifier]; twice {
			return fmt.Errorf("identifier %d has two audit lines", one.Identifier)
		}
		a.audit[one.Identifier] = one
	}
	return nil
}

// checkLine reports what is wrong with the form of a log line.
func checkLine(text, requestID string) error {
	l, err := stage.ReadLine(text)
	if err == nil && requestID != "" && l.Text("requestId") != requestID {
		err = fmt.Errorf("got requestId %q, want %s", l.Text("requestId"), requestID)
	}
	return err
}
