package stage_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// event is payload 2.0 as the test reads it, by hand.
type event struct {
	Version, RouteKey, RawPath, RawQueryString, Body string

	Headers, QueryStringParameters map[string]string
	IsBase64Encoded                bool
	RequestContext                 struct{ HTTP struct{ Method, Path string } }
}

// through serves one request and returns the event that the function got.
func through(t *testing.T, answer runtimeapi.Invocation, fault error, r *http.Request) (e event, response *httptest.ResponseRecorder) {
	t.Helper()
	response = httptest.NewRecorder()
	gateway := &stage.Gateway{Invoke: func(_ *http.Request, got []byte) (stage.Exchange, error) {
		if err := json.Unmarshal(got, &e); err != nil {
			t.Fatalf("event %s: %v", got, err)
		}
		return stage.Exchange{Invocation: answer}, fault
	}}
	gateway.ServeHTTP(response, r)
	return e, response
}

var fine = runtimeapi.Invocation{Payload: []byte(`{"statusCode": 200, "headers": {"content-type": "text/x", "X-A": "b"}, "body": "{}", "isBase64Encoded": false}`)}

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/api-secrets/enable", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestGateway_makesTheEventOfAnHTTPAPI(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "/api-secrets/%35/en%3Fable?a=1&b=x%20y&a=2", http.NoBody)
	r.Header["X-Several"] = []string{"one", "two"}

	e, _ := through(t, fine, nil, r)

	c := e.RequestContext
	for what, pair := range map[string][2]string{
		"version":         {e.Version, "2.0"},
		"route key":       {e.RouteKey, "$default"},
		"path":            {e.RawPath, "/api-secrets/5/en"}, // decoded, and cut at the question mark that this brings to light
		"path in context": {c.HTTP.Path, "/api-secrets/5/en"},
		"query":           {e.RawQueryString, "a=1&b=x%20y&a=2"},
		"parameter a":     {e.QueryStringParameters["a"], "1,2"},
		"parameter b":     {e.QueryStringParameters["b"], "x y"},
		"several headers": {e.Headers["x-several"], "one,two"},
		"method":          {c.HTTP.Method, "PUT"},
		"no body":         {e.Body, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if e.IsBase64Encoded {
		t.Error("an absent body came as base64")
	}
}

func TestGateway_encodesWhatIsNoText(t *testing.T) {
	const body = `{"identifier": 5}`
	for contentType, encoded := range map[string]bool{
		"application/json":                  false,
		"application/json; charset=utf-8":   false,
		"text/plain":                        false,
		"application/xml":                   false,
		"":                                  true,
		"application/x-www-form-urlencoded": true,
		"application/vnd.api+json":          true,
	} {
		e, _ := through(t, fine, nil, post(contentType, body))

		want := body
		if encoded {
			want = base64.StdEncoding.EncodeToString([]byte(body))
		}
		if e.IsBase64Encoded != encoded || e.Body != want {
			t.Errorf("%q: got %q, encoded %v", contentType, e.Body, e.IsBase64Encoded)
		}
	}
}

func TestGateway_answersWithWhatTheFunctionAnsweredOrHidesWhy(t *testing.T) {
	const hidden = `{"message":"Internal Server Error"}`
	large := http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("long")), 1)
	for what, row := range map[string]struct {
		answer runtimeapi.Invocation
		fault  error
		r      *http.Request
		status int
		want   string
	}{
		"an answer":        {fine, nil, post("", ""), 200, "{}"},
		"no status":        {runtimeapi.Invocation{Payload: []byte(`{"headers": {}}`)}, nil, post("", ""), 500, hidden},
		"no object":        {runtimeapi.Invocation{Payload: []byte(`"text"`)}, nil, post("", ""), 500, hidden},
		"an unknown field": {runtimeapi.Invocation{Payload: []byte(`{"statusCode": 200, "x": 1}`)}, nil, post("", ""), 500, hidden},
		"base64":           {runtimeapi.Invocation{Payload: []byte(`{"statusCode": 200, "body": "aGk=", "isBase64Encoded": true}`)}, nil, post("", ""), 500, hidden},
		"a function error": {runtimeapi.Invocation{Payload: fine.Payload, FunctionError: true}, nil, post("", ""), 500, hidden},
		"no function":      {fine, errors.New("a confidential text"), post("", ""), 500, hidden},
		"a bad query":      {fine, nil, httptest.NewRequest(http.MethodGet, "/?a=%zz", nil), 400, `{"message":"Bad Request"}`},
		"a large body":     {fine, nil, httptest.NewRequest(http.MethodPost, "/", large), 413, `{"message":"Request Entity Too Large"}`},
	} {
		_, got := through(t, row.answer, row.fault, row.r)

		if got.Code != row.status || got.Body.String() != row.want {
			t.Errorf("%s: got %d %s, want %d %s", what, got.Code, got.Body, row.status, row.want)
		}
		header := got.Header()
		if header.Get("Apigw-Requestid") == "" || row.status == 200 && (header.Get("Content-Type") != "text/x" || header.Get("X-A") != "b") {
			t.Errorf("%s: got %v", what, header)
		}
	}
}
