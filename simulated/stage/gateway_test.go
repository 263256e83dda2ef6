package stage_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// event is payload 2.0 as the test reads it, by hand.
type event struct {
	Version, RouteKey, RawPath, RawQueryString, Body string
	Cookies                                          []string
	Headers, QueryStringParameters                   map[string]string
	IsBase64Encoded                                  bool
	RequestContext                                   struct {
		RequestID, Time, Stage, DomainName string
		TimeEpoch                          int64
		HTTP                               struct{ Method, Path, Protocol, SourceIP, UserAgent string }
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// gateway serves one request and returns the event that the function got.
func gateway(t *testing.T, payload string, request func(url string) (*http.Request, error)) (event, []byte, answer) {
	t.Helper()
	var raw []byte
	server := httptest.NewServer(&stage.Gateway{Invoke: func(_ *http.Request, got []byte) (stage.Exchange, error) {
		raw = got
		return stage.Exchange{Invocation: runtimeapi.Invocation{Payload: []byte(payload)}}, nil
	}})
	defer server.Close()
	r, err := request(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatalf("event %s: %v", raw, err)
	}
	return e, raw, answer{response.StatusCode, response.Header, string(body)}
}

const okPayload = `{"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}`

func post(contentType, body string) func(string) (*http.Request, error) {
	return func(url string) (*http.Request, error) {
		r, err := http.NewRequest(http.MethodPost, url+"/api-secrets/enable", strings.NewReader(body))
		if err == nil && contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return r, err
	}
}

func TestGateway_makesTheEventOfAnHTTPAPI(t *testing.T) {
	e, raw, _ := gateway(t, okPayload, func(url string) (*http.Request, error) {
		request, err := http.NewRequest(http.MethodPost, url+"/api-secrets/%35/en%3Fable?a=1&b=x%20y&a=2", http.NoBody)
		request.Header.Add("X-Several", "one")
		request.Header.Add("X-Several", "two")
		request.Header.Set("Cookie", "first=1; second=2")
		request.Header.Set("User-Agent", "tester/1.0")
		return request, err
	})

	c := e.RequestContext
	for what, pair := range map[string][2]string{
		"version":           {e.Version, "2.0"},
		"route key":         {e.RouteKey, "$default"},
		"path":              {e.RawPath, "/api-secrets/5/en"}, // decoded, and cut at the question mark that this brings to light
		"path in context":   {c.HTTP.Path, "/api-secrets/5/en"},
		"query":             {e.RawQueryString, "a=1&b=x%20y&a=2"},
		"parameter a":       {e.QueryStringParameters["a"], "1,2"},
		"parameter b":       {e.QueryStringParameters["b"], "x y"},
		"several headers":   {e.Headers["x-several"], "one,two"},
		"cookies":           {strings.Join(e.Cookies, "|"), "first=1|second=2"},
		"cookie header":     {e.Headers["cookie"], ""},
		"method":            {c.HTTP.Method, "POST"},
		"protocol":          {c.HTTP.Protocol, "HTTP/1.1"},
		"source":            {c.HTTP.SourceIP, "127.0.0.1"},
		"user agent":        {c.HTTP.UserAgent, "tester/1.0"},
		"stage":             {c.Stage, "$default"},
		"length of no body": {e.Headers["content-length"], "0"},
		"forwarded for":     {e.Headers["x-forwarded-for"], "127.0.0.1"},
		"body":              {e.Body, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if e.IsBase64Encoded || strings.Contains(string(raw), `"body"`) {
		t.Errorf("an absent body came as one: %s", raw)
	}
	if e.Headers["host"] == "" || e.Headers["x-forwarded-port"] == "" || !strings.HasPrefix(e.Headers["x-amzn-trace-id"], "Root=1-") {
		t.Errorf("headers: got %v", e.Headers)
	}
}

// The keys of the event are those of the sample that was made after a real one.
func TestGateway_hasTheKeysOfARealEvent(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join("..", "..", "events", "http-api-batch.json"))
	if err != nil {
		t.Fatal(err)
	}

	_, raw, _ := gateway(t, okPayload, post("application/json", `{"identifier": 5}`))

	var got, want map[string]json.RawMessage
	var gotContext, wantContext map[string]json.RawMessage
	for text, into := range map[string][2]*map[string]json.RawMessage{string(raw): {&got, &gotContext}, string(sample): {&want, &wantContext}} {
		if err := json.Unmarshal([]byte(text), into[0]); err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal((*into[0])["requestContext"], into[1])
	}
	delete(wantContext, "authorizer") // nobody has to sign here
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Errorf("keys: got %q, want %q", g, w)
	}
	if g, w := slices.Sorted(maps.Keys(gotContext)), slices.Sorted(maps.Keys(wantContext)); !slices.Equal(g, w) {
		t.Errorf("keys of the context: got %q, want %q", g, w)
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
		"application/octet-stream":          true,
		"application/vnd.api+json":          true,
	} {
		e, _, _ := gateway(t, okPayload, post(contentType, body))
		got := e.Body
		if e.IsBase64Encoded {
			decoded, _ := base64.StdEncoding.DecodeString(got)
			got = string(decoded)
		}
		if e.IsBase64Encoded != encoded || got != body {
			t.Errorf("%q: got %q, encoded %v", contentType, e.Body, e.IsBase64Encoded)
		}
	}
}

func TestGateway_answersWithWhatTheFunctionAnswered(t *testing.T) {
	table := []struct {
		payload, contentType, body string
		status                     int
	}{
		{okPayload, "application/json", "{}", 200},
		{`{"statusCode": 404, "headers": {"content-type": "application/problem+json"}, "body": "{\"a\":1}"}`, "application/problem+json", `{"a":1}`, 404},
		{`{"statusCode": 200, "body": "aGVsbG8=", "isBase64Encoded": true}`, "text/plain;charset=UTF-8", "hello", 200},
		{`{"no": "status"}`, "application/json", `{"message":"Internal Server Error"}`, 500},
		{`"text"`, "application/json", `{"message":"Internal Server Error"}`, 500},
		{`{"statusCode": 200, "body": "%", "isBase64Encoded": true}`, "application/json", `{"message":"Internal Server Error"}`, 500},
	}
	for _, row := range table {
		_, _, got := gateway(t, row.payload, post("", ""))
		if kind := got.header.Get("Content-Type"); got.status != row.status || kind != row.contentType || got.body != row.body {
			t.Errorf("%s: got %d %q %q", row.payload, got.status, kind, got.body)
		}
	}
}

func TestGateway_passesSeveralHeadersAndCookiesOn(t *testing.T) {
	_, _, response := gateway(t, `{"statusCode": 204, "multiValueHeaders": {"X-Two": ["1", "2"]}, "cookies": ["a=1"]}`, post("", ""))

	if got := response.header.Values("X-Two"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q", got)
	}
	if got := response.header.Get("Set-Cookie"); got != "a=1" {
		t.Errorf("cookie: got %q", got)
	}
}

func TestGateway_hidesAFunctionThatFails(t *testing.T) {
	for name, invoke := range map[string]func(*http.Request, []byte) (stage.Exchange, error){
		"function error": func(*http.Request, []byte) (stage.Exchange, error) {
			return stage.Exchange{Invocation: runtimeapi.Invocation{FunctionError: true, Payload: []byte(okPayload)}}, nil
		},
		"no function": func(*http.Request, []byte) (stage.Exchange, error) {
			return stage.Exchange{}, errors.New("a confidential text")
		},
	} {
		recorder := httptest.NewRecorder()
		(&stage.Gateway{Invoke: invoke}).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/", nil))
		if got := recorder.Body.String(); recorder.Code != 500 || got != `{"message":"Internal Server Error"}` {
			t.Errorf("%s: got %d %q", name, recorder.Code, got)
		}
	}
}
