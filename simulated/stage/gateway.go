package stage

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxRequestBody is what an HTTP API takes.
const maxRequestBody = 10 << 20

// Gateway stands where API Gateway stands: it turns each HTTP request into the
// event of an HTTP API with one route, $default, and the function's answer into
// an HTTP response. Nobody has to sign, so the event names no caller; cookies and
// what API Gateway tells of the connection are left out, since no function reads them.
type Gateway struct {
	// Invoke sends an event to the function.
	Invoke func(r *http.Request, event []byte) (Exchange, error)
}

// ServeHTTP answers with what the function answered; a function error, or an
// answer that API Gateway cannot read, is its 500.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Apigw-Requestid", rand.Text()[:16])
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		gatewayMessage(w, http.StatusRequestEntityTooLarge)
		return
	}
	query, unreadable := url.ParseQuery(r.URL.RawQuery)
	if err != nil || unreadable != nil {
		gatewayMessage(w, http.StatusBadRequest)
		return
	}
	x, err := g.Invoke(r, httpAPIEvent(r, joined(query), body))
	response, unreadable := readHTTPResponse(x.Invocation.Payload)
	if err != nil || x.Invocation.FunctionError || unreadable != nil {
		gatewayMessage(w, http.StatusInternalServerError)
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.WriteString(w, response.Body)
}

func gatewayMessage(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"message":%q}`, http.StatusText(status))
}

// httpAPIEvent makes the event. The path is decoded, as an HTTP API decodes it,
// up to a question mark that comes to light by that.
func httpAPIEvent(r *http.Request, query map[string]string, body []byte) []byte {
	path, _, _ := strings.Cut(r.URL.Path, "?")
	event := HTTPEvent(r.Method, path, "", joined(r.Header))
	event["rawQueryString"] = r.URL.RawQuery
	if len(query) > 0 {
		event["queryStringParameters"] = query
	}
	if len(body) > 0 {
		event["body"] = string(body)
		if !isText(r.Header.Get("Content-Type")) {
			event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
		}
	}
	text, _ := json.Marshal(event) // text and numbers only
	return text
}

// isText tells the content types that an HTTP API passes on as text. Anything
// else, a form and no content type at all included, comes as base64.
func isText(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return strings.HasPrefix(mediaType, "text/") ||
		slices.Contains([]string{"application/json", "application/xml", "application/javascript"}, mediaType)
}

func joined(values map[string][]string) map[string]string {
	all := map[string]string{}
	for name, several := range values {
		all[name] = strings.Join(several, ",")
	}
	return all
}

// httpResponse is a response as API Gateway reads it, in the formats of payload 1.0 and
// 2.0, which agree in what the functions use of them.
type httpResponse struct {
	StatusCode      int
	Headers         map[string]string
	Body            string
	IsBase64Encoded bool
}

func readHTTPResponse(payload []byte) (response httpResponse, err error) {
	err = Decode(payload, &response)
	if err == nil && (response.StatusCode < 100 || response.StatusCode > 599 || response.IsBase64Encoded) {
		err = errors.New("it has no status code, or its body is no text")
	}
	if err != nil {
		return httpResponse{}, fmt.Errorf("read the HTTP response of the function: %w", err)
	}
	return response, nil
}
