package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
	"segura-enable/internal/telemetry"
)

// Request is an HTTP request to a collection of paths.
type Request struct {
	Method   string
	Segments []string // of the path, behind the collection's name
	Caller   string   // as found out by API Gateway or the function URL; may be empty
	envelope envelope
}

// Read takes a request to the collection out of the payload, or says why it is
// refused.
func Read(payload []byte, collection string) (Request, *Problem) {
	var e envelope
	if err := json.Unmarshal(payload, &e); err != nil {
		return Request{}, notServed()
	}
	method, path, ok := e.methodAndPath()
	if !ok {
		return Request{}, notServed()
	}
	segments, ok := below(path, collection)
	if !ok {
		return Request{}, NoSuchPath()
	}
	return Request{Method: method, Segments: segments, Caller: e.caller(), envelope: e}, nil
}

func notServed() *Problem {
	return invalid(http.StatusBadRequest, "This is not an event of an API Gateway REST API, an API Gateway HTTP API or a Lambda function URL.")
}

// below returns the segments of the path behind the collection's. A stage, a base path
// mapping or a {proxy+} resource may have put a prefix in front of it. Repeated and
// trailing slashes mean nothing: a function URL ends in one.
func below(path, collection string) ([]string, bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	segments := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
	at := slices.Index(segments, collection)
	if at < 0 || slices.Contains(segments, ".") || slices.Contains(segments, "..") {
		return nil, false
	}
	rest := segments[at+1:]
	for len(rest) > 0 && rest[0] == collection { // a stage or a mapping of the same name
		rest = rest[1:]
	}
	return rest, true
}

// NoSuchPath is the problem of a path that nothing is at.
func NoSuchPath() *Problem {
	return invalid(http.StatusNotFound, "There is nothing at this path. Use POST /api-secrets/{identifier}/enable, POST /api-secrets/enable, the same with disable, or, where the stack has windows, /windows and the paths below it.")
}

// Body returns the request's body, of bounded size, or says why it is refused.
func (r *Request) Body() ([]byte, *Problem) { return r.envelope.body() }

// Header returns the values of a header, whatever the letter case of its name.
func (r *Request) Header(name string) []string {
	values := r.envelope.header(name)
	slices.Sort(values)
	return slices.Compact(values) // payload 1.0 has each of them twice
}

// Query returns the request's query, or a problem where it cannot be read.
func (r *Request) Query() (url.Values, *Problem) {
	e := &r.envelope
	if e.Version == "2.0" {
		values, err := url.ParseQuery(e.RawQueryString)
		if err != nil {
			return nil, Invalid("the query is not in the form of a URL's")
		}
		return values, nil
	}
	values := url.Values(e.QueryLists)
	if len(values) == 0 {
		values = url.Values{}
		for name, value := range e.Query {
			values.Set(name, value)
		}
	}
	return values, nil
}

// Invalid is the problem of a request that cannot be understood.
func Invalid(why string) *Problem {
	return invalid(http.StatusBadRequest, "The request cannot be understood: "+why+".")
}

// WrongMethod is the problem of a path that serves other methods.
func WrongMethod(allowed string) *Problem {
	p := invalid(http.StatusMethodNotAllowed, "Use "+allowed+".")
	p.allow = allowed
	return p
}

// Text returns the problem as JSON text; id is the invocation's.
func (p *Problem) Text(id string) []byte { return []byte(p.render(id).Body) }

// JSON returns a response with a JSON document.
func JSON(status int, document []byte) Response {
	return Response{StatusCode: status, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(document)}
}

// Reply carries out an invocation that answer answers, or refuses with a problem. It
// replies whatever comes, a panic included.
func Reply(ctx context.Context, log *slog.Logger, answer func() (Response, *Problem)) (reply []byte) {
	defer func() {
		if p := recover(); p != nil {
			activation.LogPanic(ctx, log, p)
			reply = strictjson.Encode(finish(ctx, ProblemOf(apisecret.NewError(apisecret.InternalError, "")).render(telemetry.RequestID(ctx))))
		}
	}()
	response, problem := answer()
	if problem != nil {
		log.WarnContext(ctx, "the HTTP request was refused", "status", problem.Status, "code", problem.Code, "cause", problem.Detail)
		response = problem.render(telemetry.RequestID(ctx))
	}
	return strictjson.Encode(finish(ctx, response))
}
