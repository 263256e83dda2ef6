package stage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"segura-enable/simulated/runtimeapi"
)

// Result is the document about several identifiers.
type Result struct {
	Outcome         string         `json:"outcome"`
	Requested       int            `json:"requested"`
	Enabled         *int           `json:"enabled"`
	AlreadyEnabled  *int           `json:"already_enabled"`
	Disabled        *int           `json:"disabled"`
	AlreadyDisabled *int           `json:"already_disabled"`
	Failed          int            `json:"failed"`
	FailedByCode    map[string]int `json:"failed_by_code"`
	Omitted         *Omitted       `json:"omitted"`
	Results         []Item         `json:"results"`
}

// Omitted counts the items that a result had no room for.
type Omitted struct {
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
}

// Item is what came of one identifier.
type Item struct {
	Identifier int64      `json:"identifier"`
	Outcome    string     `json:"outcome"`
	Attempts   int        `json:"attempts"`
	Error      *ItemError `json:"error"`
}

// ItemError is why an item, or a step of a self-check, failed.
type ItemError struct {
	Code              string `json:"code"`
	Message           string `json:"message"`
	Retryable         bool   `json:"retryable"`
	SeguraCode        int    `json:"segura_code"`
	HTTPStatus        int    `json:"http_status"`
	UpstreamRequestID string `json:"upstream_request_id"`
}

// Problem is the body of an HTTP response that is no success (RFC 9457).
type Problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Instance   string `json:"instance"`
	Code       string `json:"code"`
	Retryable  bool   `json:"retryable"`
	Identifier int64  `json:"identifier"`
	SeguraCode int    `json:"segura_code"`
	Window     string `json:"window"`
}

// SelfCheck is the report of a self-check.
type SelfCheck struct {
	Check       string `json:"check"`
	Steps       []Step `json:"steps"`
	Identifiers []struct {
		Identifier int64  `json:"identifier"`
		Access     string `json:"access"`
	} `json:"identifiers"`
	Omitted int `json:"omitted"`
}

// Step is one step of a self-check.
type Step struct {
	Name       string     `json:"name"`
	Outcome    string     `json:"outcome"`
	DurationMS *int64     `json:"duration_ms"`
	Listed     *int       `json:"listed"`
	Warning    string     `json:"warning"`
	Error      *ItemError `json:"error"`
}

// Shown is a window as callers see it.
type Shown struct {
	ID          string            `json:"id"`
	State       string            `json:"state"`
	From        string            `json:"from"`
	Until       string            `json:"until"`
	Reason      string            `json:"reason"`
	OpenedBy    string            `json:"opened_by"`
	CreatedAt   string            `json:"created_at"`
	ClosedAt    string            `json:"closed_at"`
	ClosedBy    string            `json:"closed_by"`
	Identifiers []ShownIdentifier `json:"identifiers"`
	Extensions  []ShownExtension  `json:"extensions"`
}

// ShownIdentifier is an identifier in a window.
type ShownIdentifier struct {
	Identifier int64      `json:"identifier"`
	State      string     `json:"state"`
	At         string     `json:"at"`
	Error      *ItemError `json:"error"`
}

// ShownExtension is an extension of a window.
type ShownExtension struct {
	At     string `json:"at"`
	By     string `json:"by"`
	Until  string `json:"until"`
	Reason string `json:"reason"`
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
		answer.Status, answer.Header, answer.Text = response.status, response.header, response.body
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
		a.Result = &Result{}
		return Decode(a.Text, a.Result)
	case has.Check != nil:
		a.SelfCheck = &SelfCheck{}
		return Decode(a.Text, a.SelfCheck)
	case has.Outcome != nil:
		a.Item = &Item{}
		return Decode(a.Text, a.Item)
	case has.State != nil:
		a.Window = &Shown{}
		return Decode(a.Text, a.Window)
	case has.Code != nil:
		a.Problem = &Problem{}
		return Decode(a.Text, a.Problem)
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

// steps are those of a self-check, as "credentials passed".
func (a Answer) steps() []string {
	var steps []string
	if a.SelfCheck != nil {
		for _, step := range a.SelfCheck.Steps {
			steps = append(steps, step.Name+" "+step.Outcome)
		}
	}
	return steps
}

// httpResponse is a response as API Gateway reads it.
type httpResponse struct {
	status int
	header http.Header
	body   []byte
}

// readHTTPResponse reads the response formats of payload 1.0 and 2.0, which
// agree but for the cookies and headers with several values.
func readHTTPResponse(payload []byte) (httpResponse, error) {
	var raw struct {
		StatusCode        int                 `json:"statusCode"`
		Headers           map[string]string   `json:"headers"`
		MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
		Cookies           []string            `json:"cookies"`
		Body              string              `json:"body"`
		IsBase64Encoded   bool                `json:"isBase64Encoded"`
	}
	if err := Decode(payload, &raw); err != nil {
		return httpResponse{}, fmt.Errorf("read the HTTP response of the function: %w", err)
	}
	if raw.StatusCode < 100 || raw.StatusCode > 599 {
		return httpResponse{}, errors.New("read the HTTP response of the function: it has no status code")
	}
	response := httpResponse{status: raw.StatusCode, header: http.Header{}, body: []byte(raw.Body)}
	for name, value := range raw.Headers {
		response.header.Set(name, value)
	}
	for name, values := range raw.MultiValueHeaders {
		response.header.Del(name)
		for _, value := range values {
			response.header.Add(name, value)
		}
	}
	for _, cookie := range raw.Cookies {
		response.header.Add("Set-Cookie", cookie)
	}
	if raw.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(raw.Body)
		if err != nil {
			return httpResponse{}, fmt.Errorf("read the HTTP response of the function: %w", err)
		}
		response.body = body
	}
	return response, nil
}
