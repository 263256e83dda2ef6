package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"segura-enable/simulated/runtimeapi"
)

// The documents are declared anew here, so that a change of the product's own is noticed.
// A name of one word needs no tag: encoding/json reads without regard to case.

// Result is the document about several identifiers.
type Result struct {
	Outcome         string
	Requested       int
	Enabled         *int
	AlreadyEnabled  *int `json:"already_enabled"`
	Disabled        *int
	AlreadyDisabled *int `json:"already_disabled"`
	Failed          int
	FailedByCode    map[string]int `json:"failed_by_code"`
	Omitted         *Omitted
	Results         []Item
}

// Omitted counts the items that a result had no room for.
type Omitted struct{ Succeeded, Failed int }

// Item is what came of one identifier.
type Item struct {
	Identifier int64
	Outcome    string
	Attempts   int
	Error      *ItemError
}

// ItemError is why an item, or a step of a self-check, failed.
type ItemError struct {
	Code, Message     string
	Retryable         bool
	SeguraCode        int    `json:"segura_code"`
	HTTPStatus        int    `json:"http_status"`
	UpstreamRequestID string `json:"upstream_request_id"`
}

// Problem is the body of an HTTP response that is no success (RFC 9457).
type Problem struct {
	Type, Title, Detail, Instance, Code, Window string

	Status     int
	Retryable  bool
	Identifier int64
	SeguraCode int `json:"segura_code"`
}

// SelfCheck is the report of a self-check.
type SelfCheck struct {
	Check string
	Steps []struct {
		Name, Outcome, Warning string

		DurationMS *int64 `json:"duration_ms"`
		Listed     *int
		Error      *ItemError
	}
	Identifiers []struct {
		Identifier int64
		Access     string
	}
	Omitted int
}

// Shown is a window as callers see it.
type Shown struct {
	ID, State, From, Until, Reason string

	OpenedBy    string `json:"opened_by"`
	CreatedAt   string `json:"created_at"`
	ClosedAt    string `json:"closed_at"`
	ClosedBy    string `json:"closed_by"`
	Identifiers []struct {
		Identifier int64
		State, At  string
		Error      *ItemError
	}
	Extensions []struct{ At, By, Until, Reason string }
}

// String is "5 enabled" or "7 failed not_found".
func (i Item) String() string {
	text := fmt.Sprintf("%d %s", i.Identifier, i.Outcome)
	if i.Error != nil {
		text += " " + i.Error.Code
	}
	return text
}

// Decode decodes one JSON document and nothing after it. A field that is not
// declared is an error.
func Decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode %.2000s: %w", text, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("decode %.2000s: something follows the document", text)
	}
	return nil
}

// Answer is what a function said, read alike for all functions.
type Answer struct {
	// Status and Header are those of the HTTP response; zero for [Event].
	Status int
	Header http.Header

	// ErrorType is that of a function error; empty for a success.
	ErrorType string

	// Text is the document as JSON; where there is none, the text that there is.
	Text []byte

	// At most one of these is not nil.
	Result    *Result
	Item      *Item
	Problem   *Problem
	SelfCheck *SelfCheck
	Window    *Shown
}

// ReadAnswer reads what a function said. An error means that it is not in the form
// that Lambda or API Gateway needs, that it has a field that no document has, or
// that the function did not answer.
func ReadAnswer(function string, inv runtimeapi.Invocation) (Answer, error) {
	answer := Answer{ErrorType: inv.ErrorType, Text: inv.Payload}
	switch {
	case inv.FunctionError && !strings.HasPrefix(inv.ErrorType, "Segura."):
		return answer, fmt.Errorf("the function did not answer: %s: %s", inv.ErrorType, inv.ErrorMessage)
	case inv.FunctionError:
		answer.Text = []byte(inv.ErrorMessage)
	case function == API:
		response, err := readHTTPResponse(inv.Payload)
		if err != nil {
			return answer, err
		}
		answer.Status, answer.Header, answer.Text = response.StatusCode, http.Header{}, []byte(response.Body)
		for name, value := range response.Headers {
			answer.Header.Set(name, value)
		}
	}
	return answer, answer.readText()
}

// readText reads the document, by the fields that only it has. An error in words
// has none of them.
func (a *Answer) readText() error {
	var has struct{ Results, Check, Outcome, Code, State json.RawMessage }
	_ = json.Unmarshal(a.Text, &has)
	switch {
	case has.Results != nil:
		return Decode(a.Text, &a.Result)
	case has.Check != nil:
		return Decode(a.Text, &a.SelfCheck)
	case has.Outcome != nil:
		return Decode(a.Text, &a.Item)
	case has.State != nil:
		return Decode(a.Text, &a.Window)
	case has.Code != nil:
		return Decode(a.Text, &a.Problem)
	}
	return nil
}

// Items are what came of each identifier. A problem with one is a failed item.
func (a Answer) Items() []Item {
	switch {
	case a.Result != nil:
		return a.Result.Results
	case a.Item != nil:
		return []Item{*a.Item}
	case a.Window != nil:
		items := make([]Item, len(a.Window.Identifiers))
		for at, i := range a.Window.Identifiers {
			items[at] = Item{Identifier: i.Identifier, Outcome: i.State, Error: i.Error}
		}
		return items
	case a.Problem != nil && a.Problem.Identifier != 0:
		return []Item{{Identifier: a.Problem.Identifier, Outcome: "failed", Error: &ItemError{Code: a.Problem.Code}}}
	}
	return nil
}
