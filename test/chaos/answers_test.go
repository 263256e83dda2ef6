package chaos

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
)

// The document that a function answers with, or that is in its error.
type result struct {
	Outcome         string         `json:"outcome"`
	Requested       int            `json:"requested"`
	Enabled         *int           `json:"enabled"`
	AlreadyEnabled  *int           `json:"already_enabled"`
	Disabled        *int           `json:"disabled"`
	AlreadyDisabled *int           `json:"already_disabled"`
	Failed          int            `json:"failed"`
	FailedByCode    map[string]int `json:"failed_by_code"`
	Omitted         *omitted       `json:"omitted"`
	Results         []item         `json:"results"`
}

type omitted struct {
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
}

type item struct {
	Identifier int64  `json:"identifier"`
	Outcome    string `json:"outcome"`
	Attempts   int    `json:"attempts"`
	Error      *fault `json:"error"`
}

type fault struct {
	Code              string `json:"code"`
	Message           string `json:"message"`
	Retryable         bool   `json:"retryable"`
	SeguraCode        int    `json:"segura_code"`
	HTTPStatus        int    `json:"http_status"`
	UpstreamRequestID string `json:"upstream_request_id"`
}

type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Instance   string `json:"instance"`
	Code       string `json:"code"`
	Retryable  bool   `json:"retryable"`
	Identifier int64  `json:"identifier"`
	SeguraCode int    `json:"segura_code"`
}

// report of a self-check.
type report struct {
	Check string `json:"check"`
	Steps []struct {
		Name       string `json:"name"`
		Outcome    string `json:"outcome"`
		DurationMS *int64 `json:"duration_ms"`
		Error      *fault `json:"error"`
	} `json:"steps"`
}

// answer is what came of an invocation, read.
type answer struct {
	runtimeapi.Invocation
	request request
	began   time.Time
	ended   time.Time

	text    string // of the document, the item or the problem
	status  int    // over HTTP
	result  *result
	item    *item
	problem *problem
	report  *report
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

// strictly decodes one JSON document without tolerating fields that are not known.
func strictly(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// errorTypes are what the event function may end in.
var errorTypes = []string{"Segura.TransientError", "Segura.PermanentError", "Segura.InvalidRequest", "Segura.CheckFailed"}

// read reads what came of an invocation. Its error is one of form.
func (a *answer) read(door string) error {
	if door == api {
		return a.readHTTP()
	}
	a.text = string(a.Payload)
	if a.FunctionError {
		a.text = a.ErrorMessage
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
		return nil
	case a.request.check:
		a.report = &report{}
		if a.FunctionError != (a.ErrorType == "Segura.CheckFailed") {
			return fmt.Errorf("a self-check ended in %q", a.ErrorType)
		}
		return strictly(a.text, a.report)
	case a.FunctionError && !strings.HasSuffix(a.ErrorType, "tError"): // Transient and Permanent
		return fmt.Errorf("got %q for a valid request", a.ErrorType)
	}
	a.result = &result{}
	if err := strictly(a.text, a.result); err != nil {
		return err
	}
	if a.FunctionError == (a.result.Failed == 0) {
		return fmt.Errorf("%d failed, and the function error is %v", a.result.Failed, a.FunctionError)
	}
	return nil
}

func (a *answer) readHTTP() error {
	if a.FunctionError {
		return fmt.Errorf("the API function ended in a function error: %s", a.ErrorType)
	}
	var response struct {
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Body            string            `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}
	if err := strictly(string(a.Payload), &response); err != nil {
		return err
	}
	a.text, a.status = response.Body, response.StatusCode
	if response.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(response.Body)
		if err != nil {
			return err
		}
		a.text = string(body)
	}
	header := http.Header{}
	for name, value := range response.Headers {
		header.Set(name, value)
	}
	if header.Get("Cache-Control") != "no-store" || header.Get("X-Request-Id") != a.RequestID {
		return fmt.Errorf("Cache-Control %q, X-Request-Id %q", header.Get("Cache-Control"), header.Get("X-Request-Id"))
	}
	return a.readBody(header)
}

func (a *answer) readBody(header http.Header) error {
	if a.request.invalid != nil && !slices.Contains(a.request.invalid, a.status) {
		return fmt.Errorf("got status %d, want one of %v", a.status, a.request.invalid)
	}
	contentType := header.Get("Content-Type")
	if a.status != 200 && a.status != 207 {
		a.problem = &problem{}
		if err := strictly(a.text, a.problem); err != nil {
			return err
		}
		p := a.problem
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
	if contentType != "application/json" {
		return fmt.Errorf("Content-Type of a %d is %q", a.status, contentType)
	}
	if a.request.single {
		a.item = &item{}
		return strictly(a.text, a.item)
	}
	a.result = &result{}
	if err := strictly(a.text, a.result); err != nil {
		return err
	}
	if (a.status == 200) != (a.result.Failed == 0) {
		return fmt.Errorf("status %d, %d failed", a.status, a.result.Failed)
	}
	return nil
}

// line is a log line, decoded.
type line map[string]any

func (l line) text(key string) string {
	text, _ := l[key].(string)
	return text
}

func (l line) isAudit() bool {
	_, identifier := l["identifier"]
	_, outcome := l["outcome"]
	_, attempts := l["attempts"]
	return identifier && outcome && attempts
}

// readAudit reads the audit lines of the invocation.
func (a *answer) readAudit() error {
	a.audit = map[int64]auditLine{}
	for _, text := range a.Logs {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil || !l.isAudit() {
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

// checkLine tells what is wrong with the form of a log line.
func checkLine(text, requestID string) error {
	var l line
	decoder := json.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&l); err != nil || l == nil {
		return fmt.Errorf("is no JSON object: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has more than one JSON object")
	}
	if _, err := time.Parse(time.RFC3339Nano, l.text("timestamp")); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	if !slices.Contains([]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}, l.text("level")) {
		return fmt.Errorf("level %q is none of Lambda's", l.text("level"))
	}
	if l.text("message") == "" {
		return errors.New("has no message")
	}
	if requestID != "" && l.text("requestId") != requestID {
		return fmt.Errorf("got requestId %q, want %s", l.text("requestId"), requestID)
	}
	return nil
}
