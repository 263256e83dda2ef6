package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// envelope holds what is needed of the three events: API Gateway's payload
// format 1.0 (REST APIs, which send no version) and 2.0 (HTTP APIs, and Lambda
// function URLs in the same format).
type envelope struct {
	Version           string              `json:"version"`
	HTTPMethod        string              `json:"httpMethod"` // 1.0
	Path              string              `json:"path"`       // 1.0
	RawPath           string              `json:"rawPath"`    // 2.0
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"` // 1.0
	Body              *string             `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
	RequestContext    requestContext      `json:"requestContext"`

	RawQueryString string              `json:"rawQueryString"`                  // 2.0
	Query          map[string]string   `json:"queryStringParameters"`           // 1.0, and 2.0 joined
	QueryLists     map[string][]string `json:"multiValueQueryStringParameters"` // 1.0

	// What an authorizer is asked has these; it is not served, since it comes
	// before anybody is authorized.
	MethodARN string `json:"methodArn"`
	RouteARN  string `json:"routeArn"`
}

type requestContext struct {
	HTTP struct {
		Method string `json:"method"`
	} `json:"http"` // 2.0
	Identity struct {
		UserARN string `json:"userArn"`
	} `json:"identity"` // 1.0
	Authorizer json.RawMessage `json:"authorizer"`
	ELB        json.RawMessage `json:"elb"` // of an Application Load Balancer, whose event is not served
}

func (e *envelope) methodAndPath() (method, path string, ok bool) {
	switch e.Version {
	case "2.0":
		method, path = e.RequestContext.HTTP.Method, e.RawPath
	case "", "1.0":
		method, path = e.HTTPMethod, e.Path
	}
	foreign := e.MethodARN != "" || e.RouteARN != "" || e.RequestContext.ELB != nil
	return method, path, method != "" && path != "" && !foreign
}

// body returns the body, decoded and of bounded size, or says why it is refused.
func (e *envelope) body() ([]byte, *Problem) {
	if e.Body == nil || *e.Body == "" {
		return nil, nil
	}
	body := []byte(*e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(*e.Body); err != nil {
			return nil, invalid(http.StatusBadRequest, "The body is not the base64 that it is said to be.")
		}
	}
	if len(body) > maxBody {
		return nil, invalid(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body has %d bytes, at most %d are allowed.", len(body), maxBody))
	}
	for _, value := range e.header("Content-Type") {
		if value != "" && !isJSON(value) {
			return nil, invalid(http.StatusUnsupportedMediaType, "The body's Content-Type is not JSON. Send application/json.")
		}
	}
	return body, nil
}

// header returns the values of a header, whatever the letter case of its name.
func (e *envelope) header(name string) []string {
	var values []string
	for key, value := range e.Headers {
		if strings.EqualFold(key, name) {
			values = append(values, value)
		}
	}
	for key, several := range e.MultiValueHeaders {
		if strings.EqualFold(key, name) {
			values = append(values, several...)
		}
	}
	return values
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || kind == "text/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// caller returns who called, as API Gateway or the function URL found out: the
// IAM principal's ARN, or the subject or principal that an authorizer names.
// Empty if nobody was asked.
func (e *envelope) caller() string {
	if e.RequestContext.Identity.UserARN != "" {
		return e.RequestContext.Identity.UserARN
	}
	for _, path := range [][]string{
		{"iam", "userArn"},
		{"jwt", "claims", "sub"},
		{"claims", "sub"},
		{"sub"},
		{"principalId"},
		{"lambda", "sub"},
		{"lambda", "principalId"},
	} {
		if text := lookUp(e.RequestContext.Authorizer, path...); text != "" {
			return text
		}
	}
	return ""
}

// lookUp returns the text at a path through JSON objects, or nothing.
func lookUp(value json.RawMessage, path ...string) string {
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return ""
		}
		value = object[name]
	}
	var text string
	_ = json.Unmarshal(value, &text) // anything else names nobody
	return text
}
